"""Calmstream: telemetry from Kafka in, few and explained incidents out.

The way of the data, and the rooms that it passes (folders of this package; ``detectors/`` stands beside it)::

    producers ──► calm.points  otlp_metrics    otlp_logs  otlp_spans    calm.events  calm.changes   Kafka, in
                       │                            │                        │
      ingest           │   codecs/   bytes → records        signals/  who emits it, where it belongs
                       │                            ▼                        │
                       │                   calm.logs  calm.spans             ├────────────────────┐
                       │                            │                        │ counts             │ events,
      join             │   signals/  lines → templates, spans → operations, calls                 │ changes
                       │   topology/ who calls whom ──► calm.topology   calm.log-templates        │
                       ▼                            ▼                        ▼                    │
                  calm.signals     columnar blocks of raw values, by workload    ◄── policies of calm.control
                       │                                                                          │
      score            │   windows/  event time, watermark  signals/  rates, distributions        │
                       │   scoring/  windows → detectors/ → scores → anomalies, by the policy of each signal
                       │             what callers feel is judged by its size as well              │
                       │   topology/ new versions of a workload are changes too                   │
                       ▼                                                                          │
                  calm.scores   calm.anomalies (and workloads of which something is unusual) ◄────┘
                       │
      correlate        │   incidents/  anomalies that belong together, opened … resolved, held back and ordered
                       │               as people say on calm.control, with changes and events as evidence;
                       │               what nobody feels starts none
                       │   causes/     where it starts: what each workload shows, weighed along who calls whom
                       │               and by what runs side by side
                       ▼
                  calm.incidents   calm.incidents.state   calm.suppressions (and why)           Kafka, out

      shadow           │   score and correlate once more, with policies that are only tried, from calm.signals
                       ▼   and calm.anomalies to topics of their own
                  calm.shadow.incidents …                                                       for people to compare

      deliver          │   sinks/      each destination in its own protocol; a summary when it was away
                       ▼
                  Alertmanager   PagerDuty   Slack   webhooks   CDEvents

    records/      the frozen values that all of them exchange
    policies/     what people decide: detector policy, matchers, redaction, silences, maintenance, orders for incidents
    flow/         one pure chain per role (ingest, join, score, correlate): messages in, records and counts out
    sinks/        incidents in the protocols of others, one file a destination, and what to tell each next
    streams/      all Kafka and Faust: topics, the shard service that runs the chains, workers, brokers, how they are
                  secured, what becomes of their faults, saved state, growth, and the worker's own endpoints and logs
    replay/       the same chains over files or a stretch of Kafka
    evaluation/   what detection is worth, on labelled data
    settings/     one validated configuration
    telemetry.py  Prometheus metrics about ourselves
    app.py        the composition root
    cli/          one file per verb
    demo/         a small shop, and this machine, watched

Inner rooms (records … flow) do sums and take ``now`` as an argument; only the outer ones read clocks, sockets, files
and the environment. tests/test_architecture.py holds who may import whom.
"""
