"""The columns of a batch of spans while it is read: everything as it was sent, good or not, sorted out at the end.

Guarantee: row order is message order, whatever way a message was read; at most one rejection for each message and
reason, with the detail of the first. Rows that were scanned are arrays, the others lists.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.codecs import span_scan as scan
from pipeline.codecs.series_table import BadPoint
from pipeline.codecs.span_table import SpanTable
from pipeline.records import Rejection, SpanColumns

_Arrays = npt.NDArray[Any]

#: Reason and detail for what is wrong with a span, in the order of span_scan.
_WRONG = (
    ("", ""),
    ("bad_id", "a trace id must be 16 bytes, not all of them 0"),
    ("bad_id", "a span id must be 8 bytes, not all of them 0"),
    ("bad_id", "a parent span id must be 8 bytes, or empty for a root span"),
    ("no_time", "the start or the end of a span is 0; give both as nanoseconds since 1970"),
    ("ends_before_start", "a span ends before it starts; is the clock of its machine set back?"),
)
_FIRST_COLUMNS = scan.RESOURCE_AT  # those after them are for finding the shape only
_TO_NUMBER = [scan.MESSAGE, scan.AT, scan.RESOURCE_AT, scan.RESOURCE_END, scan.KIND, scan.PARTS]


class ReadSpan(NamedTuple):
    """A span that was read one by one, as it was sent; times are nanoseconds, 0 is none; links name trace and span."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    links: Sequence[tuple[bytes, bytes]]

    def wrong(self) -> int:
        """What is wrong with it, as scanners say it."""
        if not _is_id(self.trace_id, scan.TRACE_BYTES):
            return scan.TRACE_ID
        if not _is_id(self.span_id, scan.ID_BYTES):
            return scan.SPAN_ID
        if len(self.parent_id) not in (0, scan.ID_BYTES):
            return scan.PARENT_ID
        if not self.start or not self.end:
            return scan.NO_TIME
        return scan.BACKWARDS if self.end < self.start else scan.FINE


class SpanRows:
    """Collects what the two ways find."""

    def __init__(self) -> None:
        self._scanned: list[tuple[_Arrays, _Arrays]] = []
        self._rows: list[list[int]] = []
        self._links: list[tuple[int, int, int, int]] = []
        self._refused: dict[tuple[int, str], tuple[int, str]] = {}  # (message, reason) → place, detail of the first

    def refuse(self, message: int, place: int, error: BadPoint) -> None:
        """Refuse what stands in a message at a place."""
        known = self._refused.get((message, error.reason))
        if known is None or place < known[0]:
            self._refused[message, error.reason] = place, error.detail

    def add(self, message: int, place: int, span: ReadSpan, shape: int, failed: bool) -> None:
        """A span read one by one, that has nothing wrong; ``place`` grows from span to span of a message."""
        good = [
            (len(self._rows), *_halves(trace), int.from_bytes(id_))
            for trace, id_ in span.links
            if _is_id(trace, scan.TRACE_BYTES) and _is_id(id_, scan.ID_BYTES)
        ]
        self._links += good
        ids = (*_halves(span.trace_id), int.from_bytes(span.span_id), int.from_bytes(span.parent_id))
        bits = [value - 2**64 if value >= 2**63 else value for value in (*ids, span.start, span.end)]
        self._rows.append([message, place, scan.FINE, shape, *bits, failed, len(span.links) - len(good)])

    def refuse_wrong(self, message: int, place: int, wrong: int) -> None:
        """A span that was read one by one and has something wrong."""
        self.refuse(message, place, BadPoint(*_WRONG[wrong]))

    def add_scanned(self, data: bytes, found: scan.Found, first: int, table: SpanTable) -> None:
        """Rows that a scanner read in ``data``, whose messages are numbered from ``first``; shapes that it did not
        know get their number now."""
        row, links, parts = found.rows, found.links, found.parts
        row[:, scan.MESSAGE] += first
        taken, fine = found.taken[row[:, scan.MESSAGE] - first], row[:, scan.WRONG] == scan.FINE
        self._refuse_wrong(row[taken & ~fine])
        row, parts, links = _kept(row, parts, links, taken & fine)
        self._number_new(data, row, parts, table)
        row, _, links = _kept(row, parts, links, row[:, scan.SHAPE] >= 0)
        self._scanned.append((row[:, :_FIRST_COLUMNS], links))

    def _number_new(self, data: bytes, row: _Arrays, parts: _Arrays, table: SpanTable) -> None:
        new = np.flatnonzero(row[:, scan.SHAPE] < 0)
        of_row = row[new][:, _TO_NUMBER]
        of_parts = parts[new, : of_row[:, -1].max(initial=0)].tolist()
        for place, told, bounds in zip(new.tolist(), of_row.tolist(), of_parts, strict=True):
            message, at, begin, end, kind, size = told
            try:
                found = [data[first:last] for first, last in bounds[:size]]
                row[place, scan.SHAPE] = table.shape(data[begin:end], kind, found)
            except BadPoint as error:
                self.refuse(message, at, error)

    def columns(self) -> SpanColumns:
        row, links = self._all()
        message = row[:, scan.MESSAGE].astype(np.int32)
        bits = np.ascontiguousarray(row[:, scan.TRACE_HIGH : scan.END + 1]).view(np.uint64)
        bad_links = int(row[:, scan.BAD_LINKS].sum())
        return SpanColumns(
            message=message,
            shape=row[:, scan.SHAPE].astype(np.int32),
            trace=np.ascontiguousarray(bits[:, :2]),
            span=np.ascontiguousarray(bits[:, 2]),
            parent=np.ascontiguousarray(bits[:, 3]),
            start_us=(bits[:, 4] // 1000).astype(np.int64),
            end_us=(bits[:, 5] // 1000).astype(np.int64),
            failed=row[:, scan.FAILED] != 0,
            links=links,
            rejections=self._rejections(message),
            dropped={"bad_link": bad_links} if bad_links else {},
        )

    def _all(self) -> tuple[_Arrays, _Arrays]:
        """All rows in order, and all links."""
        listed = np.array(self._rows, np.int64)
        rows = [listed.reshape(-1, _FIRST_COLUMNS)]
        links = [np.array(self._links, np.uint64).reshape(-1, 4)]
        before = len(listed)
        for row, found in self._scanned:
            found[:, 0] += np.uint64(before)
            before += len(row)
            rows.append(row)
            links.append(found)
        row, link = np.concatenate(rows), np.concatenate(links)
        if not self._rows:
            return row, link
        order = np.lexsort((row[:, scan.AT], row[:, scan.MESSAGE]))
        return row[order], _reordered(link, order)

    def _refuse_wrong(self, row: _Arrays) -> None:
        """Rows with something wrong; few kinds of it a message, however many rows."""
        kinds = row[:, scan.MESSAGE] * len(_WRONG) + row[:, scan.WRONG]
        for place in np.unique(kinds, return_index=True)[1].tolist():
            message, at, wrong = row[place, [scan.MESSAGE, scan.AT, scan.WRONG]].tolist()
            self.refuse_wrong(message, at, wrong)

    def _rejections(self, message: _Arrays) -> list[Rejection]:
        if not self._refused:
            return []
        alive = set(np.unique(message).tolist())
        return [
            Rejection(number, reason, detail, whole=number not in alive)
            for (number, reason), (_, detail) in sorted(self._refused.items())
        ]


def _kept(row: _Arrays, parts: _Arrays, links: _Arrays, keep: _Arrays) -> tuple[_Arrays, _Arrays, _Arrays]:
    """The rows that are kept, and the links of these with their new numbers."""
    if keep.all():
        return row, parts, links
    if len(links):
        at = links[:, 0].astype(np.int64)
        links = links[keep[at]]
        links[:, 0] = (np.cumsum(keep) - 1)[at[keep[at]]]
    return row[keep], parts[keep], links


def _reordered(links: _Arrays, order: _Arrays) -> _Arrays:
    """The links of rows that were put in another order, in the order of rows."""
    if not len(links):
        return links
    place = np.empty(order.size, np.uint64)
    place[order] = np.arange(order.size, dtype=np.uint64)
    links[:, 0] = place[links[:, 0].astype(np.int64)]
    return links[np.argsort(links[:, 0], kind="stable")]


def _is_id(value: bytes, size: int) -> bool:
    return len(value) == size and any(value)


def _halves(trace: bytes) -> tuple[int, int]:
    return int.from_bytes(trace[:8]), int.from_bytes(trace[8:])
