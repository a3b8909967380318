"""What all ingest chains do with the messages of one input partition: times, lateness, dead letters, offsets, state.

Guarantee: what a message becomes depends on the message, the configuration and the greatest event time before it in its
partition, and on nothing else; what cannot be used goes to ``calm.dead-letter`` with its reason, whole but for what is
redacted. That greatest event time is kept in the checkpoint, so that lateness is the same after a restart.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.unused import Unused
from pipeline.records import NO_TIME, US, Message, Output, Rejection, Snapshot, record_time_us, window_end

Array = npt.NDArray[Any]

_VERSION = "ingest/1"
#: Rows held before blocks are cut.
FULL_ROWS = 20_000


class InputChain:
    """``source`` is ``topic/partition`` of the input partition. A chain takes batches in ``apply`` and lets blocks out
    in ``flush``."""

    def __init__(self, source: str, config: FlowConfig) -> None:
        self._source = source
        self._topic, _, self._partition = source.rpartition("/")
        self._config = config
        self.redaction = config.limits.redaction
        self._offset = 0  # messages below it are taken
        self._covered = 0  # blocks say that messages below it are covered
        self._progress_us = NO_TIME
        self._told: tuple[int, int, bool] | None = None
        self._idle = False
        self._unused = Unused()  # of what the codec knows

    def _too_far(
        self, message: Array, time_us: Array, messages: Sequence[Message], rejections: list[Rejection], out: Output
    ) -> tuple[Array, Array]:
        """Rows whose time is too far from their Kafka record's, of bool, which are refused; and for all rows how far
        event time is with them: a time ahead of its record's claims no more than that."""
        written = np.array([record_time_us(each) for each in messages], np.int64)
        record_us = written[message] if message.size else np.empty(0, np.int64)
        ahead = time_us - record_us
        future, past = ahead > self._config.max_future_us, ahead < -self._config.max_past_us
        for mask, reason, limit in (
            (future, "far_future", self._config.max_future_us),
            (past, "far_past", self._config.max_past_us),
        ):
            if mask.any():
                text = f"its time is more than {limit // US} s from its Kafka record's time"
                refused = np.unique(message[mask]).tolist()
                rejections.extend(Rejection(number, reason, text, whole=False) for number in refused)
                out.count("drop", reason, int(mask.sum()))
        return future | past, np.minimum(time_us, record_us)

    def _lateness(self, claim: Array, message: Array, time_us: Array, window_us: Array | int, out: Output) -> Array:
        """Which rows of some whole messages came after their window, of bool; moves the chain's progress on."""
        return self._came_late(self._progress_before(claim, message), time_us, window_us, out)

    def _came_late(self, before: Array, time_us: Array, window_us: Array | int, out: Output) -> Array:
        """The same; ``before``: the chain's progress before the message of each row."""
        late: Array = window_end(time_us, window_us) + self._config.lateness_us <= before
        out.count("notice", "out_of_order", int(((time_us < before) & ~late).sum()))
        return late

    def _progress_before(self, claim: Array, message: Array) -> Array:
        """For each row the greatest event time of all messages before its own; moves the chain's progress on."""
        reached = np.maximum.accumulate(np.maximum(claim, self._progress_us))
        first = np.flatnonzero(np.concatenate([[True], message[1:] != message[:-1]]))
        of_message = np.concatenate([[self._progress_us], reached[first[1:] - 1]])
        self._progress_us = int(reached[-1])
        if first.size == message.size:
            return of_message
        return np.repeat(of_message, np.diff(np.append(first, message.size)))

    def _dead_letters(self, rejections: Sequence[Rejection], messages: Sequence[Message], out: Output) -> None:
        reasons: dict[int, list[Rejection]] = {}
        for rejection in rejections:
            reasons.setdefault(rejection.message, []).append(rejection)
            if rejection.reason not in ("far_future", "far_past"):
                out.count("drop", rejection.reason)
        for number, found in sorted(reasons.items()):
            found.sort(key=lambda rejection: rejection.reason)
            reason = ",".join(rejection.reason for rejection in found)
            detail = "; ".join(self.redaction.detail(rejection.detail) for rejection in found)
            letter = dead_letter(messages[number], self._topic, self._partition, reason, detail, self.redaction)
            out.records.append(letter)

    def _news(self, *, idle: bool) -> bool:
        """Is there anything to say that was not said, with no rows to let out?"""
        self._idle = self._idle or idle
        told = (self._offset, self._progress_us, self._idle)
        news, self._told = told != self._told, told
        return news

    # -- state ---------------------------------------------------------------------------------------------------

    def watermark_us(self) -> int:
        return self._progress_us

    def gauges(self) -> dict[str, float]:
        return {}

    def snapshot(self, *, full: bool) -> Snapshot:
        head = msgspec.msgpack.encode([self._offset, self._progress_us])
        return Snapshot(_VERSION, self._offset, head, {}, (), full=True)

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != _VERSION:
            raise other_version("ingest", self._source, snapshot.version, _VERSION)
        try:
            self._offset, self._progress_us = msgspec.msgpack.decode(snapshot.head, type=tuple[int, int])
        except msgspec.MsgspecError as error:
            raise damaged("ingest", self._source, repr(error)) from error
        self._covered = self._offset

    @staticmethod
    def _with(snapshot: Snapshot, more: Any) -> Snapshot:
        """A snapshot with more state of a chain."""
        return replace(snapshot, blocks={"more": msgspec.msgpack.encode(more)}, names=("more",))

    def _without(self, snapshot: Snapshot) -> Any:
        """The ``more`` of a snapshot. Raises UnreadableState."""
        try:
            return msgspec.msgpack.decode(snapshot.blocks["more"])
        except (KeyError, msgspec.MsgspecError) as error:
            raise damaged("ingest", self._source, repr(error)) from error

    def heard(self) -> dict[str, int]:
        return {}  # producers number nothing

    def numbers(self) -> Numbers:
        return {}

    def go_on_from(self, numbers: Numbers) -> None:
        """Blocks are numbered by the offsets of the input."""

    def lost_history(self) -> None:
        """Blocks go on saying that they cover everything from the last one on: the lost messages are gone for good."""


def offsets_of(messages: Sequence[Message]) -> Array:
    """Offsets of messages, (messages,)."""
    if not messages:
        return np.empty(0, np.int64)
    first, last = messages[0].offset, messages[-1].offset
    if last - first == len(messages) - 1:  # none is missing
        return np.arange(first, last + 1, dtype=np.int64)
    return np.array([message.offset for message in messages], np.int64)


def cuts(message: Array, messages: int, most_rows: int = FULL_ROWS) -> list[tuple[int, int, slice]]:
    """Cut a batch into runs of whole messages with about ``most_rows`` rows: (first message, end message, rows)."""
    if not messages:
        return []
    if message.size <= most_rows:
        return [(0, messages, slice(0, message.size))]
    found = []
    first = row = 0
    while first < messages:
        if row + most_rows >= message.size:
            last, end = messages, message.size
        else:
            last = max(int(message[row + most_rows]), first + 1)
            end = int(np.searchsorted(message, last))
        found.append((first, last, slice(row, end)))
        first, row = last, end
    return found
