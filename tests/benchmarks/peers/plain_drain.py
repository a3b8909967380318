"""Plain Drain as its paper has it (He et al., ICWS 2017): a tree of fixed depth, token count first, then tokens.

Guarantee: depth 4 (two levels of tokens), similarity 0.4, at most 100 children; tokens with a digit go to the wildcard
child. Masked before, as little as in the paper's benchmark: block ids, IP addresses with a port, whole numbers.
"""

import re
from dataclasses import dataclass, field

_MASKS = re.compile(
    r"blk_-?[0-9]+|(?:/|\b)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+)?|(?<![^\s:=])[-+]?[0-9]+(?![^\s:,;])"
)
WILDCARD = "<*>"


@dataclass
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)


@dataclass
class PlainDrain:
    """``add`` gives the number of a line's group."""

    levels: int = 2
    similar: float = 0.4
    most_children: int = 100
    templates: list[list[str]] = field(default_factory=list)
    _roots: dict[int, _Node] = field(default_factory=dict)

    def add(self, line: str) -> int:
        tokens = _MASKS.sub(WILDCARD, line).split()
        node = self._node(tokens)
        best, most = -1, (-1.0, -1)
        for group in node.groups:
            template = self.templates[group]
            equal = sum(map(str.__eq__, template, tokens))
            found = (equal / max(len(tokens), 1), template.count(WILDCARD))
            if found > most:
                best, most = group, found
        if best >= 0 and most[0] >= self.similar:
            template = self.templates[best]
            self.templates[best] = [
                own if own == token else WILDCARD for own, token in zip(template, tokens, strict=True)
            ]
            return best
        self.templates.append(tokens)
        node.groups.append(len(self.templates) - 1)
        return len(self.templates) - 1

    def _node(self, tokens: list[str]) -> _Node:
        node = self._roots.setdefault(len(tokens), _Node())
        for token in tokens[: self.levels]:
            if token not in node.children and (
                any(map(str.isdigit, token)) or len(node.children) >= self.most_children - 1
            ):
                token = WILDCARD
            node = node.children.setdefault(token, _Node())
        return node
