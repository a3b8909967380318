"""``calmstream why INCIDENT|SIGNAL``: what was expected, what was seen, which rule decided, and what came of it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.impact_text import impacted_told
from pipeline.cli.options import Bootstrap, Config, seconds_of, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import console, deviation, json_text, moment, number, plain, say, several, unit_of
from pipeline.cli.traces import anomalies_about, incidents_about, signal_named, suppressions_about, windows_of
from pipeline.cli.why_untold import INCIDENT, untold, untold_lines
from pipeline.records import iso, to_us

_LAST_SECONDS = 253_402_300_799  # the year 9999
#: Windows before the one asked for that are looked at: an anomaly opens with n of the last m, and m is at most 8.
_BEFORE = 8
#: What becomes of windows that are part of an anomaly.
_OF_AN_ANOMALY = ("anomaly_opened", "in_anomaly", "anomaly_ended", "n_of_m")


def why(
    which: Annotated[
        str, typer.Argument(metavar="INCIDENT|SIGNAL", help="Id of an incident, or id or name of a signal.")
    ],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Event time for a signal: RFC 3339, seconds since 1970, or -15m; else now."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object, for machines.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Explain a signal at a time, or an incident: what was expected, what decided, what came of it.

    For a **signal**: its baseline, its value, its surprise against the threshold that was in force, the rule that held
    it back, and what became of the anomaly: the incident that it is in, or what suppressed it. For an **incident**: its
    members, why it was opened, updated and resolved, and what stands beside it; of one that nobody was ever told of why
    not. All of it is read from what the workers wrote: windows are kept for 6 hours, anomalies and suppressions for 7
    days, incidents for 90.

    `calmstream why latency --at -15m`
    """
    at_us = None if at is None else _time(at)
    settings = settings_of(config, bootstrap)
    if which.startswith(INCIDENT):
        if at is not None:
            raise typer.BadParameter("--at is for a signal; of an incident its whole life is told")
        raise typer.Exit(run(_of_incident(settings, which, as_json=as_json)))
    raise typer.Exit(run(_of_signal(settings, which, at_us, as_json=as_json)))


def _time(text: str) -> int:
    """Microseconds since the epoch."""
    try:
        if text.startswith("-"):
            found = time.time() - seconds_of(text[1:])
        else:
            found = float(text) if text.replace(".", "", 1).isdigit() else _calendar(text)
        if not 0 <= found <= _LAST_SECONDS:
            raise ValueError
    except ValueError:
        wanted = "write 2026-01-31T14:00:00Z, seconds since 1970, or -15m"
        raise typer.BadParameter(f"{text!r} is not a time; {wanted}") from None
    return to_us(found)


def _calendar(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


# -- a signal ----------------------------------------------------------------------------------------------------------


async def _of_signal(settings: Any, which: str, at_us: int | None, *, as_json: bool) -> int:
    status = await signal_named(settings, which)
    if status is None:
        return 1
    found = await _signal_report(settings, status, at_us)
    if as_json:
        print(json_text(found))
    else:
        _print(f"{status.signal.label()} of {status.signal.entity}", _signal_lines(found))
    return 0


async def _signal_report(settings: Any, status: Any, at_us: int | None) -> dict[str, Any]:
    """Everything that is told, as data; ``said`` are the sentences."""
    from pipeline.flow.window_reasons import reasons_of

    def enough(windows: list[Any]) -> bool:
        return sum(_begins(window, status) <= (2**62 if at_us is None else at_us) for window in windows) > _BEFORE

    windows = await windows_of(settings, status, enough)
    place = _place(windows, status, at_us)
    report: dict[str, Any] = {
        "signal": _signal_form(status),
        "asked_time": None if at_us is None else iso(at_us),
        "window": None,
        "verdict": "no_window",
        "rules": [],
        "said": [],
    }
    window = None if place is None else windows[place]
    reasons = None if place is None else reasons_of(status, windows, place)
    if window is not None and reasons is not None:
        report["window"] = _window_form(window, status)
        report["verdict"] = reasons.verdict
        report["policies_changed"] = reasons.policies_changed
        report["rules"] = [
            {"name": rule.name, "passed": rule.passed, "words": rule.words, **rule.numbers} for rule in reasons.rules
        ]
        report["said"] = [*_seen(window, status), *_judged(reasons), reasons.words]
    else:
        report["said"] = [_no_window(windows, status, at_us)]
    if at_us is None:
        report["said"].append(_now(status))
    report["afterwards"] = await _afterwards(settings, status, window, reasons, at_us)
    return report


def _begins(window: Any, status: Any) -> int:
    return int(window.end_us - status.window_us)


def _place(windows: Sequence[Any], status: Any, at_us: int | None) -> int | None:
    """Of the windows (newest first) the one that a time lies in; the newest one without a time."""
    if at_us is None:
        return 0 if windows else None
    inside = (place for place, window in enumerate(windows) if _begins(window, status) <= at_us < window.end_us)
    return next(inside, None)


def _seen(window: Any, status: Any) -> Iterator[str]:
    unit = unit_of(status.signal.unit)
    begin, points = moment(_begins(window, status)), several(window.points, "point")
    yield f"The window from {begin} to {moment(window.end_us)} had {points}."
    off = deviation(window.value, window.expected)
    yield (
        f"Its value was {number(window.value)}{unit}. Expected was {number(window.expected)}{unit}, between "
        f"{number(window.lower)} and {number(window.upper)}: {off}."
    )


def _judged(reasons: Any) -> Iterator[str]:
    for rule in reasons.rules:
        if rule.passed is not None or rule.name == "open":
            yield rule.words
    if reasons.policies_changed:
        yield (
            "Policies have changed since: value, surprise, threshold and what was decided are as they were then, but "
            "what else is said of a policy is what it asks for now."
        )


def _no_window(windows: Sequence[Any], status: Any, at_us: int | None) -> str:
    if at_us is None or not windows:
        newest = f"; its newest one ended at {moment(status.seen_us)}" if status.seen_us > 0 else ""
        return f"No window of it is kept any more{newest}."
    if at_us >= windows[0].end_us:
        return f"No window of it ended after {moment(at_us)}; the newest one ended at {moment(windows[0].end_us)}."
    before = next((window for window in windows if window.end_us <= at_us), None)
    if before is None:
        return f"No window of it from {moment(at_us)} is kept any more; the oldest that is found ended at " + (
            f"{moment(windows[-1].end_us)}."
        )
    after = next(window for window in reversed(windows) if window.end_us > at_us)
    return (
        f"Nothing came of it then: the window before ended at {moment(before.end_us)}, the next one began at "
        f"{moment(_begins(after, status))}."
    )


def _now(status: Any) -> str:
    since = "" if status.anomalous_since_us is None else f" since {moment(status.anomalous_since_us)}"
    learned = f" ({status.seen} of {status.needed} windows)" if status.condition == "cold" else ""
    silent = f" (its newest window ended at {moment(status.seen_us)})" if status.condition == "silent" else ""
    return f"As of the newest checkpoint, event time {moment(status.watermark_us)}, it is {status.condition}" + (
        f"{since}{learned}{silent}."
    )


async def _afterwards(settings: Any, status: Any, window: Any, reasons: Any, at_us: int | None) -> list[dict[str, Any]]:
    """The life of the anomaly that the window was part of, or of the silence in which there was none."""
    from pipeline.flow.outcomes import life_of_anomaly

    verdict = None if reasons is None else reasons.verdict
    if verdict not in (None, *_OF_AN_ANOMALY):
        if at_us is not None or status.anomalous_since_us is None:
            return []
        window = verdict = None  # the newest window is none of it: it is about what did not come since
    anomalies = await anomalies_about(settings, [f"{status.signal.id:016x}"])
    events = _anomaly(anomalies, status, window, verdict, at_us)
    if events is None:
        if verdict in (None, "n_of_m"):
            return []
        return [{"time": iso(window.end_us), "what": "unknown", "words": "no event of the anomaly is kept (yet)"}]
    key = str(events[0]["id"])
    suppressed = (await suppressions_about(settings, [key])).get(key, [])
    incidents = await incidents_about(settings, [key])
    if not incidents and not suppressed:  # one of very many in an incident?
        incidents = await incidents_about(settings, [""])
    return [_told_form(told) | {"anomaly": key} for told in life_of_anomaly(events, incidents, suppressed)]


def _anomaly(anomalies: dict[str, Any], status: Any, window: Any, verdict: str | None, at_us: int | None) -> Any:
    """Events of the anomaly that a window with this verdict is part of; without a window, that a time is part of."""
    from pipeline.flow.outcomes import anomaly_at

    if window is not None:
        start, end = iso(_begins(window, status)), iso(window.end_us)
        return anomaly_at(anomalies, start, end, opens=verdict == "anomaly_opened", waits=verdict == "n_of_m")
    now = iso(max(status.watermark_us, status.closed_us) if at_us is None else at_us)
    found = anomaly_at(anomalies, now, now, opens=True, waits=False)
    found = found or anomaly_at(anomalies, now, now, opens=False, waits=False)
    return found or anomaly_at(anomalies, now, now, opens=False, waits=True)


def _signal_lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for text in report["said"]:
        yield "", text
    for told in report["afterwards"]:
        yield _when(told), told["words"]


# -- an incident -------------------------------------------------------------------------------------------------------


async def _of_incident(settings: Any, which: str, *, as_json: bool) -> int:
    events = (await incidents_about(settings, [which])).get(which)
    report = await (_incident_report(settings, events) if events else untold(settings, which))
    if report is None:
        say(f"No incident has the id {which}; calmstream incidents lists them.")
        return 1
    if as_json:
        print(json_text(report))
    elif events:
        _print(str(events[-1]["title"]), _incident_lines(report))
    else:
        _print(f"{which} was never told", untold_lines(report))
    return 0


async def _incident_report(settings: Any, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from pipeline.flow.outcomes import beside_words, life_of_incident, member_words, past_words

    newest = events[-1]
    members: dict[str, dict[str, Any]] = {}
    for event in events:
        members |= {member["anomaly_id"]: member for member in event["members"]}
    anomalies = await anomalies_about(settings, members)
    told = {key: anomalies[key][-1] if key in anomalies else None for key in members}
    missing = newest["member_count"] - len(members)
    return {
        "incident": newest,
        "severity_reasons": newest.get("severity_reasons", []),
        "impacted": [{**each, "words": words} for each, words in impacted_told(newest)],
        "life": [_told_form(each) for each in life_of_incident(events)],
        "past": list(past_words(newest)),
        "members": [
            {"anomaly": key, "words": member_words(member, told[key]), "event": told[key]}
            for key, member in members.items()
        ],
        "members_not_written_out": missing,
        "changes": [{**each, "words": beside_words(each, newest)} for each in newest["changes"]],
        "events": [{**each, "words": beside_words(each, newest)} for each in newest["events"]],
    }


def _incident_lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    incident = report["incident"]
    yield "", f"{incident['id']}: {incident['state']}, {incident['severity']}, scope {incident['scope']}"
    yield "", ""
    for reason in report["severity_reasons"]:
        yield "", f"  {reason}"
    for each in report["impacted"]:
        yield "", f"  impacted: {each['words']}"
    yield "", ""
    for told in report["life"]:
        yield _when(told), f"{told['what']}: {told['words']}"
    yield "", ""
    for words in report["past"]:
        yield "", words
    if report["past"]:
        yield "", ""
    yield "", f"{several(incident['member_count'], 'member')}:"
    for member in report["members"]:
        yield "", f"  {member['words']}"
    if report["members_not_written_out"] > 0:
        yield "", f"  … and {report['members_not_written_out']} more that its events do not write out"
    for name in ("changes", "events"):
        if report[name]:
            yield "", ""
            yield "", f"{name} beside it, for they came shortly before its onset or since; the likeliest first:"
        for each in report[name]:
            yield "", f"  {each['words']}"


# -- forms -------------------------------------------------------------------------------------------------------------


def _signal_form(status: Any) -> dict[str, Any]:
    signal = status.signal
    return {
        "id": f"{signal.id:016x}",
        "name": signal.name,
        "unit": signal.unit,
        "scope": signal.scope,
        "workload": signal.workload,
        "instance": signal.instance,
        "attributes": dict(signal.attributes),
        "condition": status.condition,
        "policy": status.policy,
        "detector": status.detector,
    }


def _window_form(window: Any, status: Any) -> dict[str, Any]:
    return {
        "start_time": iso(_begins(window, status)),
        "end_time": iso(window.end_us),
        "points": window.points,
        "value": window.value,
        "expected": {"value": window.expected, "lower": window.lower, "upper": window.upper},
        "surprise": window.surprise,
        "threshold": window.threshold,
        "policies": window.policies,
    }


def _told_form(told: Any) -> dict[str, Any]:
    return {
        "time": told.time,
        "what": told.what,
        "words": told.words,
        "incident": told.incident,
        "revision": told.revision,
    }


def _when(told: Mapping[str, Any]) -> str:
    return f"{told['time'].replace('.000000Z', 'Z')}  "


def _print(title: str, lines: Iterator[tuple[str, str]]) -> None:
    out = console()
    out.print(Text(plain(title), style="bold"), soft_wrap=True)
    for when, words in lines:
        out.print(Text.assemble((plain(when), "dim"), plain(words)), soft_wrap=True)
