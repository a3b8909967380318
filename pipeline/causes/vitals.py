"""Vitals of workloads: how much more time, and how many more failures, a window brought than is usual there.

Guarantee: depends on the values of the window and on what is usual alone; the order of signals and workloads does not
matter, and everything comes out finite. A signal of which nothing usual is known is not taken into account: nobody can
say that it is worse than before.

The measure is *work*: request-seconds beyond the usual latency, and failed requests beyond the usual share. A
deviation of a busy workload outweighs the same deviation of a quiet one, and work can be compared along the calls from
one workload to another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, inf, isfinite, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from detectors.ratio import overlap_of, overlap_seen, ratio_surprise

Array = npt.NDArray[Any]

#: Windows with a value from which something usual can be said.
LEAST_WINDOWS = 20
#: A signal's own tail widens its scale: the 98th percentile of healthy windows is at z = 3 at most.
_TAIL, _TAIL_Z = 0.98, 3.0
#: A scale of ln(latency) is never less: differences below 5 % are nobody's trouble.
_LEAST_LOG_SCALE = 0.05
_LEAST_SECONDS = 1e-9
#: A level's scale is never less than this share of it.
_LEAST_LEVEL_SHARE = 0.05
_BAND_Z = 2.576  # standard deviations to the end of a band that holds 99 %
_OUTLIER = 3.0  # standard deviations by which one window may move what is known of a share's spread
_MOST_Z = 100.0


class Role(StrEnum):
    """What a signal says of its workload."""

    LATENCY = "latency"
    ERRORS = "errors"
    SATURATION = "saturation"


@dataclass(frozen=True, slots=True)
class Usual:
    """What healthy windows of a signal were like. Latency: ``centre``, ``scale`` and ``high`` (the 90th percentile) of
    ln(seconds). Errors: of the share of requests that failed; ``scale`` is the correlation of requests of one window.
    Saturation: of the value itself."""

    centre: float
    scale: float
    high: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One signal of a workload in one window. ``value``: seconds, failed requests, or how full something is.
    ``requests`` is how many it speaks for (NaN = not known)."""

    entity: str
    signal: str
    role: Role
    value: float
    usual: Usual | None
    requests: float


@dataclass(frozen=True, slots=True)
class Sign:
    """What a workload shows in one role, by its worst signal. ``z``: how far from usual, in standard deviations, 0
    where it is better. ``excess`` is the work beyond the usual, over all signals of the role: request-seconds or failed
    requests, 0 for saturation; where the number of requests is not known it is that of a single one. ``value`` and
    ``usual`` are in seconds, as a share of requests, or as measured."""

    signal: str
    z: float
    excess: float
    value: float
    usual: float


#: A latency that is longer by less is nobody's trouble.
LEAST_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Vitals:
    """A workload in the window that ends at ``end_us``. ``requests`` is NaN where not known; a role of which nothing is
    known is None."""

    entity: str
    end_us: int
    requests: float
    latency: Sign | None = None
    errors: Sign | None = None
    saturation: Sign | None = None

    def sign(self, role: Role) -> Sign | None:
        return {Role.LATENCY: self.latency, Role.ERRORS: self.errors, Role.SATURATION: self.saturation}[role]

    def felt(self, role: Role) -> float:
        """z of what callers feel of a role: a latency that is longer by 5 ms and more, and failures."""
        sign = self.sign(role)
        if sign is None or role is Role.SATURATION:
            return 0.0
        return sign.z if role is Role.ERRORS or sign.value - sign.usual >= LEAST_SECONDS else 0.0

    @property
    def z(self) -> float:
        """Of the worst role."""
        return max((sign.z for role in Role if (sign := self.sign(role)) is not None), default=0.0)


# -- what is usual -----------------------------------------------------------------------------------------------------


def usual_latency(seconds: Array) -> Usual | None:
    """Of healthy windows of a latency, (windows,) with NaN where there was none; None when there are too few."""
    logs = np.log(np.maximum(seconds[np.isfinite(seconds)], _LEAST_SECONDS))
    return _usual(logs, _LEAST_LOG_SCALE)


def usual_of_band(expected: float, upper: float) -> Usual | None:
    """Of a latency, from what the detector expected of a window and the upper end of its band (the central 99 %), which
    should be of a window before the trouble: expectations follow it. None where there is no band yet."""
    if not 0.0 < expected < upper < inf:
        return None
    centre, high = log(expected), log(upper)
    return Usual(centre, max((high - centre) / _BAND_Z, _LEAST_LOG_SCALE), high)


def usual_level(values: Array, least_scale: float = 0.0) -> Usual | None:
    """Of healthy windows of something that fills up, as ``usual_latency``. ``least_scale`` in the unit of values."""
    known = values[np.isfinite(values)]
    floor = max(least_scale, _LEAST_LEVEL_SHARE * abs(float(np.median(known)))) if known.size else least_scale
    return _usual(known, floor)


def _usual(values: Array, least_scale: float) -> Usual | None:
    """m = median; s = max(1.4826·MAD, IQR/1.349, the least one), and more where the tail is heavy. Of few windows that
    is the largest one: as long as little is known, one such window is no surprise."""
    if values.size < LEAST_WINDOWS:
        return None
    low, centre, up, high, tail = np.quantile(values, [0.25, 0.5, 0.75, 0.9, _TAIL]).tolist()
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    return Usual(centre, max(spread, (up - low) / 1.349, (tail - centre) / _TAIL_Z, least_scale, 1e-12), high)


def usual_errors(errors: Array, requests: Array) -> Usual | None:
    """Of failed requests and requests of healthy windows, (windows,); None when too few had requests. p = (Σ errors +
    ½)/(Σ requests + 1): who never failed is not sure never to."""
    served = np.isfinite(requests) & np.isfinite(errors) & (requests > 0)
    errors, requests = np.minimum(errors[served], requests[served]), requests[served]
    if errors.size < LEAST_WINDOWS:
        return None
    mean = float((errors.sum() + 0.5) / (requests.sum() + 1.0))
    share = errors / requests
    return Usual(mean, _overlap(share, requests, mean), float(np.quantile(share, 0.9)))


def _overlap(share: Array, requests: Array, mean: float) -> float:
    """How much more the share of failures spreads than independent requests would make it."""
    information = weighted = 0.0
    for away, n in zip(np.abs(share - mean).tolist(), requests.tolist(), strict=True):
        if n < 2.0:
            continue
        overlap = overlap_of(mean, information, weighted)
        most = _OUTLIER * sqrt(mean * (1.0 - mean) * (1.0 / n + (1.0 - 1.0 / n) * overlap))
        more, seen = overlap_seen(min(away, most), n, mean, overlap)
        information, weighted = information + more, weighted + more * seen
    return float(overlap_of(mean, information, weighted))


def z_of_surprise(surprise: float) -> float:
    """Standard deviations of a normal value that is as unlikely (−log10 p), on both sides; 100 at most."""
    p = 10.0 ** -min(max(surprise, 0.0), 300.0)
    return _bounded(-float(ndtri(p / 2.0)))


# -- a window ----------------------------------------------------------------------------------------------------------


def vitals(end_us: int, readings: Iterable[Reading]) -> list[Vitals]:
    """Vitals of all workloads that have a reading with a value and something usual, in order of their names."""
    by_entity: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.usual is not None and isfinite(reading.value):
            by_entity.setdefault(reading.entity, []).append(reading)
    return [_of_one(entity, end_us, by_entity[entity]) for entity in sorted(by_entity)]


def _of_one(entity: str, end_us: int, readings: Sequence[Reading]) -> Vitals:
    signs = {role.value: _sign([reading for reading in readings if reading.role is role]) for role in Role}
    return Vitals(entity, end_us, _requests(readings), **signs)


def _requests(readings: Sequence[Reading]) -> float:
    """Operations share the requests of a workload; its latencies and its errors speak for the same ones."""
    totals = []
    for role in (Role.LATENCY, Role.ERRORS):
        known = [reading.requests for reading in readings if reading.role is role and isfinite(reading.requests)]
        totals.append(sum(sorted(known)) if known else -inf)
    most = max(totals)
    return most if most >= 0.0 else float("nan")


def _sign(readings: Sequence[Reading]) -> Sign | None:
    """The worst signal of a role, with the work of all of them."""
    if not readings:
        return None
    signs = sorted((_sign_of(reading) for reading in readings), key=_worst_first)
    worst = signs[0]
    return Sign(worst.signal, worst.z, sum(sign.excess for sign in signs), worst.value, worst.usual)


def _worst_first(sign: Sign) -> tuple[float, float, str, float, float]:
    return -sign.z, -sign.excess, sign.signal, -sign.value, sign.usual


def _sign_of(reading: Reading) -> Sign:
    assert reading.usual is not None
    match reading.role:
        case Role.LATENCY:
            return _latency(reading, reading.usual)
        case Role.ERRORS:
            return _errors(reading, reading.usual)
        case Role.SATURATION:
            z = (reading.value - reading.usual.centre) / reading.usual.scale
            return Sign(reading.signal, _bounded(z), 0.0, reading.value, reading.usual.centre)


def _latency(reading: Reading, usual: Usual) -> Sign:
    """E = requests·(l − e^m); not above the usual where the window is not above the signal's own 90th percentile."""
    seconds = max(reading.value, _LEAST_SECONDS)
    typical = exp(usual.centre)
    more = seconds - typical
    requests = reading.requests if isfinite(reading.requests) else 1.0
    if log(seconds) <= usual.high:
        more = min(more, 0.0)
    return Sign(
        reading.signal, _bounded((log(seconds) - usual.centre) / usual.scale), more * requests, seconds, typical
    )


def _errors(reading: Reading, usual: Usual) -> Sign:
    """E = errors − requests·p; z is that of the tail probability of so many failures among so many requests."""
    if not isfinite(reading.requests):
        z = (reading.value - usual.centre) / sqrt(max(usual.centre, 1.0) + usual.scale * usual.scale)
        return Sign(reading.signal, _bounded(z), reading.value - usual.centre, reading.value, usual.centre)
    requests = max(reading.requests, reading.value)
    expected = requests * usual.centre
    more = reading.value - expected
    share = reading.value / requests if requests > 0.0 else 0.0
    z = _z_of_failures(reading.value, requests, usual) if more > 0.0 else 0.0
    return Sign(reading.signal, z, more if share > usual.high else min(more, 0.0), share, usual.centre)


def _z_of_failures(errors: float, requests: float, usual: Usual) -> float:
    mean = min(max(usual.centre, 1e-9), 1.0 - 1e-9)
    surprise = float(ratio_surprise(float(round(errors)), float(round(requests)), mean, usual.scale))
    return _bounded(-float(ndtri(max(10.0**-surprise, 1e-300) / 2.0)))


def _bounded(z: float) -> float:
    return min(max(z, 0.0), _MOST_Z) if isfinite(z) else 0.0
