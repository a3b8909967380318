"""Metrics that a collector's connectors (spanmetrics, servicegraph) make of spans, and which of ours nobody needs then.

Guarantee: pure functions. Who sends spans and the connector's metrics of them has each operation and each call once:
as the connector counts it, for it may see spans that sampling takes out before they come here. Self times stay ours.
"""

from dataclasses import replace

from pipeline.records import Series, Signal

_OPERATION = ("traces.operation.duration", "traces.operation.failed")
_CALL = ("traces.call.duration", "traces.call.failed")
#: Attributes that every metric of spanmetrics has, by the spelling of OpenTelemetry, and by that of Prometheus.
_OF_SPANS = (frozenset({"span.name", "span.kind"}), frozenset({"span_name", "span_kind"}))
_SERVICE_GRAPH = "traces_service_graph_request"
#: The ends of a call, as the servicegraph connector names them, and what they are to the one who calls.
_ENDS = {"client": "service.name", "server": "service.peer.name"}


def of_caller(series: Series) -> Series:
    """A metric of the servicegraph connector as one of the service that calls, and not of the collector; any other
    series as it is."""
    if not series.name.startswith(_SERVICE_GRAPH):
        return series
    attributes = dict(series.attributes)
    if not all(attributes.get(end) for end in _ENDS):
        return series
    named = {_ENDS.get(name, name): value for name, value in attributes.items() if name not in _ENDS.values()}
    return replace(series, attributes=tuple(sorted(named.items())))


def measures(signal: Signal) -> tuple[str, ...]:
    """Names of our own signals that nobody needs where the workload has this one; none for most signals."""
    if signal.made:
        return ()
    if signal.name.startswith(_SERVICE_GRAPH):
        return _CALL
    names = {name for name, _ in signal.attributes}
    return _OPERATION if any(wanted <= names for wanted in _OF_SPANS) else ()
