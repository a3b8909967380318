"""JSON objects in messages: one, an array of them, or one after the other with white space between (NDJSON).

Guarantee: a message gives all its objects or none; one that gives none is refused as ``empty`` or ``undecodable``. An
object never reaches over the end of its message. What a message gives does not depend on its neighbours.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint
from pipeline.records import Message

T = TypeVar("T")

#: What the decoder raises on bad input: wrong JSON or types, wrong UTF-8, nesting without end.
BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class JsonRecords(Generic[T]):
    """Reads objects of one type. ``what`` names them for people: ``a CloudWatch record``."""

    def __init__(self, form: type[T], what: str) -> None:
        self._one = msgspec.json.Decoder(form)
        self._many = msgspec.json.Decoder(list[form])  # type: ignore[valid-type]
        self._what = what

    def read(self, messages: Sequence[Message], rows: PointRows) -> tuple[list[T], npt.NDArray[np.int32]]:
        """The objects of all messages, in order, and the message of each, (objects,)."""
        decode = self._one.decode
        try:  # one object in each message is the usual case, and the fast way
            return [decode(message.value) for message in messages], np.arange(len(messages), dtype=np.int32)  # type: ignore[arg-type]
        except (*BAD_JSON, TypeError):
            return self._read_each(messages, rows)

    def _read_each(self, messages: Sequence[Message], rows: PointRows) -> tuple[list[T], npt.NDArray[np.int32]]:
        found: list[T] = []
        numbers: list[int] = []
        for number, message in enumerate(messages):
            try:
                inside = self._read(message.value)
            except BadPoint as error:
                rows.refuse(number, error)
                inside = []
            found.extend(inside)
            numbers.append(len(inside))
        return found, np.repeat(np.arange(len(messages), dtype=np.int32), numbers)

    def _read(self, value: bytes | None) -> list[T]:
        start = value.lstrip()[:1] if value else b""
        if not value or not start:
            raise BadPoint("empty", f"the message has no value; send {self._what}")
        try:
            return self._many.decode(value) if start == b"[" else self._one.decode_lines(value)
        except BAD_JSON as error:
            raise BadPoint("undecodable", f"not {self._what}, an array of them or NDJSON: {error}"[:300]) from None
