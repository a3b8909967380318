"""The title of an incident: one sentence that says what is broken, since when, where it starts, what changed just
before, how far it spread, and what was lost.

Guarantee: true of the incident as it is: numbers are those of the signal named, at its most unlikely window; what is
only likely is said to be. At most MOST characters: clauses that matter less are left out first, and names that are too
long are cut. Names come from producers, as everywhere in an event: who shows a title escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.incidents.evidence import name_of
from pipeline.incidents.losses import amount_words, clock
from pipeline.incidents.roles import ERRORS, Roles
from pipeline.records import US, Anomaly, Candidate, Change, Happened, Impacted

MOST = 200
#: Characters of one name; of a label with its attributes.
_MOST_NAME, _MOST_LABEL = 40, 60
#: How long before the onset a change is told of as what came before it.
_JUST_BEFORE_US = 600 * US
#: Signals of an entity as a whole, which tell how far its signals together are from usual.
_TOGETHER = "calm.entity"
_DONE = {
    "deployment": "was deployed", "rollback": "was rolled back", "removal": "was removed", "flag": "was switched",
    "config": "was configured", "scaling": "was scaled", "canary": "began as a canary",
    "experiment": "began as an experiment", "code": "changed its code",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    """What a title is made of: the members, the most unlikely first, and how many workloads they are of."""

    onset_us: int
    members: Sequence[Anomaly]
    workloads: int
    impacted: Sequence[Impacted] = ()
    causes: Sequence[Candidate] = ()
    changes: Sequence[Happened] = ()


def title(story: Story, roles: Roles, *, withdrawn: bool = False) -> str:
    """The sentence, without a full stop. ``withdrawn``: late data show that it was not so."""
    about = _subject(story)
    if withdrawn:
        return f"withdrawn: late data do not bear out that {_what(about, roles)}"[:MOST]
    clauses = [
        (0, _what(about, roles)),
        (2, _where(story, about)),
        (4, _changed(story, about)),
        (3, _spread(story, about)),
        (1, _lost(story)),
    ]
    kept: list[int] = []
    length = 0
    for place in sorted(range(len(clauses)), key=lambda each: clauses[each][0]):
        words = clauses[place][1]
        if words and (length + len(words) + 2 <= MOST or not kept):
            kept.append(place)
            length += len(words) + 2
    return "; ".join(clauses[place][1] for place in sorted(kept))[:MOST]


def _subject(story: Story) -> Anomaly:
    """What it is about: the worst that users feel, else the business, else the most unlikely."""
    for role in ("users", "business"):
        told = {(each.entity, each.signal) for each in story.impacted if each.felt and each.role == role}
        felt = (each for each in story.members if (each.signal.workload, each.signal.label()) in told)
        if told and (found := next(felt, None)) is not None:
            return found
    return story.members[0]


# -- clauses -----------------------------------------------------------------------------------------------------------


def _what(anomaly: Anomaly, roles: Roles) -> str:
    ended = anomaly.end_us is not None
    until = f"from {clock(anomaly.onset_us)} to {clock(anomaly.end_us)}" if anomaly.end_us is not None else ""
    return f"{_deviation(anomaly, roles, ended=ended)} {until or f'since {clock(anomaly.onset_us)}'}"


def _deviation(anomaly: Anomaly, roles: Roles, *, ended: bool) -> str:
    signal, who, label = anomaly.signal, _who(anomaly), _cut(anomaly.signal.label(), _MOST_LABEL)
    if signal.alert_type:
        return f"alerts {_cut(signal.alert_type.partition('.')[2], _MOST_NAME)} {'came' if ended else 'come'} for {who}"
    if anomaly.silent:
        return f"{who} sen{'t' if ended else 'ds'} no {label}"
    if signal.name == _TOGETHER:
        return f"the signals of {who} together {'were' if ended else 'are'} far from usual"
    if not anomaly.value > anomaly.upper and not anomaly.value < anomaly.lower:
        return f"{label} of {who} {'was' if ended else 'is'} unlike usual ({_cut(_first(anomaly.why), _MOST_LABEL)})"
    part = roles.of(signal)
    share = part.share and part.golden == ERRORS
    value, usual = (_number(each, signal.unit, share=share) for each in (anomaly.value, anomaly.expected))
    if share and anomaly.value > anomaly.expected and (what := _asked(anomaly)):
        return f"{who} fail{'ed' if ended else 's'} {value} of {what} (expected {usual})"
    moved = "rose" if anomaly.value > anomaly.expected else "fell"
    return f"{label} of {who} {moved} to {value} (expected {usual})"


def _asked(anomaly: Anomaly) -> str:
    """What a share of failures that traces tell is of."""
    attributes = dict(anomaly.signal.attributes)
    if anomaly.signal.name.startswith("traces.operation.failed"):
        return f"{_cut(attributes['operation'], _MOST_NAME)} requests" if attributes.get("operation") else "requests"
    if anomaly.signal.name.startswith("traces.call.failed") and attributes.get("peer"):
        return f"calls to {_cut(name_of(attributes['peer']), _MOST_NAME)}"
    return ""


def _where(story: Story, about: Anomaly) -> str:
    if not story.causes:
        return ""
    cause = story.causes[0]
    if cause.entity == about.signal.workload:
        return "it likely starts there" if story.workloads > 1 else ""
    words = f"it likely starts in {_name(cause.entity)}"
    its = (each for each in story.members if each.signal.workload == cause.entity)
    shown = next((each for each in its if each.signal.label() == cause.signal and not each.silent), None)
    if shown is None:
        return words + (f" ({_cut(cause.signal, _MOST_LABEL)})" if cause.signal else "")
    return f"{words} ({_cut(cause.signal, _MOST_LABEL)} {_number(shown.value, shown.signal.unit)})"


def _changed(story: Story, about: Anomaly) -> str:
    """What was done to where it starts, or to what it is about, shortly before."""
    if not story.changes or not isinstance(story.changes[0].what, Change):
        return ""
    first, change = story.changes[0], story.changes[0].what
    near = {name_of(about.signal.workload), *(name_of(cause.entity) for cause in story.causes[:1])}
    before_us = story.onset_us - change.effective_us
    done = change.phase in ("started", "finished")
    if name_of(first.workload) not in near or not done or not 0 <= before_us <= _JUST_BEFORE_US:
        return ""
    version = f" {_cut(change.version, _MOST_NAME)}" if change.version and change.kind != "scaling" else ""
    to = f" to {_cut(change.version, _MOST_NAME)}" if change.version and change.kind == "scaling" else ""
    return f"{_name(first.workload)}{version} {_DONE.get(change.kind, 'was changed')}{to} {before_us / US:.0f} s before"


def _spread(story: Story, about: Anomaly) -> str:
    users = [each for each in story.impacted if each.felt and each.role == "users"]
    others = [each.entity for each in users if each.entity != about.signal.workload]
    if others and len(others) == len(users):
        feel = f"users feel it at {_name(others[0])}"
    else:
        feel = "users feel it" if users else ""
    if story.workloads > 1:
        count = f"{story.workloads} workloads are affected"
    elif (signals := len({each.signal.id for each in story.members})) > 1:
        count = f"{signals} signals are unusual"
    else:
        count = ""
    return ", ".join(each for each in (count, feel) if each)


def _lost(story: Story) -> str:
    """The greatest loss, of the business before others: what was lost of one thing, together."""
    told = [each for each in story.impacted if each.felt and each.lost is not None]
    told = [each for each in told if each.role == "business"] or told
    if not told or told[0].lost is None:
        return ""
    first = told[0].lost
    alike = [each.lost for each in told if each.lost is not None and _kind(each) == _kind(told[0])]
    amount = sum(lost.amount for lost in alike)
    noun = _cut(first.unit, _MOST_LABEL)
    if noun == "failed requests":
        return f"about {amount_words(amount)} requests failed beyond the usual"
    return f"about {amount_words(amount)} {noun} {'more' if first.more else 'fewer'} than expected"


def _kind(impacted: Impacted) -> tuple[str, str, bool]:
    """Losses of one kind add up: those of one metric."""
    assert impacted.lost is not None
    return impacted.signal.partition("{")[0], impacted.lost.unit, impacted.lost.more


# -- words -------------------------------------------------------------------------------------------------------------


def _who(anomaly: Anomaly) -> str:
    name, instance = _name(anomaly.signal.workload), anomaly.signal.instance
    return f"{name} ({_cut(instance, _MOST_NAME)})" if instance else name


def _name(workload: str) -> str:
    return _cut(name_of(workload), _MOST_NAME)


def _number(value: float, unit: str, *, share: bool = False) -> str:
    if share or unit == "%":
        return f"{100 * value if unit != '%' else value:.3g} %"
    unit = unit.replace("{", "").replace("}", "")
    return f"{value:.4g}" if unit in ("", "1") else f"{value:.4g} {_cut(unit, _MOST_NAME)}"


def _first(why: str) -> str:
    return why.partition(";")[0]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
