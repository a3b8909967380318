"""Redaction: what is taken out of names, values, lines and messages before anything is stored.

Guarantee: what a text becomes depends on the rules, its name and the text, and on nothing else; a text that no rule
matches stays as it is. A rule that exists is valid. Work is in proportion to the text: expressions are RE2's, which
never backtrack, at most MOST_FOUND matches of a rule are looked for in a text (behind the last one the text is left
out), and no text is looked at further than MOST_LOOKED_AT (behind that it is left out too).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import re2

from pipeline.records import Change, Event, Series
from pipeline.records.signal import Attributes

REPLACEMENT = "[redacted]"
#: Names of texts that are no attributes, beside those of events (``event.text`` …) and changes (``change.title`` …).
METRIC_NAME, METRIC_UNIT, SPAN_NAME, LOG_BODY = "metric.name", "metric.unit", "span.name", "log.body"
#: Matches of a rule in one text, and characters of a text.
MOST_FOUND, MOST_LOOKED_AT = 256, 64 * 1024
#: A rule's expressions and replacement may have so many characters.
_MOST_EXPRESSION, _MOST_REPLACEMENT = 2000, 100
#: Instructions that RE2 makes of an expression, and of all; at worst each is tried at each character of a text.
_MOST_INSTRUCTIONS, _MOST_TOGETHER = 2000, 10_000
#: A text may become so long by redaction, or stay as long as it is.
_MOST_GROWN = 1024
_REFUSED_ESCAPES = {
    r"\C": r"\C matches bytes and not characters; use . or a class",
    r"\Q": r"\Q is not taken; escape each character that means something, for instance \.",
}
#: What is left out at the end of a text that was not looked at further: it may be half of what a rule would match.
_HALF = 1024
#: Names of attributes whose rules are kept at hand.
_MOST_NAMES = 10_000

Happening = TypeVar("Happening", bound=Event | Change)


class RedactionError(ValueError):
    """A rule that cannot be used; ``key`` is which part of it."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """Only ``name`` (of attributes, which it matches whole): the whole value is replaced. Only ``value``: what it
    matches in any text. Both: what ``value`` matches in the values of such attributes. Raises RedactionError."""

    name: str = ""
    value: str = ""
    replacement: str = REPLACEMENT

    def __post_init__(self) -> None:
        if not self.name and not self.value:
            raise RedactionError("name", "a rule has neither name nor value; give one of them, or both")
        if not 0 < len(self.replacement) <= _MOST_REPLACEMENT:
            raise RedactionError("replacement", f"it must have 1 to {_MOST_REPLACEMENT} characters")
        check_expression("name", self.name)
        check_expression("value", self.value)
        if self.value and not _same(_compiled(self.value), self.replacement):
            raise RedactionError("replacement", "value matches in it, so that it would be replaced itself")


def check_expression(key: str, expression: str) -> None:
    """Refuses what is no expression of RE2's or would match the empty text. Raises RedactionError."""
    if not expression:
        return
    if len(expression) > _MOST_EXPRESSION:
        raise RedactionError(key, f"it has {len(expression)} characters; at most {_MOST_EXPRESSION} are taken")
    for escape, why in _REFUSED_ESCAPES.items():
        if escape in expression.replace(r"\\", ""):
            raise RedactionError(key, why)
    try:
        found = _compiled(expression)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise RedactionError(
            key, f"not an expression of RE2's syntax (which has no look-around and no back-references): {said}"
        ) from None
    if found.programsize > _MOST_INSTRUCTIONS:
        raise RedactionError(
            key,
            f"it is too large: RE2 makes {found.programsize} instructions of it, and at most {_MOST_INSTRUCTIONS} are "
            "taken; repeat less, or use smaller classes (\\p{L} is a large one)",
        )
    if found.search(b"") is not None:
        raise RedactionError(key, "it matches the empty text; say what must stand there, for instance + instead of *")


def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.never_capture, options.log_errors = True, False
    return re2.compile(expression, options)


def _same(expression: Any, text: str) -> bool:
    return expression.search(text.encode("utf-8", "surrogatepass")) is None


class _Of(NamedTuple):
    """What is done to the values of a name: ``whole`` replaces them; else ``gate`` is whether any of ``parts`` does."""

    whole: str
    gate: Any
    parts: tuple[tuple[Any, str], ...]


class Redaction:
    """The rules; raises RedactionError where they are too large together. ``current`` has for older names of attributes
    what they are called now: a rule on one of the names of an attribute is one on all of them. Without rules it is
    false, and everything stays as it is."""

    def __init__(self, rules: Iterable[RedactionRule] = (), current: Mapping[str, str] | None = None) -> None:
        self.rules = tuple(rules)
        self._named = tuple(_compiled(rule.name) if rule.name else None for rule in self.rules)
        self._current = current or {}
        self._same_as: dict[str, list[str]] = {}
        for older, newer in self._current.items():
            self._same_as.setdefault(newer, [newer]).append(older)
        together = sum(_compiled(one).programsize for rule in self.rules for one in (rule.name, rule.value) if one)
        if together > _MOST_TOGETHER:
            raise RedactionError(
                "rules",
                f"they are too large together: RE2 makes {together} instructions of them, and at most {_MOST_TOGETHER} "
                "are taken; use fewer or simpler ones",
            )
        self._any_text = self._with(rule for rule in self.rules if not rule.name)
        self._of_name: dict[str, _Of | None] = {}

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def by_name(self) -> bool:
        """Is there a rule on names? Such a rule cannot be used where names are not known."""
        return any(rule.name for rule in self.rules)

    # -- texts ----------------------------------------------------------------------------------------------------

    def text(self, name: str, text: str) -> str:
        """The value of an attribute, or another text that has a name, as it may be stored."""
        if not self.rules or not text:
            return text
        rules = self._rules_of(name)
        if rules is not None and rules.whole:
            return rules.whole
        is_json = _looks_like_json(text)
        if len(text) > MOST_LOOKED_AT:
            if is_json and self.by_name:
                return REPLACEMENT
            return f"{_replaced(rules, text[:MOST_LOOKED_AT])[:-_HALF]}{REPLACEMENT}"
        if is_json:
            text = self._structured(text, "" if name in _NO_PART_OF_PATHS else name)
        return _replaced(rules, text)

    def attributes(self, attributes: Attributes) -> Attributes:
        """Attributes, sorted by name; of two whose names became one, the first is kept."""
        if not self.rules:
            return attributes
        found: dict[str, str] = {}
        for name, value in attributes:
            found.setdefault(_replaced(self._any_text, name), self.text(name, value))
        return tuple(sorted(found.items()))

    def series(self, series: Series) -> Series:
        """A series with its name, unit and attributes."""
        if not self.rules:
            return series
        name, unit = self.text(METRIC_NAME, series.name), self.text(METRIC_UNIT, series.unit)
        return replace(series, name=name, unit=unit, attributes=self.attributes(series.attributes))

    def happening(self, happening: Happening, most_bytes: int) -> Happening:
        """An event or change with all its texts. An id in which a rule matches becomes a hash of itself, so that what
        was one stays one. What has as many bytes as a text of a change may have was cut, and might end in half of what
        a rule would match: it is replaced whole."""
        if not self.rules:
            return happening
        prefix = "event" if isinstance(happening, Event) else "change"
        found: dict[str, Any] = {}
        for name in _TEXTS[type(happening)]:
            given = getattr(happening, name)
            text = self.text(f"{prefix}.{name}", given)
            if name == "id" and text != given:
                text = hashlib.blake2b(given.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
            elif prefix == "change" and len(given) * 4 > most_bytes - 4 and _bytes(given) > most_bytes - 4:
                text = REPLACEMENT
            found[name] = text
        for name in ("entity", "attributes"):
            found[name] = self.attributes(getattr(happening, name))
        return replace(happening, **found)

    # -- what was not understood ------------------------------------------------------------------------------------

    def unread(self, raw: bytes | None, *, names_unknown: bool = True) -> bytes | None:
        """Bytes that nobody could read, as they may be stored: text, with what rules on values match in it replaced.
        None where that cannot be told: rules on names where names are not known, what is no text, what has encoded
        text inside, and what is longer than a text may be.
        """
        if not self.rules or not raw:
            return raw
        text = _plain(raw)
        if text is None or (names_unknown and self.by_name) or any(mark in text for mark in _ENCODED):
            return None
        found = self._structured(text, "") if _looks_like_json(text) else text
        found = _replaced(self._any_text, found)
        if "\\" in found and not _untouched(self._any_text, _unescaped(found)):
            return None  # it stands there in another spelling
        return raw if found == text else found.encode("utf-8", "surrogatepass")

    def header(self, name: str, raw: bytes | None) -> bytes | None:
        """The value of a header of a Kafka record, which is an attribute by its name; empty where ``unread`` says
        None."""
        if not self.rules or not raw:
            return raw
        for known in (name, f"cloudevents.event_{name.removeprefix('ce_')}"):
            rules = self._rules_of(known)
            if rules is not None and rules.whole:
                return rules.whole.encode()
            if rules is not None and rules is not self._any_text:
                text = _plain(raw)
                raw = b"" if text is None else _replaced(rules, text).encode("utf-8", "surrogatepass")
        return self.unread(raw, names_unknown=False) or b""

    def header_name(self, name: str) -> str:
        """The name of a header."""
        return _replaced(self._any_text, name)

    def detail(self, detail: str) -> str:
        """What is said of a message that cannot be used, without what is quoted of it: neither what stands in quotes
        nor what follows a colon."""
        if not self.rules:
            return detail
        said, colon, _ = _QUOTED.sub(lambda _: "'…'".encode(), detail.encode("utf-8", "replace")).partition(b": ")
        return _replaced(self._any_text, said.decode("utf-8", "replace") + (": …" if colon else ""))

    # -- rules ------------------------------------------------------------------------------------------------------

    def _rules_of(self, name: str) -> _Of | None:
        try:
            return self._of_name[name]
        except KeyError:
            if len(self._of_name) >= _MOST_NAMES:
                self._of_name.clear()
            found = self._of_name[name] = self._find(name)
            return found

    def _find(self, name: str) -> _Of | None:
        current = self._current.get(name, name)
        names = [one.encode("utf-8", "surrogatepass") for one in {name, *self._same_as.get(current, [current])}]
        meant = [
            rule
            for rule, named in zip(self.rules, self._named, strict=True)
            if named is None or any(named.fullmatch(one) for one in names)
        ]
        if all(not rule.name for rule in meant):
            return self._any_text
        return self._with(meant)

    def _with(self, rules: Iterable[RedactionRule]) -> _Of | None:
        rules = list(rules)
        whole = next((rule.replacement for rule in rules if not rule.value), "")
        parts = tuple((_compiled(rule.value), rule.replacement) for rule in rules if rule.value)
        if not whole and not parts:
            return None
        gate = _compiled("|".join(f"(?:{rule.value})" for rule in rules if rule.value)) if parts else None
        return _Of(whole, gate, parts)

    def _structured(self, text: str, path: str) -> str:
        """A text that is JSON, with what rules say of its members by their names (alone, or with those above them and
        dots between, from ``path`` on) and of their values; any other text as it is."""
        try:
            found = json.loads(text, parse_int=_integer)
            made = self._member(path, found)
            return text if made == found else json.dumps(made, ensure_ascii=False, separators=(",", ":"))
        except ValueError:
            return text
        except RecursionError:
            return REPLACEMENT

    def _member(self, path: str, found: Any) -> Any:
        """A value of JSON that stands at a path."""
        if isinstance(found, list):
            return [self._member(path, one) for one in found]
        if isinstance(found, dict):
            return {
                _replaced(self._any_text, name): self._named_member(f"{path}.{name}" if path else name, name, inner)
                for name, inner in found.items()
            }
        return _replaced(self._any_text, found) if isinstance(found, str) else found

    def _named_member(self, path: str, name: str, found: Any) -> Any:
        for known in dict.fromkeys((name, path)):
            rules = self._rules_of(known)
            if rules is None or rules is self._any_text or found is None:
                continue
            if rules.whole:
                return rules.whole
            if isinstance(found, str):
                found = _replaced(rules, found)
            elif not _untouched(rules, json.dumps(found, ensure_ascii=False)):
                return REPLACEMENT
        return self._member(path, found)


#: No rules: everything stays as it is.
NOTHING = Redaction()

_TEXTS: Mapping[type, tuple[str, ...]] = {
    kind: tuple(one.name for one in fields(kind) if one.type is str) for kind in (Event, Change)
}
#: What JSON has instead of bytes.
_ENCODED = ("data_base64", "bytesValue", "bytes_value")
#: What stands in quotes, to the end where they are not closed; "record's" has none.
_QUOTED = _compiled(r"""(?:\B|\bb)'(?:[^'\\]|\\.)*(?:'|\\?$)|"(?:[^"\\]|\\.)*(?:"|\\?$)|`[^`]*(?:`|$)""")
_ESCAPED = _compiled(r"\\u[0-9A-Fa-f]{4}|\\.")
_NO_TEXT = _compiled(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
_OPENING, _CLOSING = ("{", "["), ("}", "]")
#: Members of what stands in these are not named after them.
_NO_PART_OF_PATHS = (LOG_BODY, "event.text")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in _OPENING and text.rstrip()[-1:] in _CLOSING


def _replaced(rules: _Of | None, text: str) -> str:
    """What the parts of rules make of a text."""
    if rules is None or rules.gate is None:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    if rules.gate.search(raw) is None:
        return text
    for expression, replacement in rules.parts:
        raw = _substituted(expression, replacement.encode("utf-8", "surrogatepass"), raw)
    found = raw.decode("utf-8", "surrogatepass")
    return found[: max(len(text), _MOST_GROWN)] if found != text else text


def _substituted(expression: Any, replacement: bytes, raw: bytes) -> bytes:
    pieces, end, number = [], 0, 0
    for match in expression.finditer(raw):
        first, last = match.span()
        if first == last:
            continue
        pieces += [raw[end:first], replacement]
        end, number = last, number + 1
        if number == MOST_FOUND:
            return b"".join(pieces)
    return b"".join([*pieces, raw[end:]])


def _untouched(rules: _Of | None, text: str) -> bool:
    return rules is None or rules.gate is None or _same(rules.gate, text)


def _plain(raw: bytes) -> str | None:
    """Bytes as the text that they are; None for any others, and for very many."""
    if len(raw) > MOST_LOOKED_AT or raw[:1] == b"\n" or _NO_TEXT.search(raw) is not None:
        return None  # protobuf begins with a line feed or has other controls in it
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _unescaped(text: str) -> str:
    """A text with JSON's escapes read."""
    pieces: list[str] = []
    end, raw = 0, text.encode("utf-8", "surrogatepass")
    for match in _ESCAPED.finditer(raw):
        first, last = match.span()
        escape = raw[first + 1 : last].decode("utf-8", "surrogatepass")
        pieces += [
            raw[end:first].decode("utf-8", "surrogatepass"),
            chr(int(escape[1:], 16)) if len(escape) == 5 else _ESCAPES.get(escape, escape),
        ]
        end = last
    return "".join([*pieces, raw[end:].decode("utf-8", "surrogatepass")])


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _integer(text: str) -> int | str:
    """Python reads no whole number of more than some thousand digits."""
    return int(text) if len(text) < 4000 else text
