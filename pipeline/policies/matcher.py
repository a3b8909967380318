"""Which signals are meant: conditions on a signal's fields and attributes, written as people type them.

Guarantee: a matcher that exists is valid; anything else raises ``ValueError`` that says what would be right. A
condition on an attribute that a signal does not have sees an empty value. A regular expression must match the whole
value.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, Protocol

from pipeline.records import Signal

Operator = Literal["=", "!=", "=~"]

#: What of a signal can be named beside its attributes. A field goes before an attribute of the same name.
FIELDS = ("id", "name", "unit", "kind", "scope", "workload", "instance")

_CONTROLLERS = ("deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset")
#: Attributes that name the entity are not kept with a signal: these are read from its workload, type:namespace/name.
_NAMESPACES = {"service.namespace": ("service",), "k8s.namespace.name": _CONTROLLERS}
_NAMES = {"service.name": ("service", "function", *_CONTROLLERS), "faas.name": ("function",), "host.name": ("host",)}
_NAMES |= {f"k8s.{kind}.name": (kind,) for kind in (*_CONTROLLERS, "node")}

_OPERATORS: Mapping[str, Operator] = {"=": "=", "!=": "!=", "=~": "=~"}
_WRITTEN = re.compile(r"(?P<name>[^=!~\s]*)\s*(?P<operator>=~|!~|!=|==|=)\s*(?P<value>.*)", re.DOTALL)


class SignalMatcher(Protocol):
    """Anything that can say whether a signal is meant."""

    def matches(self, signal: Signal) -> bool: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name=value``, ``name!=value`` or ``name=~regex``, over a field (see FIELDS) or an attribute."""

    name: str
    operator: Operator
    value: str
    _regex: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if not self.name or re.search(r"[=!~\s]", self.name):
            raise ValueError(f"matcher name is {self.name!r}; name a field ({', '.join(FIELDS)}) or an attribute")
        if self.operator not in _OPERATORS:
            raise ValueError(f"matcher operator is {self.operator!r}; use =, != or =~")
        if self.operator == "=~":
            try:
                object.__setattr__(self, "_regex", re.compile(self.value))
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{self.value!r} in {self} is not a regular expression: {error}") from None

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"

    def matches(self, signal: Signal) -> bool:
        """Is the signal meant?"""
        return self.accepts(value_of(signal, self.name))

    def accepts(self, value: str) -> bool:
        """Is this a value that is meant?"""
        if self._regex is not None:
            return self._regex.fullmatch(value) is not None
        return (value == self.value) == (self.operator == "=")


@dataclass(frozen=True, slots=True)
class Containing:
    """A piece of text anywhere in id, name, scope, workload, instance or an attribute; upper and lower case are one."""

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("an empty text matches every signal; leave it out")

    def matches(self, signal: Signal) -> bool:
        """Is the signal meant?"""
        wanted = self.text.casefold()
        texts = (f"{signal.id:016x}", signal.name, signal.scope, signal.workload, signal.instance)
        pairs = (f"{name}={value}" for name, value in signal.attributes)
        return any(wanted in text.casefold() for text in (*texts, *pairs))


def parse(text: str) -> Matcher | Containing:
    """A condition if there is an operator in the text, else a search for it. Raises ValueError."""
    if "=" not in text and "!~" not in text:
        return Containing(text.strip())
    found = _WRITTEN.fullmatch(text.strip())
    operator = _OPERATORS.get(found["operator"]) if found else None
    if found is None or operator is None:
        raise ValueError(f"{text!r} is not a condition; use name=value, name!=value or name=~regex")
    return Matcher(found["name"], operator, found["value"])


def matches_all(matchers: Iterable[SignalMatcher], signal: Signal) -> bool:
    """Does every matcher mean the signal? No matchers mean every signal."""
    return all(matcher.matches(signal) for matcher in matchers)


def value_of(signal: Signal, name: str) -> str:
    """The text of a field or attribute of a signal; empty where it has none of that name."""
    return reader(name)(signal)


def reader(name: str) -> Callable[[Signal], str]:
    """``value_of`` for one name and many signals."""
    if name == "id":
        return lambda signal: f"{signal.id:016x}"
    if name == "kind":
        return lambda signal: signal.kind.value
    if name in FIELDS:
        return attrgetter(name)

    def attribute(signal: Signal) -> str:
        for known, value in signal.attributes:
            if known == name:
                return value
        return _of_entity(signal, name) if of_entity else ""

    of_entity = name in _NAMES or name in _NAMESPACES or name == "k8s.pod.name"
    return attribute


def _of_entity(signal: Signal, name: str) -> str:
    """An attribute that went into the workload or the instance; ``service.name`` is the name of whatever serves."""
    kind, _, full = signal.workload.partition(":")
    if name == "k8s.pod.name":
        return signal.instance if kind in _CONTROLLERS else ""
    namespace, _, own = full.rpartition("/")
    if kind in _NAMES.get(name, ()):
        return own
    return namespace if kind in _NAMESPACES.get(name, ()) else ""
