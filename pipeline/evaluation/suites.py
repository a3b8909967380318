"""A suite of labelled data, scored with one policy: figures a file, and figures of the whole.

Guarantee: one set of parameters for every file; a threshold that was chosen with labels is called ``best``, the one
that people get ``shipped``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.evaluation import events, nab, peers
from pipeline.evaluation.events import Tally
from pipeline.evaluation.labelled import Array, Fleet
from pipeline.evaluation.parallel import in_order
from pipeline.evaluation.scored import Policies, Scored, openings, score
from pipeline.evaluation.vus import vus_pr

#: Thresholds tried for the best one, between the least surprise that matters and beyond the greatest.
_THRESHOLDS = 240
_LEAST_THRESHOLD, _MOST_WINDOWS = 0.5, 0.2


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one file gave. ``covered`` of ``bounded`` normal windows were within their bounds."""

    name: str
    rows: int
    signals: int
    tally: Tally
    vus_pr: float | None
    covered: int
    bounded: int
    peers: dict[str, float]


def file_result(scored: Scored, with_peers: bool) -> FileResult:
    fleet = scored.fleet
    labels = fleet.labels[fleet.scored_from :]
    inside, bounded = _coverage(scored)
    rivals = {name: peer(fleet) for name, peer in peers.PEERS.items()} if with_peers else {}
    return FileResult(
        name=fleet.name,
        rows=fleet.rows,
        signals=len(fleet.signals),
        tally=events.tally(scored),
        vus_pr=vus_pr(scored.surprise_together()[fleet.scored_from :], labels),
        covered=inside,
        bounded=bounded,
        peers={
            name: found
            for name, array in rivals.items()
            if (found := vus_pr(array[fleet.scored_from :], labels)) is not None
        },
    )


def _coverage(scored: Scored) -> tuple[int, int]:
    """Normal scored windows within their bounds, and all of them that have bounds with something between."""
    fleet = scored.fleet
    judged = scored.given & ~fleet.labels[:, None] & (scored.upper > scored.lower)
    judged[: fleet.scored_from] = False
    inside = judged & (fleet.values >= scored.lower) & (fleet.values <= scored.upper)
    return int(inside.sum()), int(judged.sum())


# -- the whole ---------------------------------------------------------------------------------------------------------


def evaluate(
    suite: str,
    fleets: Iterable[Fleet],
    policies: Policies,
    *,
    with_peers: bool = False,
    jobs: int = 1,
    on_file: Callable[[Scored, FileResult], None] | None = None,
) -> dict[str, Any]:
    """Score every fleet; the figures of the suite, ready for JSON. ``on_file`` is told of each file as it is done."""
    results: list[FileResult] = []
    kept: list[Scored] = []
    one = partial(_one, policies=policies, with_peers=with_peers)
    for scored, result in in_order(one, fleets, jobs):
        results.append(result)
        if suite == "nab":
            kept.append(scored)
        if on_file is not None:
            on_file(scored, result)
    profiles, thresholds = nab_profiles(kept, jobs) if kept else (dict.fromkeys(nab.PROFILES, _NO_PROFILE), None)
    return _figures(suite, results) | {"profiles": profiles, "best_thresholds": thresholds}


def _one(fleet: Fleet, policies: Policies, with_peers: bool) -> tuple[Scored, FileResult]:
    scored = score(fleet, policies)
    return scored, file_result(scored, with_peers)


_NO_PROFILE: dict[str, float | None] = {"best": None, "shipped": None, "stderr": None}


def _figures(suite: str, results: Sequence[FileResult]) -> dict[str, Any]:
    total = events.together(result.tally for result in results)
    bounded = sum(result.bounded for result in results)
    figures: dict[str, Any] = {
        "suite": suite,
        "files": len(results),
        "vus_pr": _mean([result.vus_pr for result in results]),
        "event_precision": total.precision,
        "event_recall": total.recall,
        "median_delay_windows": total.delay,
        "false_alarms_per_signal_week": total.false_a_week,
        "events": total.events,
        "anomalies": total.anomalies,
        "signal_weeks": total.signal_weeks,
        "alarms_per_1000_windows": total.alarms_per_1000,
        "bounds_coverage": sum(result.covered for result in results) / bounded if bounded else None,
    }
    names = sorted({name for result in results for name in result.peers})
    if names:
        figures["peers"] = {name: {"vus_pr": _mean([result.peers.get(name) for result in results])} for name in names}
    return figures


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# -- NAB ---------------------------------------------------------------------------------------------------------------


def nab_profiles(
    corpus: Sequence[Scored], jobs: int = 1
) -> tuple[dict[str, dict[str, float | None]], dict[str, float] | None]:
    """Each profile's figures, and its best threshold; None when no file has a window."""
    thresholds = thresholds_for(corpus)
    swept = list(in_order(partial(_swept, thresholds=thresholds), corpus, jobs))
    shipped = [_parts(scored, _shipped(scored)) for scored in corpus]
    profiles, chosen = {}, {}
    for name, profile in nab.PROFILES.items():
        found, ours = nab.scores(swept, profile), nab.scores(shipped, profile)
        if found is None or ours is None:
            return dict.fromkeys(nab.PROFILES, _NO_PROFILE), None
        at = nab.best(swept, profile)
        chosen[name] = float(thresholds[at])
        error = nab.standard_error(swept, profile, at)
        profiles[name] = {"best": float(found[at]), "shipped": float(ours[0]), "stderr": error}
    return profiles, chosen


def thresholds_for(corpus: Sequence[Scored]) -> Array:
    """Thresholds that more and more of the corpus' windows reach, dense where few do."""
    surprise = np.sort(np.concatenate([scored.surprise[scored.given] for scored in corpus]))[::-1]
    most = max(int(surprise.size * _MOST_WINDOWS), 1)
    ranks = np.unique(np.geomspace(1, most, _THRESHOLDS).astype(np.int64)) - 1
    found = np.unique(surprise[ranks])
    return np.concatenate([found[found >= _LEAST_THRESHOLD], [surprise[0] + 1.0]])


def _shipped(scored: Scored) -> Array:
    """(1, rows): where anomalies opened."""
    found = np.zeros((1, scored.fleet.rows), np.bool_)
    found[0, [span.opened for span in scored.spans]] = True
    return found


def _swept(scored: Scored, thresholds: Array) -> nab.Parts:
    return _parts(scored, openings(scored, thresholds))


def _parts(scored: Scored, detections: Array) -> nab.Parts:
    return nab.file_parts(detections, scored.fleet.events, scored.fleet.scored_from)
