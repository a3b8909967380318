"""How ``calmstream backtest`` is read by people."""

from typing import Any

from pipeline.cli.terminal import SEVERITY_STYLES, cell, console, moment, number, several, table

#: Incidents of a set of policies that are written out, and pairs that are not the same.
_SHOWN = 30
_WHAT = {"only_a": "gone", "only_b": "new", "changed": "changed"}
_STYLES = {"only_a": "green", "only_b": "yellow", "changed": "cyan"}


def show(report: Any) -> None:
    """Print it: the figures of each set of policies, the incidents of the first, and what the other would change."""
    print(f"Told from {moment(report.from_us)} to {moment(report.until_us)}, what was told before is not counted")
    summaries = [one.summary(report.from_us, report.until_us) for one in report.told]
    figures = table("", *(f">{summary['policies']}" for summary in summaries))
    for words, name in (
        ("incidents", "incidents"),
        ("  a day", "incidents_per_day"),
        ("  open at the end", "open_at_end"),
        ("median delay, s from the onset", "median_delay_seconds"),
        ("anomalies", "anomalies"),
        ("  that chance alone would make", "chance_anomalies"),
        ("  an incident", "anomalies_per_incident"),
    ):
        figures.add_row(words, *(cell(number(summary[name])) for summary in summaries))
    for reason in sorted({reason for summary in summaries for reason in summary["held_back"]}):
        held = (summary["held_back"].get(reason, 0) for summary in summaries)
        figures.add_row(f"held back: {reason}", *(cell(number(each)) for each in held))
    console().print(figures)
    _incidents(report)
    if len(report.told) > 1:
        _changes(report)


def _incidents(report: Any) -> None:
    found = report.told[0].incidents(report.from_us)
    shown = table(
        "onset", ">delay", "severity", ">signals", "what", "first cause", title="Incidents:" if found else None
    )
    for tale in found[:_SHOWN]:
        shown.add_row(
            cell(moment(tale.onset_us)),
            cell(f"{tale.delay_us / 1e6:.0f} s"),
            cell(tale.severity, SEVERITY_STYLES.get(tale.severity, "")),
            cell(tale.members),
            cell(tale.title),
            cell(tale.cause or "–"),
        )
    if found:
        console().print(shown)
    if len(found) > _SHOWN:
        print(f"and {several(len(found) - _SHOWN, 'incident')} more; --json has them all")


def _changes(report: Any) -> None:
    different = [pair for pair in report.pairs if pair.what != "same"]
    same = len(report.pairs) - len(different)
    a, b = (one.name for one in report.told)
    print(f"{b} against {a}: {several(same, 'incident')} the same, {several(len(different), 'other')}".rstrip())
    if not different:
        return
    shown = table("", "onset", "severity", "what", "differs in")
    for pair in different[:_SHOWN]:
        tale = pair.first
        shown.add_row(
            cell(_WHAT[pair.what], _STYLES[pair.what]),
            cell(moment(tale.onset_us)),
            cell(tale.severity, SEVERITY_STYLES.get(tale.severity, "")),
            cell(tale.title),
            cell("; ".join(pair.differences)),
        )
    console().print(shown)
    if len(different) > _SHOWN:
        print(f"and {several(len(different) - _SHOWN, 'more')}; --json has them all")
