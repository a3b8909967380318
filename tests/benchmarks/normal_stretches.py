"""Is p what it says on real telemetry, where nobody saw an anomaly?

Guarantee: each file is a fleet of its own, scored in order by the real scorer with shipped settings. Counted are the
windows without a label after the file's beginning; what follows an anomaly is among them, and so is what the people
who labelled the data overlooked: a ratio above 1 is not all the detector's.

The data lie in ``CALMSTREAM_DATA`` (default ``../shared/data`` beside the project).
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation import nab, reading
from pipeline.evaluation.labelled import Fleet
from pipeline.evaluation.parallel import in_order
from pipeline.evaluation.scored import score
from pipeline.policies import DetectorPolicy
from tests.benchmarks import calibration
from tests.benchmarks.calibration import ALPHAS, Tally, name_of
from tests.benchmarks.run import Run

SUITES = {"real_nab": "nab", "real_mscloud": "mscloud", "real_smd_train": "smd"}
_ALPHAS = ("1e-2", "1e-3")
_OF_SUITE = (*(f"ratio_at_{alpha}" for alpha in _ALPHAS), "band_coverage")
FIGURES = tuple(name_of(kind, figure) for kind in SUITES for figure in _OF_SUITE)

_PROCESSES = 2
_WARM_UP = 2_000  # windows of a machine; shorter files have NAB's probation


def figures(run: Run, wanted: set[str]) -> None:
    for kind, suite in SUITES.items():
        if not any(name_of(kind, figure) in wanted for figure in _OF_SUITE):
            continue
        if not (folder := data() / suite).is_dir():
            run.say(f"no {folder}, so nothing is measured on it; CALMSTREAM_DATA names the folder with {suite}/")
            continue
        tally = reduce(Tally.plus, in_order(file_tally, _normal(suite, folder), _PROCESSES))
        for figure, value, unit, more in _of_suite(tally):
            if name_of(kind, figure) in wanted:
                run.emit(name_of(kind, figure), value, unit, **more)


def data() -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("CALMSTREAM_DATA", beside))


def _normal(suite: str, folder: Path) -> Iterator[Fleet]:
    """The fleets of a suite; of a machine the part that nobody labelled because it is for training."""
    for fleet in reading.read(suite, [folder]):
        if suite == "smd":
            part = slice(fleet.scored_from)
            fleet = replace(
                fleet, time_us=fleet.time_us[part], values=fleet.values[part], labels=fleet.labels[part], events=()
            )
        yield replace(fleet, scored_from=_WARM_UP if suite == "smd" else nab.probation(fleet.rows))


def file_tally(fleet: Fleet) -> Tally:
    scored = score(fleet, DetectorPolicy())
    counts = scored.given & ~fleet.labels[:, None]
    counts[: fleet.scored_from] = False
    with np.errstate(invalid="ignore"):
        inside = (scored.lower <= fleet.values) & (fleet.values <= scored.upper)
    beyond = [(counts & (scored.surprise >= -np.log10(alpha))).sum(axis=0) for alpha in ALPHAS.values()]
    none = np.zeros(counts.shape[1], np.int64)
    return Tally(counts.sum(axis=0), (inside & counts).sum(axis=0), none, np.stack(beyond, axis=1))


def _of_suite(tally: Tally) -> Iterator[tuple[str, float, str, dict[str, Any]]]:
    size = {"signals": tally.windows.size, "windows": int(tally.windows.sum())}
    yield from calibration.ratios(tally, _ALPHAS, size)
    value, interval = calibration.rate(tally.inside, tally.windows)
    stated = calibration.fleet.stated_coverage()
    yield "band_coverage", value, "share", {"interval": interval, "stated": stated, **size}
