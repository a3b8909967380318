"""Original lines kept as evidence: of each template the first line and the newest few, with their trace ids.

Guarantee: what is kept depends on the order of lines only. At most ``most_templates`` templates, ``newest`` + 1 lines
each, ``most_characters`` of a line; beyond it the template that got a line, or was merged, least recently is forgotten.
A reservoir loaded from ``dump()`` goes on as if it had never stopped.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

VERSION = 1


@dataclass(frozen=True, slots=True)
class Example:
    """``number``: which line it was since the reservoir began; ``cut``: only its beginning is here."""

    number: int
    time_us: int
    line: str
    trace_id: str = ""
    cut: bool = False


@dataclass(slots=True)
class _Kept:
    first: Example
    newest: deque[Example] = field(default_factory=deque)


class Reservoir:
    """Examples by template number (or any other whole number)."""

    def __init__(self, newest: int = 3, most_templates: int = 10_000, most_characters: int = 1_024) -> None:
        if newest < 0 or most_templates < 1 or most_characters < 1:
            raise ValueError(
                "a reservoir keeps 0 or more newest lines of 1 or more templates, 1 or more characters each"
            )
        self._newest, self._most_templates, self._most_characters = newest, most_templates, most_characters
        self._kept: dict[int, _Kept] = {}  # what got a line least recently comes first
        self._lines = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, template: int, time_us: int, line: str, trace_id: str = "") -> None:
        most = self._most_characters
        example = Example(self._lines, time_us, line[:most], trace_id[:64], len(line) > most)
        self._lines += 1
        kept = self._kept.pop(template, None)
        if kept is None:
            kept = _Kept(example, deque(maxlen=self._newest))
        else:
            kept.newest.append(example)
        self._kept[template] = kept
        if len(self._kept) > self._most_templates:
            del self._kept[next(iter(self._kept))]

    def add_many(
        self, templates: Sequence[int], times_us: Sequence[int], lines: Sequence[str], trace_ids: Sequence[str]
    ) -> None:
        for row in zip(templates, times_us, lines, trace_ids, strict=True):
            self.add(*row)

    def of(self, template: int) -> tuple[Example, ...]:
        """The first line, then the newest, in their order; nothing of a template that is not known."""
        kept = self._kept.get(template)
        return (kept.first, *kept.newest) if kept else ()

    def merge(self, old: int, stays: int) -> None:
        """``old`` is an alias of ``stays``: of the lines of both the first and the newest are kept."""
        gone, kept = self._kept.pop(old, None), self._kept.get(stays)
        if gone is None:
            return
        lines = sorted({*_lines(gone), *(_lines(kept) if kept else ())}, key=lambda example: example.number)
        self._kept.pop(stays, None)
        self._kept[stays] = _Kept(lines[0], deque(lines[1:], maxlen=self._newest))

    def forget(self, template: int) -> None:
        self._kept.pop(template, None)

    def dump(self) -> dict[str, Any]:
        """Arrays of (examples,), of one template after the other, and all texts in UTF-8."""
        rows = [(template, example) for template, kept in self._kept.items() for example in _lines(kept)]
        texts = [text.encode("utf-8", "surrogatepass") for _, one in rows for text in (one.line, one.trace_id)]
        return {
            "counters": np.array([VERSION, self._lines], np.int64),
            "template": np.array([template for template, _ in rows], np.int64),
            "number": np.array([example.number for _, example in rows], np.int64),
            "time_us": np.array([example.time_us for _, example in rows], np.int64),
            "cut": np.array([example.cut for _, example in rows], np.bool_),
            "sizes": np.array([len(text) for text in texts], np.int64),
            "texts": b"".join(texts),
        }

    @classmethod
    def load(
        cls, state: Mapping[str, Any], newest: int = 3, most_templates: int = 10_000, most_characters: int = 1_024
    ) -> "Reservoir":
        version, lines = np.asarray(state["counters"]).tolist()
        if version != VERSION:
            raise ValueError(f"the state of the reservoir has version {version}; this one reads {VERSION}")
        reservoir = cls(newest, most_templates, most_characters)
        columns = [np.asarray(state[name]).tolist() for name in ("template", "number", "time_us", "cut")]
        texts = _texts(bytes(state["texts"]), np.asarray(state["sizes"]).tolist())
        kept: dict[int, _Kept] = {}
        for template, number, time_us, cut, line, trace_id in zip(*columns, texts[::2], texts[1::2], strict=True):
            example = Example(number, time_us, line, trace_id, cut)
            if template in kept:
                kept[template].newest.append(example)
            else:
                kept[template] = _Kept(example, deque(maxlen=newest))
        for template in list(kept)[: max(len(kept) - most_templates, 0)]:
            del kept[template]
        reservoir._lines, reservoir._kept = lines, kept
        return reservoir


def _lines(kept: _Kept) -> Iterable[Example]:
    return (kept.first, *kept.newest)


def _texts(data: bytes, sizes: Sequence[int]) -> list[str]:
    texts, begin = [], 0
    for size in sizes:
        texts.append(data[begin : begin + size].decode("utf-8", "surrogatepass"))
        begin += size
    return texts
