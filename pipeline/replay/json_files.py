"""Files of JSON, as messages: NDJSON with one message of points a line, and OTLP metrics as the collector writes them.

Guarantee: the bytes of a message are those of the file; whatever they are, the chain judges them. The record time of
a message is the newest time in it, or that of the message before when it has none.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.records import to_us
from pipeline.replay.message import Replayed, ReplayError, record_time_ms
from pipeline.replay.refusals import Refusals
from pipeline.replay.times import TimeForm

#: The time of an OTLP point; a quote that is escaped stands inside a string.
_OTLP_TIME = re.compile(rb'(?<!\\)"time(?:UnixNano|_unix_nano)"\s*:\s*"?(\d{1,20})')


class _JsonFile:
    """What both kinds share. ``form`` is None: these files have no one form of times."""

    format_name = ""
    form: TimeForm | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.refusals = Refusals()
        self._file: BinaryIO = path.open("rb")

    def done(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def messages(self) -> Iterator[Replayed]:
        """One message for each text of the file. Raises ReplayError when the file is empty."""
        newest_us: int | None = None
        for line, value in self._texts():
            newest_us = self._newest_us(value, newest_us)
            yield Replayed(line, record_time_ms(newest_us or 0), None, value)
        if newest_us is None:
            raise ReplayError(f"{self.path}: no message in it has a time; is it of another format?")

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """Line number and bytes of each line that is not blank."""
        for line, value in enumerate(self._file, 1):
            value = value.strip()
            if value:
                yield line, value

    def _newest_us(self, value: bytes, before: int | None) -> int | None:
        raise NotImplementedError


class NdjsonFile(_JsonFile):
    """Each line is a JSON point or an array of points."""

    format_name = "json_points"

    def _newest_us(self, value: bytes, before: int | None) -> int | None:
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return before
        points = found if isinstance(found, list) else [found]
        times = [time for point in points if (time := _point_time_us(point)) is not None]
        return max(times, default=before)


class OtlpJsonFile(_JsonFile):
    """Each line is an ExportMetricsServiceRequest in JSON; or the whole file is a single one."""

    format_name = "otlp_metrics"

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        lines = super()._texts()
        first = next(lines, None)
        if first is None:
            return
        if not _is_json(first[1]):
            whole = first[1] + b"\n" + self._file.read()
            if _is_json(whole):
                yield first[0], whole
                return
            self._file.seek(0)
            lines = super()._texts()
        else:
            yield first
        yield from lines

    def _newest_us(self, value: bytes, before: int | None) -> int | None:
        times = [int(found) // 1000 for found in _OTLP_TIME.findall(value)]
        return max(times, default=before)


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _point_time_us(point: Any) -> int | None:
    """The time of a JSON point; None where the chain will refuse it."""
    ts = point.get("ts") if isinstance(point, dict) else None
    if isinstance(ts, str):
        try:
            moment = datetime.fromisoformat(ts)
        except ValueError:
            return None
        return to_us((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if isinstance(ts, int | float) and abs(ts) < 1e11:
        return to_us(ts)
    return None
