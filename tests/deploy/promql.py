"""PromQL as far as the dashboard and the alerts use it: an expression as a tree, and what it asks for.

Guarantee: what is not known here (other functions, subqueries, ``@``, ``without``, ``group_right``) is refused by name,
so that nothing goes unchecked. ``promql_values`` computes what a tree gives.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"[^"\\]*")
      | (?P<duration>(?:\d+(?:ms|[smhdwy]))+)
      | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
      | (?P<variable>\$__\w+)
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[(){}\[\],=<>+*/%^@:-])
    )""",
    re.VERBOSE,
)
AGGREGATIONS = frozenset({"sum", "min", "max"})
#: What is given to each function.
FUNCTIONS = {
    "rate": ("range",),
    "increase": ("range",),
    "deriv": ("range",),
    "changes": ("range",),
    "histogram_quantile": ("scalar", "vector"),
    "absent": ("vector",),
    "time": (),
}
SETS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
#: Binary operators by how tightly they bind.
_BINDING = {"or": 1, "and": 2, "unless": 2} | dict.fromkeys(COMPARISONS, 3) | dict.fromkeys("+-", 4)
_BINDING |= dict.fromkeys("*/", 5)
_RESERVED = SETS | {"by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Selector:
    """``matchers``: (label, operator, value). ``range_seconds``: of a range vector; NaN where a dashboard's variable
    stands for it."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    range_seconds: float | None = None
    offset_seconds: float = 0.0


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True)
class Aggregation:
    operator: str
    by: frozenset[str]
    argument: "Expression"


@dataclass(frozen=True)
class Binary:
    """``on``: None where ``labels`` are those to be ignored. ``group_left``: the labels that it takes from the right,
    None where there is none."""

    operator: str
    left: "Expression"
    right: "Expression"
    returns_bool: bool = False
    on: bool = False
    labels: frozenset[str] = frozenset()
    group_left: frozenset[str] | None = None


Expression: TypeAlias = Number | Selector | Call | Aggregation | Binary


@dataclass(frozen=True)
class Use:
    """One selector. matched: label → value of its matchers; kept: the labels of each aggregation around it, from the
    outside in; functions: the names of those around it, from the outside in."""

    metric: str
    matched: dict[str, str]
    kept: tuple[frozenset[str], ...]
    functions: tuple[str, ...]

    @property
    def labels(self) -> frozenset[str]:
        """Every label that must exist."""
        return frozenset(self.matched).union(*self.kept)


def uses(expression: str | Expression) -> list[Use]:
    """Every selector of an expression; ValueError where it is not understood."""
    return list(_uses(parse(expression) if isinstance(expression, str) else expression, (), ()))


def _uses(tree: Expression, functions: tuple[str, ...], kept: tuple[frozenset[str], ...]) -> Iterator[Use]:
    match tree:
        case Selector():
            yield Use(tree.metric, {label: value for label, _, value in tree.matchers}, kept, functions)
        case Call():
            for argument in tree.arguments:
                yield from _uses(argument, (*functions, tree.function), kept)
        case Aggregation():
            yield from _uses(tree.argument, (*functions, tree.operator), (*kept, tree.by))
        case Binary():
            yield from _uses(tree.left, functions, kept)
            yield from _uses(tree.right, functions, kept)


def parse(text: str) -> Expression:
    """The tree of an expression; ValueError where it is not understood."""
    reader = _Reader(list(_tokens(text)), text)
    tree = reader.expression()
    if reader.tokens:
        raise ValueError(f"not understood at {reader.tokens[0]!r} in: {text}")
    return tree


def seconds(duration: str) -> float:
    """``1h30m`` and the like in seconds."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration; write one as 90s, 5m or 1h30m")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in parts))


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"not understood at {text[place : place + 20]!r} in: {text}")
        place = match.end()
        yield match.group().strip()


class _Reader:
    def __init__(self, tokens: list[str], text: str) -> None:
        self.tokens = tokens
        self._text = text

    def expression(self, binding: int = 1) -> Expression:
        """Operators that bind at least so tightly, from the left to the right."""
        left = self._operand()
        while self.tokens and _BINDING.get(self.tokens[0], 0) >= binding:
            operator = self.tokens.pop(0)
            left = self._binary(operator, left)
        return left

    def _binary(self, operator: str, left: Expression) -> Binary:
        returns_bool = operator in COMPARISONS and self._skip("bool")
        on = self._skip("on")
        labels = self._label_list() if on or self._skip("ignoring") else frozenset()
        group_left = None
        if self._skip("group_left"):
            group_left = self._label_list() if self._next() == "(" else frozenset()
        right = self.expression(_BINDING[operator] + 1)
        return Binary(operator, left, right, returns_bool, on, labels, group_left)

    def _operand(self) -> Expression:
        token = self._take()
        if token == "(":
            inside = self.expression()
            self._expect(")")
            return inside
        if token[0].isdigit():
            return Number(float(token))
        if token in AGGREGATIONS:
            return self._aggregation(token)
        if token in FUNCTIONS:
            return self._call(token)
        if not re.match(r"[a-zA-Z_:]", token) or token in _RESERVED:
            raise ValueError(f"not understood at {token!r} in: {self._text}")
        if self._next() in ("(", "by", "without"):
            raise ValueError(f"{token} is not known here: {self._text}")
        return self._selector(token)

    def _aggregation(self, operator: str) -> Aggregation:
        by = self._label_list() if self._skip("by") else frozenset()
        self._expect("(")
        argument = self.expression()
        self._expect(")")
        if self._next() in ("by", "without"):
            raise ValueError(f"write {self._next()} (…) before what it aggregates: {self._text}")
        return Aggregation(operator, by, argument)

    def _call(self, function: str) -> Call:
        self._expect("(")
        arguments: list[Expression] = []
        while self._next() != ")":
            arguments.append(self.expression())
            if self._next() != ")":
                self._expect(",")
        self._expect(")")
        if [_kind(argument) for argument in arguments] != list(FUNCTIONS[function]):
            raise ValueError(f"{function} takes ({', '.join(FUNCTIONS[function])}): {self._text}")
        return Call(function, tuple(arguments))

    def _selector(self, metric: str) -> Selector:
        matchers = self._matchers() if self._skip("{") else ()
        range_seconds = None
        if self._skip("["):
            range_seconds = self._duration()
            self._expect("]")
        offset = self._duration() if self._skip("offset") else 0.0
        return Selector(metric, matchers, range_seconds, offset)

    def _matchers(self) -> tuple[tuple[str, str, str], ...]:
        found = []
        while not self._skip("}"):
            label, operator, value = self._take(), self._take(), self._take()
            if operator not in ("=", "!=", "=~", "!~") or not value.startswith('"'):
                raise ValueError(f"not understood at {label}{operator}{value} in: {self._text}")
            found.append((label, operator, value.strip('"')))
            self._skip(",")
        return tuple(found)

    def _duration(self) -> float:
        token = self._take()
        return float("nan") if token.startswith("$__") else seconds(token)

    def _label_list(self) -> frozenset[str]:
        self._expect("(")
        labels = set()
        while not self._skip(")"):
            labels.add(self._take())
            self._skip(",")
        return frozenset(labels)

    def _next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _take(self) -> str:
        if not self.tokens:
            raise ValueError(f"something is missing at the end of: {self._text}")
        return self.tokens.pop(0)

    def _skip(self, token: str) -> bool:
        there = self._next() == token
        if there:
            self.tokens.pop(0)
        return there

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise ValueError(f"{token} is missing before {self._next()!r} in: {self._text}")


def _kind(tree: Expression) -> str:
    match tree:
        case Number() | Call("time"):
            return "scalar"
        case Selector(range_seconds=float()):
            return "range"
        case _:
            return "vector"
