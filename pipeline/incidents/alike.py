"""Anomalies that say the same: the same unusual message of two workloads at once, where nothing else joins them.

What speaks are log templates, by the words of their first line, and events, by the words of their type
(``k8s.FailedCreatePodSandBox``), of which there is more than expected. Two texts say the same where they have at least
LEAST_WORDS telling words in common, and four of five of the longer one's: a word more or less is how people write one
thing twice (near duplicates are found with shares of 0.8 as a rule), and two words are no statement. Names (with dots
or slashes in them), numbers and placeholders are no words. Telling is what is not written by most workloads of the
scope, nor in MANY of its texts.

That alone joins too much, for libraries write the same everywhere: garbage is collected, pools are full, requests time
out. So the message must be unusual: of the workloads of the scope at most a tenth (or two, where that is more) may have
written the like before. What is *before* is SETTLED_US ago, so that a message does not become usual while it spreads.
Where fewer than LEAST_KNOWN workloads have written anything for that long nobody can say what is usual, and nothing is
joined; four is the least number in which two are more than two calls apart.

Guarantee: what is answered depends on the texts that were told before, in their order, and on event time. Memory is
bounded: MOST_SIGHTS of a shard (the oldest of the scope that has most go first), MOST_WORDS words of each text.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipeline.records import NO_TIME, US, Anomaly, Event, Happened

LEAST_WORDS = 3
#: Of how many workloads texts must be known, and how many may have written the like before, or a tenth of those.
LEAST_KNOWN, SELDOM = 4, 2
SETTLED_US = 3600 * US
#: Texts of a scope in which a word may stand and still tell something: it bounds what is compared.
MANY = 100
#: Who wrote what, of all scopes; words and characters of a text; texts that are remembered of an incident.
MOST_SIGHTS, MOST_WORDS, MOST_CHARACTERS, MOST_OF_INCIDENT = 10_000, 32, 300, 500
_SHOWN = 80

#: The type of the event that says that a workload wrote a log template for the first time, and what names it.
_FIRST_SIGHT, _TEMPLATE, _TYPE = "log.template.new", "log.template", "event.type"
_SPEAKS = {"log.lines": _TEMPLATE, "events": _TYPE}

_PLACEHOLDER = re.compile(r"<(?:\*|cut)>")
_NAME = re.compile(r"\w+(?:[.$/\\@]+\w+)+")
_WORD = re.compile(r"[^\W\d_][^\W_]+")
_HUMP = re.compile(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z\d])(?=[A-Z])")

#: By text the newest onset of who says it, and the workload.
Sayings = dict[str, tuple[int, str]]


def text_of(anomaly: Anomaly) -> str:
    """What names the text that it is about, empty where it says nothing. What is less than expected, or likely to be
    a false discovery, says nothing."""
    name = _SPEAKS.get(anomaly.signal.name)
    if name is None or anomaly.silent or not anomaly.discovered or not anomaly.value > anomaly.expected:
        return ""
    return next((value for key, value in anomaly.signal.attributes if key == name), "")


def sayings(anomalies: Iterable[Anomaly]) -> Sayings:
    """What they say."""
    found: Sayings = {}
    for anomaly in anomalies:
        note(found, anomaly)
    return found


def note(said: Sayings, anomaly: Anomaly) -> None:
    """What one more of them says; of very many texts the first ones are kept."""
    if (text := text_of(anomaly)) and (text in said or len(said) < MOST_OF_INCIDENT):
        newest = (anomaly.onset_us, anomaly.signal.workload)
        said[text] = max(newest, said.get(text, newest))


@lru_cache(maxsize=10_000)
def words_of(text: str, *, is_type: bool = False) -> frozenset[str]:
    """Its words, the first MOST_WORDS of them. Of the type of an event what stands before its last dot says only who
    told it, and words begin with capital letters."""
    if is_type:
        text = _HUMP.sub(" ", text.rpartition(".")[2])
    plain = _NAME.sub(" ", _PLACEHOLDER.sub(" ", text))
    return frozenset(list(dict.fromkeys(_WORD.findall(plain.lower())))[:MOST_WORDS])


@dataclass(frozen=True, slots=True)
class Said:
    """What an anomaly says, and which texts say the same: by their names in words how much. ``text`` names it."""

    text: str
    onset_us: int
    alike: Mapping[str, str]

    def also_in(self, said: Sayings, within_us: int) -> str | None:
        """By what it belongs to those who say this, in words; None where nobody says the like at the time. The same
        text is better than one much the same, then the nearest in time is the best."""
        if self.alike.keys().isdisjoint(said.keys()):
            return None
        found = [
            (text != self.text, apart, said[text][1], text)
            for text in self.alike.keys() & said.keys()
            if (apart := abs(said[text][0] - self.onset_us)) <= within_us
        ]
        if not found:
            return None
        other, _, workload, text = min(found)
        how = "much the same as" if other else "the same as"
        return f"says {how} {workload}, {self.alike[text]}"


@dataclass(slots=True)
class _Learnt:
    """What is telling in a scope until ``until_us``, as it is ``known`` now. ``wrote``: who wrote a text before."""

    until_us: int
    known: int
    workloads: int
    telling: dict[str, frozenset[str]]
    wrote: dict[str, set[str]]
    texts_with: dict[str, list[str]]
    answers: dict[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Scope:
    """Texts by name; when which workload wrote which first, in the order in which that was heard; ``changes`` counts
    how often there was something new."""

    texts: dict[str, str] = field(default_factory=dict)
    first_us: dict[tuple[str, str], int] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    learnt: _Learnt | None = None


class Texts:
    """What workloads write, by scope."""

    def __init__(self, dumped: Iterable[Any] = ()) -> None:
        self._scopes: dict[str, _Scope] = {}
        self._now_us = NO_TIME
        self._sights = 0
        for scope, texts, sights in dumped:
            self._scopes[scope] = _Scope({name: text for name, text in texts})
            for place, workload, first_us in sights:
                name, text = texts[place]
                self._add(scope, workload, name, text, first_us)

    def at(self, now_us: int) -> None:
        """Answer as of this event time from now on."""
        self._now_us = max(self._now_us, now_us)

    def hear(self, happened: Happened) -> None:
        """An event: a log template that was seen for the first time, or of a type that is counted."""
        event = happened.what
        if not isinstance(event, Event):
            return
        if event.type != _FIRST_SIGHT:
            self._add(happened.scope, happened.workload, event.type, event.type, event.time_us)
        elif (name := dict(event.attributes).get(_TEMPLATE)) is not None:
            self._add(happened.scope, happened.workload, name, event.text[:MOST_CHARACTERS], event.time_us)

    def said(self, anomaly: Anomaly) -> Said | None:
        """What it says, where that is unusual; else None."""
        name, scope = text_of(anomaly), self._scopes.get(anomaly.signal.scope)
        if not name or scope is None or name not in scope.texts:
            return None
        learnt = scope.learnt
        if learnt is None or learnt.known != scope.changes or self._now_us >= learnt.until_us:
            learnt = scope.learnt = _learn(scope, self._now_us)
        if name not in learnt.answers:
            learnt.answers[name] = _alike(name, scope.texts, learnt)
        alike = learnt.answers[name]
        return Said(name, anomaly.onset_us, alike) if alike else None

    def dump(self, owns: Callable[[str], bool] = lambda _: True) -> list[Any]:
        """Plain values for a checkpoint, of the scopes that are ours."""
        return [_plain(name, scope) for name, scope in sorted(self._scopes.items()) if owns(name)]

    def __len__(self) -> int:
        """How many sights are known."""
        return self._sights

    def _add(self, scope_name: str, workload: str, name: str, text: str, first_us: int) -> None:
        scope = self._scopes.setdefault(scope_name, _Scope())
        known = scope.first_us.get((name, workload))
        if known is not None and known <= first_us:
            return
        scope.changes += 1
        scope.first_us[name, workload] = first_us
        if known is None:
            scope.texts.setdefault(name, text)
            scope.held[name] += 1
            self._sights += 1
        while self._sights > MOST_SIGHTS:
            self._forget()

    def _forget(self) -> None:
        """The oldest of the scope that has most."""
        largest = max(self._scopes, key=lambda name: (len(self._scopes[name].first_us), name))
        scope = self._scopes[largest]
        gone = next(iter(scope.first_us))
        del scope.first_us[gone]
        scope.changes += 1
        scope.held[gone[0]] -= 1
        self._sights -= 1
        if not scope.held[gone[0]]:
            del scope.held[gone[0]], scope.texts[gone[0]]
        if not scope.first_us:
            del self._scopes[largest]


def _learn(scope: _Scope, now_us: int) -> _Learnt:
    """What is usual is by what was written SETTLED_US ago and before."""
    before_us = now_us - SETTLED_US
    wrote: dict[str, set[str]] = {}
    by_workload: dict[str, set[str]] = {}
    for (name, workload), first_us in scope.first_us.items():
        if first_us <= before_us:
            wrote.setdefault(name, set()).add(workload)
            by_workload.setdefault(workload, set()).update(_words(name, scope.texts[name]))
    until_us = min((at for at in scope.first_us.values() if at > before_us), default=2**62) + SETTLED_US
    users = Counter(word for words in by_workload.values() for word in words)
    texts = Counter(word for name, text in scope.texts.items() for word in _words(name, text))
    usual = {word for word, number in users.items() if 2 * number > len(by_workload)}
    usual |= {word for word, number in texts.items() if number > MANY}
    telling = {name: _words(name, text) - usual for name, text in scope.texts.items()}
    texts_with: dict[str, list[str]] = {}
    for name, words in telling.items():
        for word in words if len(words) >= LEAST_WORDS else ():
            texts_with.setdefault(word, []).append(name)
    return _Learnt(until_us, scope.changes, len(by_workload), telling, wrote, texts_with)


def _alike(name: str, texts: Mapping[str, str], learnt: _Learnt) -> Mapping[str, str]:
    """By name the texts that say the same, itself among them, and in words how much; none where it is usual."""
    words = learnt.telling[name]
    if len(words) < LEAST_WORDS or learnt.workloads < LEAST_KNOWN:
        return {}
    common = Counter(other for word in words for other in learnt.texts_with[word])
    found: dict[str, str] = {}
    for other, number in common.items():
        longer = max(len(words), len(learnt.telling[other]))
        if number >= LEAST_WORDS and 5 * number >= 4 * longer:
            text = _short(texts[other])
            found[other] = f"'{text}'" if other == name else f"'{text}': {number} of {longer} words"
    return found if _is_seldom(found, learnt) else {}


def _is_seldom(names: Collection[str], learnt: _Learnt) -> bool:
    """Have few workloads written any of these before?"""
    wrote = {workload for name in names for workload in learnt.wrote.get(name, ())}
    return len(wrote) <= max(SELDOM, learnt.workloads // 10)


def _words(name: str, text: str) -> frozenset[str]:
    return words_of(text, is_type=name == text)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _plain(name: str, scope: _Scope) -> list[Any]:
    """Scope, texts by name, and by the places of these who wrote them when first."""
    places = {text: place for place, text in enumerate(scope.texts)}
    sights = [[places[text], workload, first_us] for (text, workload), first_us in scope.first_us.items()]
    return [name, list(scope.texts.items()), sights]
