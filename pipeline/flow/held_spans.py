"""Columns of spans while they wait for their windows, and spans put together from them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.signals.calls import NamedSpans
from pipeline.signals.traces import Spans

Array = npt.NDArray[Any]

_COLUMNS = tuple(field.name for field in fields(Spans))
_KINDS = dict(zip(_COLUMNS, ("u8", "u8", "u8", "i8", "i8", "?", "i8"), strict=True))
#: Columns that come with a span, and those that say what it is, as numbers.
OF_SPANS = tuple(name for name in _COLUMNS if name != "workload")
OF_NAMES = ("operation", "kind", "peer", "peer_kind")


def spans_of(rows: dict[str, Array]) -> Spans:
    """Spans of columns by name."""
    return Spans(**{name: rows[name] for name in _COLUMNS})


def named(rows: dict[str, Array]) -> NamedSpans:
    """The same with what they are."""
    return NamedSpans(spans_of(rows), *(rows[name] for name in OF_NAMES))


def together(parts: Sequence[NamedSpans]) -> NamedSpans:
    """Spans of several windows, each still once: one that came with two ends counts in the first."""
    spans = Spans(*(np.concatenate([getattr(part.spans, name) for part in parts]) for name in _COLUMNS))
    return NamedSpans(spans, *(np.concatenate([getattr(part, name) for part in parts]) for name in OF_NAMES))


#: No spans.
NOTHING = named(
    {name: np.empty((0, 2) if name == "trace" else 0, kind) for name, kind in _KINDS.items()}
    | {name: np.empty(0, np.int64) for name in OF_NAMES}
)
