"""What workloads lose, and what stands out in them beside that, together: one ranking.

Guarantee: a pure function of what is given; ties go by name. Where nothing but vitals is known the order is that of
``residual``.

Kinds of evidence are weighed against each other as in ``fusion``, and what a workload loses that nothing else explains
is one of them. A workload that fails because of what it calls says so in its log: what its lines say counts only as far
as what it loses is not explained by what it calls, be it by what these lose or by what it sees of its own calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log1p

from pipeline.causes import fusion
from pipeline.causes.behaviour import Contrast
from pipeline.causes.evidence import sentences
from pipeline.causes.placement import Crowd
from pipeline.causes.residual import LEAST_Z, Finding
from pipeline.causes.saturation import Saturation
from pipeline.causes.self_time import Slowdown
from pipeline.causes.vitals import Role
from pipeline.records.cause import Candidate

_SOFT, _OTHERS = 10.0, 0.25


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands out of a workload beside its vitals, and the same in words; ``notes`` are worth saying of a
    candidate, and say nothing of which one it is. ``calls_explain``: which part of what it loses, by role, it sees in
    the calls that it makes; ``by_node``: which part of it the node explains on which its instances suffer."""

    contrast: Contrast | None = None
    contrast_words: str = ""
    slowdown: Slowdown | None = None
    slowdown_words: str = ""
    full: Saturation | None = None
    notes: tuple[str, ...] = ()
    calls_explain: Mapping[Role, float] = field(default_factory=dict)
    crowd: Crowd | None = None
    by_node: float = 0.0


NOTHING = Beside()


@dataclass(frozen=True, slots=True)
class _Weighed:
    finding: Finding | None
    lost: float
    behaviour: float
    slower: float
    saturated: float
    crowded: float
    weak: float

    @property
    def together(self) -> float:
        kinds = sorted((self.lost, self.behaviour, self.slower, self.saturated, self.crowded), reverse=True)
        return kinds[0] + _OTHERS * sum(kinds[1:]) + self.weak

    @property
    def speaks(self) -> bool:
        strong = max(self.lost, self.behaviour, self.slower, self.saturated, self.crowded) > 0.0
        return strong or (self.finding is not None and self.finding.z >= LEAST_Z)


def rank(findings: Iterable[Finding], beside: Mapping[str, Beside], compared: int) -> list[Candidate]:
    """Candidates, the likeliest first. ``findings`` as ``residual.findings`` has them, ``compared``: how many shares of
    log lines were, over all workloads."""
    known = {finding.entity: finding for finding in findings}
    found = {
        entity: _weighed(known.get(entity), beside.get(entity, NOTHING), compared)
        for entity in sorted({*known, *beside})
    }
    if max((finding.z for finding in known.values()), default=0.0) < LEAST_Z:
        found = {
            entity: each
            for entity, each in found.items()
            if max(each.behaviour, each.slower, each.saturated, each.crowded) > 0.0
        }
    order = sorted(
        (entity for entity, each in found.items() if each.speaks),
        key=lambda entity: (-found[entity].together, -_z(found[entity].finding), entity),
    )
    return [_candidate(entity, found[entity], beside.get(entity, NOTHING)) for entity in order]


def _z(finding: Finding | None) -> float:
    return finding.z if finding is not None else 0.0


def _weighed(finding: Finding | None, beside: Beside, compared: int) -> _Weighed:
    nats = fusion.standing(beside.contrast, compared, beside.slowdown, beside.full)
    own = 1.0 - beside.by_node
    lost = own * _SOFT * log1p(finding.score / _SOFT) if finding is not None else 0.0
    kinds = sorted((nats.behaviour, nats.slower, nats.saturated))
    weak = nats.together - kinds[2] - _OTHERS * (kinds[0] + kinds[1])
    behaviour = nats.behaviour * _unexplained(finding, beside.calls_explain)
    crowded = _SOFT * log1p(beside.crowd.strength / _SOFT) if beside.crowd is not None else 0.0
    return _Weighed(finding, lost, behaviour, own * nats.slower, nats.saturated, crowded, weak)


def _unexplained(finding: Finding | None, calls_explain: Mapping[Role, float]) -> float:
    """The part of what a workload loses that is its own, in the role that is furthest from usual. Where it loses
    nothing it is all, or nothing if its calls lose something: it makes up for them."""
    lost = [role for role, work in finding.work.items() if work > 0.0 and role in finding.worst] if finding else []
    if finding is None or not lost:
        return 1.0 - max(calls_explain.values(), default=0.0)
    role = max(lost, key=lambda each: (finding.worst[each].z, each))
    return min(finding.left[role] / finding.work[role], 1.0 - calls_explain.get(role, 0.0))


def _candidate(entity: str, weighed: _Weighed, beside: Beside) -> Candidate:
    said: list[tuple[float, str, tuple[str, ...]]] = []
    finding = weighed.finding
    if finding is not None:
        role = finding.role
        said.append((weighed.lost, finding.worst[role].signal if role is not None else "", sentences(finding)))
    if beside.contrast is not None and weighed.behaviour > 0.0:
        said.append((weighed.behaviour, fusion.CONTRAST_SIGNALS[beside.contrast.event[0]], (beside.contrast_words,)))
    if beside.slowdown is not None and weighed.slower > 0.0:
        said.append((weighed.slower, fusion.SELF_TIME_SIGNAL, (beside.slowdown_words,)))
    if beside.full is not None and weighed.saturated > 0.0:
        said.append((weighed.saturated, beside.full.signal, ()))
    if beside.crowd is not None:
        said.append((weighed.crowded, "", (beside.crowd.words(),)))
    said.sort(key=lambda one: (-one[0], one[1]))
    words = [text for _, _, texts in said for text in texts]
    evidence = tuple(dict.fromkeys([*words[:1], *beside.notes, *words[1:]]))
    signal = next((signal for _, signal, _ in said if signal), "")
    return Candidate(entity, signal, weighed.together, evidence)
