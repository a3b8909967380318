"""``calmstream why INCIDENT`` for one that nobody was ever told of: that it was not, why not, and what came of it.

Guarantee: everything that is said stands in an event: that of an anomaly, its suppression, or the incident that it is
in after all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.cli.terminal import short
from pipeline.cli.traces import Body, anomalies_about, incidents_about, suppressions_about

#: How ids of incidents begin; what follows is the id of the anomaly that was first.
INCIDENT = "inc-"
#: Anomalies of which the life is told; all are counted.
MOST_TOLD = 20


async def untold(settings: Any, which: str) -> dict[str, Any] | None:
    """All that is known of an incident of which there is no event, as data; ``said`` are the sentences. None where
    nothing is known."""
    first = which.removeprefix(INCIDENT)
    if not first:
        return None
    found = [event for events in (await suppressions_about(settings, [first])).values() for event in events]
    held = [event for event in found if which == event.get("incident") or first == event["id"]]
    held.sort(key=lambda event: (event["decided_time"], event["id"] != first, event["id"]))
    ids = list(dict.fromkeys([first, *(str(event["id"]) for event in held)]))
    shown = ids[:MOST_TOLD]
    anomalies = await anomalies_about(settings, shown)
    if not held and first not in anomalies:
        return None
    lives = await _lives(settings, shown, anomalies, held)
    counts = Counter(str(event["reason"]) for event in held)
    return {
        "incident": None,
        "id": which,
        "told": False,
        "suppressed_counts": dict(sorted(counts.items())),
        "said": list(_said(which, first, held, anomalies, len(ids))),
        "anomalies": lives,
        "anomalies_not_written_out": len(ids) - len(shown),
    }


def untold_lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for people: times and words."""
    for text in report["said"]:
        yield "", text
    for each in report["anomalies"]:
        yield "", ""
        yield "", f"{each['who']}:"
        for told in each["life"]:
            yield f"{short(told['time'])}  ", told["words"]
    if report["anomalies_not_written_out"]:
        yield "", ""
        yield "", f"… and {report['anomalies_not_written_out']} more"


async def _lives(
    settings: Any, shown: Sequence[str], anomalies: Mapping[str, Sequence[Body]], held: Sequence[Body]
) -> list[dict[str, Any]]:
    """Of each anomaly what became of it."""
    from pipeline.flow.outcomes import life_of_anomaly, suppression_words, who

    incidents = await incidents_about(settings, shown)
    lives = []
    for key in shown:
        events, own = anomalies.get(key, ()), [event for event in held if event["id"] == key]
        if events:
            told = [(each.time, each.what, each.words) for each in life_of_anomaly(events, incidents, own)]
        else:
            told = [(str(event["decided_time"]), "suppressed", suppression_words(event)) for event in own]
        signal = (events or own)[0]["signal"]
        life = [{"time": time, "what": what, "words": words} for time, what, words in told]
        lives.append({"anomaly": key, "signal": signal, "who": who(signal), "life": life})
    return lives


def _said(
    which: str, first: str, held: Sequence[Body], anomalies: Mapping[str, Sequence[Body]], count: int
) -> Iterator[str]:
    from pipeline.flow.outcomes import moment, suppression_words, who

    if not held:
        yield (
            f"No incident was told under this id. It is made of that of anomaly {first}, which started none, or of "
            "which it is not decided yet whether it does: alerts of others wait until enough comes with them."
        )
        return
    begun = held[0]
    since = f"{who(begun['signal'])} at {moment(begun['onset_time'])}"
    kept = [event for event in held if event.get("incident") == which]
    if kept:
        yield f"Nobody was ever told of it. It began with {since}, and was held back; {_anomalies(count)} known of it."
    else:
        yield f"There never was such an incident: what would have started it, {since}, was suppressed."
    seen: set[tuple[str, str]] = set()
    for event in kept or held:
        words = suppression_words(event)
        if (reason := (str(event["reason"]), words)) not in seen:
            seen.add(reason)
            yield f"{words[0].upper()}{words[1:]}."
    if kept:
        yield _end(anomalies, kept, count)


def _end(anomalies: Mapping[str, Sequence[Body]], kept: Sequence[Body], count: int) -> str:
    """Does it go on still?"""
    from pipeline.flow.outcomes import moment

    newest = [events[-1] for events in anomalies.values()]
    going = sum(event["transition"] not in ("ended", "withdrawn") for event in newest)
    if going:
        return f"{_anomalies(going)} not known to have ended, so it may still be told."
    if count > len(newest):
        return f"Of {len(newest)} of its anomalies it is known that they ended; of the others nothing was looked up."
    ended = max(str(event["end_time"] or event["decided_time"]) for event in newest)
    until = max((str(event["held_until"]) for event in kept if event["held_until"]), default="")
    before = f", before {moment(until)}" if ended < until else ""
    return f"All of it had ended at {moment(ended)}{before}: there was nothing to tell any more."


def _anomalies(number: int) -> str:
    return "1 anomaly is" if number == 1 else f"{number} anomalies are"
