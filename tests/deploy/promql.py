"""What a PromQL expression asks for: its metrics, the labels that it names for each, and the functions around them.

Guarantee: what this small reader does not know is refused, so that nothing goes unchecked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"[^"\\]*")
      | (?P<number>\d+(?:\.\d+)?(?:ms|[smhdwy])?)
      | (?P<variable>\$__\w+)
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[(){}\[\],=<>+*/-])
    )""",
    re.VERBOSE,
)
_AGGREGATIONS = frozenset({"sum", "min", "max", "avg", "count"})
_FUNCTIONS = _AGGREGATIONS | {"rate", "increase", "deriv", "histogram_quantile", "absent", "time", "clamp_min"}
_OPERATORS = frozenset({"and", "or", "unless", "offset", "bool"})
_MATCHING = frozenset({"on", "ignoring", "group_left", "group_right"})


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


def uses(expression: str) -> list[Use]:
    """Every selector of an expression; ValueError where it is not understood."""
    reader = _Reader(list(_tokens(expression)))
    found = reader.read((), ())
    if reader.tokens:
        raise ValueError(f"a closing bracket too many in: {expression}")
    return found


def _tokens(expression: str) -> Iterator[str]:
    place = 0
    while place < len(expression.rstrip()):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"not understood at {expression[place : place + 20]!r} in: {expression}")
        place = match.end()
        yield match.group().strip()


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def read(self, functions: tuple[str, ...], kept: tuple[frozenset[str], ...]) -> list[Use]:
        """Up to the bracket that closes what is open, or the end."""
        found: list[Use] = []
        while self.tokens and self.tokens[0] != ")":
            token = self.tokens.pop(0)
            if token == "(":
                found += self._inside(functions, kept)
            elif token == "[":
                del self.tokens[: self.tokens.index("]") + 1]
            elif token in _MATCHING:
                self._label_list()
            elif token in _FUNCTIONS:
                found += self._call(token, functions, kept)
            elif token in ("by", "without"):
                raise ValueError(f"write {token} (…) before what it aggregates")
            elif re.match(r"[a-zA-Z_:]", token) and token not in _OPERATORS:
                found.append(Use(token, self._matchers(), kept, functions))
                if self.tokens[:1] == ["("]:
                    raise ValueError(f"the function {token} is not known")
        return found

    def _inside(self, functions: tuple[str, ...], kept: tuple[frozenset[str], ...]) -> list[Use]:
        found = self.read(functions, kept)
        if not self.tokens:
            raise ValueError("a bracket is not closed")
        self.tokens.pop(0)
        return found

    def _call(self, name: str, functions: tuple[str, ...], kept: tuple[frozenset[str], ...]) -> list[Use]:
        if name in _AGGREGATIONS:
            labels: list[str] = []
            if self.tokens[0] == "by":
                self.tokens.pop(0)
                labels = self._label_list()
            kept = (*kept, frozenset(labels))
        if self.tokens.pop(0) != "(":
            raise ValueError(f"a bracket must follow {name}")
        return self._inside((*functions, name), kept)

    def _label_list(self) -> list[str]:
        end = self.tokens.index(")")
        labels = [token for token in self.tokens[1:end] if token != ","]
        del self.tokens[: end + 1]
        return labels

    def _matchers(self) -> dict[str, str]:
        if not self.tokens or self.tokens[0] != "{":
            return {}
        end = self.tokens.index("}")
        inside = [token for token in self.tokens[1:end] if token != ","]
        del self.tokens[: end + 1]
        return {inside[i]: inside[i + 2].strip('"') for i in range(0, len(inside), 3)}
