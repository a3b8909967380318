"""Traces, logs and limits together: which workload stands out most, and what speaks for it in words and numbers.

Guarantee: a pure function of what is given; ties go by name. Nothing is a candidate for which nothing speaks.

Each kind of evidence becomes nats that grow ever slower (10 ln(1 + x/10)): more of the same convinces less. The best
kind counts whole, the others a quarter; what is too weak to stand alone only orders workloads among each other. From a
contrast ln(how many were compared) is taken away: of so many one is strong by chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, log1p

from pipeline.causes.behaviour import Contrast, Contrasts, What
from pipeline.causes.saturation import Saturation
from pipeline.causes.self_time import Shift, Slowdown
from pipeline.records.cause import Candidate

_SOFT = 10.0
_OTHERS = 0.25
_WEAK = 0.1
#: A slowdown below it may be chance; how many nats one beyond it is, and one of saturation.
_LEAST_SLOWDOWN, _PER_SLOWDOWN, _PER_SATURATION = 1.5, 2.0, 0.5
_SHOWN = 160

CONTRAST_SIGNALS = {What.TEMPLATE: "log.lines", What.STEP: "traces.operation.calls", What.CALL: "traces.call.calls"}
SELF_TIME_SIGNAL, WAY_SIGNAL = "traces.operation.self_time", "traces.call.gap"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a workload stands out, in nats: by behaviour, self time and saturation, and all together."""

    behaviour: float
    slower: float
    saturated: float
    together: float

    @property
    def speaks(self) -> bool:
        """Does anything speak for it that is more than chance?"""
        return max(self.behaviour, self.slower, self.saturated) > 0.0


def standing(contrast: Contrast | None, compared: int, slowdown: Slowdown | None, full: Saturation | None) -> Standing:
    """One workload's; ``compared`` is how many events were compared, over all workloads."""
    chance = log(max(compared, 1))
    strength = contrast.strength if contrast is not None else 0.0
    longer = slowdown.strength if slowdown is not None else 0.0
    behaviour = _SOFT * log1p(max(strength - chance, 0.0) / _SOFT)
    slower = _SOFT * log1p(_PER_SLOWDOWN * max(longer - _LEAST_SLOWDOWN, 0.0) / _SOFT)
    saturated = _PER_SATURATION * (full.strength if full is not None else 0.0)
    kinds = sorted((behaviour, slower, saturated))
    weak = min(strength, chance) + min(max(longer, 0.0), _LEAST_SLOWDOWN)
    return Standing(behaviour, slower, saturated, kinds[2] + _OTHERS * (kinds[0] + kinds[1]) + _WEAK * weak)


def standings(found: Contrasts, slower: Mapping[str, Slowdown], full: Mapping[str, Saturation]) -> dict[str, Standing]:
    """Of every workload of which something is known."""
    return {
        workload: standing(found.strongest.get(workload), found.compared, slower.get(workload), full.get(workload))
        for workload in sorted({*found.strongest, *slower, *full})
    }


def rank(found: Contrasts, slower: Mapping[str, Slowdown], full: Mapping[str, Saturation]) -> list[Candidate]:
    """Candidates, the most likely first."""
    known = standings(found, slower, full)
    order = sorted(known, key=lambda workload: (-known[workload].together, workload))
    return [
        _candidate(workload, known[workload], found.strongest.get(workload), slower.get(workload), full.get(workload))
        for workload in order
        if known[workload].together > 0.0
    ]


def _candidate(
    workload: str,
    standing: Standing,
    contrast: Contrast | None,
    slowdown: Slowdown | None,
    full: Saturation | None,
) -> Candidate:
    said: list[tuple[float, str, str]] = []
    if contrast is not None and standing.behaviour > 0.0:
        said.append((standing.behaviour, CONTRAST_SIGNALS[contrast.event[0]], behaviour_words(contrast)))
    if slowdown is not None and standing.slower > 0.0:
        signal = WAY_SIGNAL if slowdown.furthest.part[1] else SELF_TIME_SIGNAL
        said.append((standing.slower, signal, time_words(slowdown.furthest)))
    if full is not None and standing.saturated > 0.0:
        said.append((standing.saturated, full.signal, f"{full.signal} {full.value:.3g} %, usually {full.usual:.3g} %"))
    said.sort(key=lambda one: (-one[0], one[1]))
    evidence = tuple(words for _, _, words in said)
    return Candidate(workload, said[0][1] if said else "", standing.together, evidence)


def behaviour_words(found: Contrast) -> str:
    """What happens now, in how many calls of what, and in how many usually."""
    what, name = found.event
    subject = {
        What.TEMPLATE: f"template '{_cut(name)}'",
        What.STEP: f"step '{_cut(name)}'",
        What.CALL: f"call of {_cut(name)}",
    }[what]
    of = f"calls of {found.operation}" if found.operation else "calls"
    return (
        f"{subject} in {_number(found.happened)} of {_number(found.calls)} {of}, "
        f"usually in {_number(found.usual_happened)} of {_number(found.usual_calls)}"
    )


def time_words(found: Shift) -> str:
    """How long a part takes now, and usually."""
    workload, called, operation, step = found.part
    where = f"the way from {workload} to {called} ({operation})" if called else f"{step or operation} itself"
    return f"{where} takes {found.median_ms:.3g} ms, usually {found.usual_ms:.3g} ms"


def _number(count: float) -> str:
    return f"{count:,.0f}" if count >= 10.0 or float(count).is_integer() else f"{count:.1f}"


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…"
