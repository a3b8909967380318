"""The default detector: seven kinds of evidence about one row, each calibrated by its own tail, summed, and the sum
turned into a tail probability.

Guarantee: that of every row detector; besides, P(p ≤ α) is about α on signals that are stationary or periodic, whatever
their unit, scale or distribution (measured, see docs/detection.md). Windows that stay surprising teach slowly. State
of one row is under 3 KB.

What a window goes through: place in the soft range → season and forecast → streams (residual, deviation from the
season, the same over an hour, record, standstill, quiet, drift, three scales of shape) → tails (−log10 of each
stream's tail probability) → evidence (each capped, and decaying over windows) → total → p by the tail of the row's own
totals, drawn towards a prior where the history is short.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors import deviations, drift, forecast, heirs, held, novelty, season, shift, soft_range, tails
from detectors import layout as at
from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

#: Parts that can be turned off by name, and what the bit of each is in ``RowOptions.off``.
PARTS = ("residual", "season", "record", "flat", "quiet", "drift", "novelty", "counts", "shift")
(OFF_RESIDUAL, OFF_SEASON, OFF_RECORD, OFF_FLAT, OFF_QUIET, OFF_DRIFT, OFF_NOVELTY, OFF_COUNTS, OFF_SHIFT) = (
    1 << bit for bit in range(len(PARTS))
)

_LARGEST = 1e18  # larger values count as this one, so that squares stay finite in single precision
_LONGEST = 3600.0  # seconds: what a gap counts at most
_TAIL_WARM = 20  # windows that make the mean of a point stream, after _TAIL_FROM
_TAIL_FROM = 10
_SHAPE_WARM = 8  # blocks
_POINT, _STRETCH = 0.98, 0.95  # levels of the thresholds
_PRIOR_POINT, _PRIOR_STRETCH, _PRIOR_FLAT = (3.0, 0.8), (2.0, 0.4), (5.0, 10.0 / 3.0)
_FLAT_UNIT = 0.3
_CAP, _DECAY = 4.0, 0.8
_SEASON_WEIGHT = 0.5
# The deviation of a single window is worth less the shorter it is: 1 for an hour, 0.54 for five minutes, 0.5 at least.
_LENGTH_POWER, _LEAST_LENGTH_WEIGHT = 0.25, 0.5
# Disturbed windows (surprising ones in a row, far from the usual level, mostly far from the forecast) teach slowly.
_HOT_FROM, _HOT_SURPRISE, _MANY_BURSTS, _DISTURBED_PACE = 4.0, 2.5, 0.4, 0.1
_HOT_MOST = 2.0  # ordinary surprising windows that a very surprising one counts as
_TOTAL_LEVEL = 0.98
_TOTAL_SURPRISE = 1.6989700043360187  # −log10(1 − _TOTAL_LEVEL)
_TOTAL_BEGIN = 10.0  # excesses that a row's own beginning is worth
_PRIOR_WEIGHT = 150.0  # excesses that the prior of totals is worth
_LEAST_U = 0.5
_LONG_RUN = 20.0  # windows in a row above the threshold that are no noise any more, and teach slowly
_NEW_RECORDS = 0.5  # soft ranges beyond the soft range, where records begin anew
_LN2, _LN10 = 0.6931471805599453, 2.302585092994046


@dataclass(frozen=True, slots=True)
class TotalsPrior:
    """What the tail of a row's totals is taken to be before the row has shown its own: the threshold that 2 % of
    windows pass, and the mean excess over it. Defaults are those of synthetic signals (tests/detectors/prior.py)."""

    threshold: float = 2.8
    excess: float = 1.0


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What people decide for each row, shapes (rows,): ``off`` bits of PARTS, ``season`` one of season's hints,
    ``history`` windows that pass before any is surprising (None: the detector's own)."""

    off: npt.NDArray[np.uint16]
    season: npt.NDArray[np.uint8]
    history: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class ComposedScores(Scores):
    """``evidence`` (rows, layout.EVIDENCE): what the total is made of; ``shift`` (rows,): the step by which the row's
    level was taken to have shifted in this window, mostly 0. ``slow`` (rows,): an array of ``slow`` changed."""

    evidence: npt.NDArray[np.float32]
    shift: Floats
    slow: Mask


@dataclass(frozen=True, slots=True)
class ComposedDetector:
    """``min_history`` windows of a row pass before any is surprising; ``parts`` are those in use."""

    min_history: int = 40
    parts: tuple[str, ...] = PARTS
    prior: TotalsPrior = field(default_factory=TotalsPrior)

    version: ClassVar[str] = "composed/2"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "phase": np.uint8,
        "core": np.dtype(("f8", (at.CORE,))),
        "least": np.dtype(("f8", (soft_range.LEAST_KEPT,))),
        "most": np.dtype(("f8", (soft_range.MOST_KEPT,))),
        "trust": np.dtype(("f4", (forecast.EXPERTS,))),
        "week": np.dtype(("f4", (season.HOURS,))),
        "visits": np.dtype(("u1", (season.HOURS,))),
        "day": np.dtype(("f4", (season.DAY,))),
        "day_visits": np.dtype(("u1", (season.DAY,))),
        "histograms": np.dtype(("f4", (2 * drift.BINS,))),
        "blocks": np.dtype(("f4", (novelty.SCALES, novelty.WIDTH))),
        "shapes": np.dtype(("i2", (novelty.SCALES, novelty.SHAPES * novelty.BLOCKS))),
        "tails": np.dtype(("f4", (at.TAILS, tails.WIDTH))),
        "evidence": np.dtype(("f4", (at.EVIDENCE,))),
        "totals": np.dtype(("f4", (at.TOTALS,))),
        "held": np.dtype(("f4", (held.TAILS,))),
        "held_core": np.dtype(("f8", (held.CORE.size,))),
    }
    slow: ClassVar[frozenset[str]] = frozenset(
        {"week", "visits", "day", "day_visits", "least", "most", "shapes", "held", "held_core"}
    )

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown:
            raise ValueError(f"unknown parts {', '.join(unknown)}; there are {', '.join(PARTS)}")
        if self.min_history < 5:
            raise ValueError(f"min_history is {self.min_history}; use 5 or more")

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(
        self,
        state: State,
        values: Floats,
        mask: Mask,
        now: float,
        options: RowOptions | None = None,
        prior: TotalsPrior | None = None,
        most: Floats | None = None,
    ) -> ComposedScores:
        """See RowDetector; ``options`` and ``prior`` take the place of the detector's own. ``most`` (rows,) is the most
        evidence that a single value can be, for rows that count few things (detectors.counts); the part "counts"."""
        rows = values.size
        told = options or self._options(rows)
        believed = prior or self.prior
        limit = np.full(rows, np.inf) if most is None else most
        history = np.full(rows, self.min_history, np.int32) if told.history is None else told.history
        scored = np.full((6, rows), np.nan)
        evidence = np.zeros((rows, at.EVIDENCE), np.float32)
        _step(
            _State(*(state.arrays[name] for name in self.fields)),
            values,
            mask,
            now,
            (told.off, told.season, limit, history),
            (believed.threshold, believed.excess),
            scored,
            evidence,
        )
        return ComposedScores(scored[0], scored[1], scored[2], scored[3], evidence, scored[4], scored[5] > 0)

    def _options(self, rows: int) -> RowOptions:
        off = sum(1 << bit for bit, part in enumerate(PARTS) if part not in self.parts)
        return RowOptions(np.full(rows, off, np.uint16), np.zeros(rows, np.uint8))


class _State(NamedTuple):
    """The arrays of the state in the order of ``fields``, as the kernel takes them."""

    seen: Any
    phase: Any
    core: Any
    least: Any
    most: Any
    trust: Any
    week: Any
    visits: Any
    day: Any
    day_visits: Any
    histograms: Any
    blocks: Any
    shapes: Any
    tails: Any
    evidence: Any
    totals: Any
    held: Any
    held_core: Any


@njit(cache=True, error_model="numpy")
def _step(
    state: Any, values: Any, mask: Any, now: float, options: Any, believed: Any, scored: Any, evidence: Any
) -> None:
    """All rows, one after the other."""
    before = np.empty(held.CORE.size), np.empty((at.TAILS, tails.WIDTH), np.float32)
    for i in range(values.size):
        if mask[i] and np.isfinite(values[i]):
            x = min(max(values[i], -_LARGEST), _LARGEST)
            core, seen = state.core[i], state.seen[i]
            if core[at.ALIGN] > 0.0:
                core[at.HELD] = 0.0  # what was held is the donor's
                heirs.fit(state, i, x, now, scored)
            else:
                told = (options[0][i], options[1][i], options[2][i], options[3][i])
                _row(state, i, x, seen, now, told, believed, scored, before)
                evidence[i] = state.evidence[i]
            state.seen[i] = seen + 1


@njit(cache=True, error_model="numpy")
def _row(
    state: Any, i: int, x: float, seen: int, now: float, told: Any, believed: Any, scored: Any, before: Any
) -> None:
    """One window of one row: score, then learn; ``before`` is where held.note writes down what was."""
    off, hint, most, history = told
    core, streams = state.core[i], state.tails[i]
    sizes, shown = before
    held.note(core, streams, sizes, shown)
    scored[5, i] = 1.0 if seen < soft_range.YOUNG else 0.0
    disturbed = core[at.HOT] >= _HOT_FROM or core[at.LASTING] > 0.0 or core[at.BURSTS] > _MANY_BURSTS
    pace = _DISTURBED_PACE if disturbed else 1.0
    seconds = min(max(now - core[at.TIME], 1e-3), _LONGEST) if seen > 0 else 60.0
    core[at.TIME] = now
    if off & OFF_SEASON:
        hint = season.NONE
    if seen == 0:
        core[at.LAST] = core[at.SEASONAL] = core[at.FAST] = core[at.MEDIUM] = core[at.SLOW] = x
    # what is expected
    place = _place(state, i, x, seen)
    level, expected, visited = _expect(state, i, x, seen, now, seconds, hint, pace)
    scored[5, i] += visited
    advice = np.empty(forecast.EXPERTS)
    forecast.advise(core, expected, advice)
    forecasted = forecast.mixture(state.trust[i], advice, seen)
    _band(core, streams[at.RESIDUAL], x, forecasted, seen, scored[:, i])
    # how odd each stream is
    core[at.HOURLY] += seconds / _LONGEST * (x - expected - core[at.HOURLY])
    by = np.zeros(at.EVIDENCE)
    floor = 1e-9 * max(core[at.SCALE], 1e-6 * abs(x)) + 1e-300
    if seen >= _TAIL_FROM:
        residual = _point(streams[at.RESIDUAL], abs(x - forecasted), floor, pace)
        seasonal = _point(streams[at.SEASON], abs(x - expected), floor, pace)
        hourly = _point(streams[at.HOUR], abs(core[at.HOURLY]), floor, pace)
        if not off & OFF_RESIDUAL:
            weight = max((seconds / _LONGEST) ** _LENGTH_POWER, _LEAST_LENGTH_WEIGHT)
            by[at.BY_RESIDUAL] = weight * _capped(max(residual, _SEASON_WEIGHT * seasonal))
        if not off & OFF_SEASON:
            by[at.BY_SEASON] = _SEASON_WEIGHT * hourly
    if not off & OFF_RECORD:
        by[at.BY_RECORD] = deviations.record(core, x, seen)
    deviations.learn_record(core, x, seen)
    if not off & OFF_COUNTS:
        for j in (at.BY_RESIDUAL, at.BY_SEASON, at.BY_RECORD):
            by[j] = min(by[j], most)
    flat = deviations.flat(core, x, seen)
    quiet = deviations.quiet(core, place, seen)
    flatness = _flat(streams[at.FLAT], flat, pace)
    quietness = _point(streams[at.QUIET], quiet, 1e-6, pace) if seen >= deviations.QUIET_FROM else 0.0
    by[at.BY_STILLNESS] = max(
        0.0 if off & OFF_FLAT else flatness,
        0.0 if off & OFF_QUIET else quietness,
    )
    distance = drift.drift(state.histograms[i], place, seen)
    if seen >= drift.DRIFT_FROM:
        drifting = _point(streams[at.DRIFT], distance, 1e-6, pace)
        by[at.BY_DRIFT] = 0.0 if off & OFF_DRIFT else drifting
    if seen >= soft_range.YOUNG and not off & OFF_NOVELTY:
        scored[5, i] += _shapes(state, i, place, seen, by, pace)
    # all together
    total = 0.0
    kept = state.evidence[i]
    for j in range(at.EVIDENCE):
        kept[j] = max(min(by[j], _CAP), _DECAY * kept[j])
        total += kept[j]
    surprise = _surprise(state.totals[i], total, seen >= history, believed, pace)
    scored[3, i] = surprise
    hot = surprise >= _HOT_SURPRISE
    core[at.HOT] = core[at.HOT] + min(surprise / _HOT_SURPRISE, _HOT_MOST) if hot else 0.0
    # learn
    if (hot or core[at.HELD] != 0.0) and seen >= soft_range.YOUNG:
        scored[5, i] += held.follow(state, i, sizes, shown, x, abs(x - forecasted), hot)
    scored[4, i] = _shift(core, x - level, seen, pace) if not off & OFF_SHIFT else 0.0
    if scored[4, i] != 0.0:
        held.anew(state, i, x)
        core[at.HELD] = 0.0
    forecast.learn(core, state.trust[i], advice, forecasted, x, seen)
    season.present(core, x)
    core[at.LAST] = x
    core[at.SEASONAL] = expected + scored[4, i]


@njit(cache=True, error_model="numpy")
def _place(state: Any, i: int, x: float, seen: int) -> float:
    core = state.core[i]
    if seen < soft_range.YOUNG:
        soft_range.follow_young(core, state.least[i], state.most[i], x, seen)
    place = soft_range.place(core, x)
    if seen >= soft_range.YOUNG:
        soft_range.follow(core, x, seen)
    return place


@njit(cache=True, error_model="numpy")
def _expect(
    state: Any, i: int, x: float, seen: int, now: float, seconds: float, hint: int, pace: float
) -> tuple[float, float, bool]:
    """The usual level at this time, the same drawn towards the present hour, and whether the profile changed, for the
    hour is entered."""
    core = state.core[i]
    week, visits, day, day_visits = state.week[i], state.visits[i], state.day[i], state.day_visits[i]
    hour, part = season.hour_of(now)
    hour = (hour + int(core[at.CLOCK]) + season.HOURS) % season.HOURS
    visited = season.visit(core, week, visits, day, day_visits, hour, pace)
    offset = core[at.OFFSET]
    level = season.usual(week, visits, day, day_visits, hour, part, hint, core[at.SLOW] - offset) + offset
    fallback = season.usual(week, visits, day, day_visits, hour, part, hint, core[at.MEDIUM] - offset) + offset
    if hint != season.NONE and visits[hour] >= season.CLOCK_FROM:
        early = season.usual(week, visits, day, day_visits, hour - 1, part, hint, core[at.SLOW] - offset) + offset
        tardy = season.usual(week, visits, day, day_visits, hour + 1, part, hint, core[at.SLOW] - offset) + offset
        season.read_clock(core, abs(x - early), abs(x - level), abs(x - tardy), seconds)
    return level, season.so_far(core, fallback, seconds), visited


@njit(cache=True, error_model="numpy")
def _band(core: Any, tail: Any, x: float, forecasted: float, seen: int, scored: Any) -> None:
    """The central 99 % of what may come; wider while little was seen, not below 0 where nothing ever was."""
    half = tail[tails.U] + tail[tails.FIRST] * _LN2
    if seen < _TAIL_FROM + _TAIL_WARM:
        half = 4.0 * core[at.SCALE]
    half *= 1.0 + 10.0 / (seen + 1.0)
    scored[0] = forecasted
    low = forecasted - half
    if seen > 0 and core[at.LEAST] >= 0.0:
        low = min(max(low, 0.0), forecasted)
    scored[1] = low
    scored[2] = forecasted + half


@njit(cache=True, error_model="numpy")
def _point(tail: Any, a: float, floor: float, pace: float) -> float:
    found = tails.surprise(tail, a, _POINT, _TAIL_WARM)
    tails.learn(tail, a, _POINT, _TAIL_WARM, _PRIOR_POINT, floor, pace)
    return found


@njit(cache=True, error_model="numpy")
def _flat(tail: Any, run: float, pace: float) -> float:
    if tail[tails.VALUES] == 0.0:
        tails.begin(tail, _FLAT_UNIT, _PRIOR_FLAT[0], _PRIOR_FLAT[1])
    found = tails.surprise(tail, run, _POINT, 0)
    tails.learn(tail, run, _POINT, 0, _PRIOR_FLAT, 1e-3, pace)
    return found


@njit(cache=True, error_model="numpy")
def _shapes(state: Any, i: int, place: float, seen: int, by: Any, pace: float) -> int:
    """Evidence of shapes; how many were remembered."""
    tick = seen + state.phase[i]
    remembered = 0
    for scale in range(novelty.SCALES):
        blocks = state.blocks[i, scale]
        known, oldest = blocks[novelty.KNOWN], blocks[novelty.OLDEST]
        distance = novelty.novelty(blocks, state.shapes[i, scale], scale, place, tick)
        remembered += blocks[novelty.KNOWN] != known or blocks[novelty.OLDEST] != oldest
        if distance >= 0.0:
            tail = state.tails[i, at.SHAPE_16 + scale]
            found = tails.surprise(tail, distance, _STRETCH, _SHAPE_WARM)
            tails.learn(tail, distance, _STRETCH, _SHAPE_WARM, _PRIOR_STRETCH, 1e-6, pace)
            where = at.BY_SHAPE if scale == 0 else at.BY_LONG_SHAPE
            by[where] = max(by[where], found)
    return remembered


@njit(cache=True, error_model="numpy")
def _capped(evidence: float) -> float:
    """Beyond the cap only the logarithm counts, so that one stream alone hardly makes an alarm."""
    return evidence if evidence <= _CAP else _CAP + np.log1p(evidence - _CAP)


@njit(cache=True, error_model="numpy")
def _surprise(totals: Any, total: float, warm: bool, believed: Any, pace: float) -> float:
    """−log10 p of the total by an exponential tail over a tracked quantile; then learn it."""
    threshold, excess = believed
    if not warm:
        return 0.0
    if totals[at.TOTAL_VALUES] == 0.0:
        totals[at.TOTAL_U], totals[at.TOTAL_MEAN], totals[at.TOTAL_EXCESSES] = threshold, excess, _TOTAL_BEGIN
    own = totals[at.TOTAL_EXCESSES] / (totals[at.TOTAL_EXCESSES] + _PRIOR_WEIGHT)
    u = own * totals[at.TOTAL_U] + (1.0 - own) * threshold
    mean = own * totals[at.TOTAL_MEAN] + (1.0 - own) * excess
    found = _TOTAL_SURPRISE + (total - u) / (mean * _LN10) if total > u else _TOTAL_SURPRISE * total / u
    totals[at.TOTAL_VALUES] += 1.0
    u, mean = totals[at.TOTAL_U], totals[at.TOTAL_MEAN]
    totals[at.TOTAL_RUN] = totals[at.TOTAL_RUN] + 1.0 if total > u else 0.0
    if totals[at.TOTAL_RUN] > _LONG_RUN:
        pace *= _DISTURBED_PACE
    step = max(0.7 / (totals[at.TOTAL_VALUES] + 50.0 * _TOTAL_BEGIN) ** 0.5, 0.01) * pace
    if total > u:
        totals[at.TOTAL_EXCESSES] += pace
        rate = max(1.0 / totals[at.TOTAL_EXCESSES], 0.003) * pace
        totals[at.TOTAL_MEAN] += rate * (min(total - u, 3.0 * mean) - mean)
        totals[at.TOTAL_U] = u + _TOTAL_LEVEL * step
    else:
        totals[at.TOTAL_U] = max(u - (1.0 - _TOTAL_LEVEL) * step, _LEAST_U)
    return found


@njit(cache=True, error_model="numpy")
def _shift(core: Any, away: float, seen: int, pace: float) -> float:
    """Adopt a level that lasts: profile, slow level and soft range move with it, and records begin anew around it."""
    step = shift.shift(core, away, seen, pace)
    if step != 0.0:
        heirs.move(core, step)
        around = _NEW_RECORDS * (core[at.HIGH] - core[at.LOW])
        core[at.LEAST], core[at.MOST] = core[at.LOW] - around, core[at.HIGH] + around
    return step
