"""Logs and traces that come now and then: what came is told as soon as nothing comes for now, for nobody waits then."""

from dataclasses import replace

import pytest

from pipeline.codecs import line_block, span_block
from pipeline.flow.join_lines import LineJoinChain
from tests.flow import test_lines, test_traces
from tests.flow.test_lines import Line
from tests.flow.test_traces import Told, request


class Lines(test_lines.Join):
    """Lines, and ``silence`` of the source afterwards."""

    def silence(self) -> None:
        last = line_block.decode(self.log[-1])
        empty = line_block.decode(test_lines.block([], len(self.log), 0))
        self._add(line_block.encode(replace(empty, progress_us=last.progress_us, idle=True)))

    def say(self, *lines: Line) -> None:
        self.feed(list(lines), max(line.at_ms for line in lines))

    def _add(self, value: bytes) -> None:
        self.log.append(value)
        self.again(len(self.log) - 1)

    def restart(self) -> None:
        snapshot = self.chain.snapshot(full=True).keep()
        self.chain = LineJoinChain(0, test_lines.CONFIG)
        self.chain.restore(snapshot)
        for offset in range(snapshot.offset, len(self.log)):
            self.again(offset)

    def told(self) -> list[tuple[float, float]]:
        return next(iter(self.counts().values()), [])


class Spans(test_traces.Join):
    def silence(self) -> None:
        last = span_block.decode(self.log[-1])
        empty = span_block.decode(test_traces.block([], len(self.log), 0))
        self.log.append(span_block.encode(replace(empty, progress_us=last.progress_us, idle=True)))
        self.again(len(self.log) - 1)


def test_the_window_of_the_last_line_is_told_when_nothing_comes_for_now() -> None:
    join = Lines()
    join.say(Line(1_000, "order placed"), Line(2_000, "order placed"))
    assert join.told() == []
    join.silence()
    assert join.told() == [(10.0, 2.0)]


def test_a_line_that_comes_for_a_window_that_was_told_counts_in_the_next() -> None:
    join = Lines()
    for at_ms in (1_000, 5_000, 9_000):
        join.say(Line(at_ms, "order placed"))
        join.silence()
    assert join.told() == [(10.0, 1.0)]
    join.say(Line(13_000, "order placed"))
    join.silence()
    assert join.told() == [(10.0, 1.0), (20.0, 3.0)]


def test_windows_that_nobody_waited_for_are_not_told_afterwards() -> None:
    join = Lines()
    join.say(Line(1_000, "order placed"))
    join.silence()
    join.say(Line(101_000, "order placed"))
    join.silence()
    assert join.told() == [(10.0, 1.0), (110.0, 1.0)]


def test_without_silence_windows_without_lines_are_told_to_be_empty() -> None:
    join = Lines()
    join.say(Line(1_000, "order placed"))
    join.say(Line(31_000, "order placed"))
    assert join.told() == [(10.0, 1.0), (20.0, 0.0), (30.0, 0.0)]


@pytest.mark.parametrize("restart", range(1, 8))
def test_a_restart_between_changes_nothing(restart: int) -> None:
    steady, join = Lines(), Lines()
    for each in (steady, join):
        step = 0
        for at_ms in (1_000, 5_000, 32_000, 38_000):
            for act in (lambda at_ms=at_ms, each=each: each.say(Line(at_ms, "order placed")), each.silence):
                act()
                step += 1
                if each is join and step == restart:
                    join.restart()
    assert dict(join.told()) == dict(steady.told()) == {10.0: 1.0, 20.0: 1.0, 40.0: 1.0}


def test_the_operations_of_the_last_spans_are_told_when_nothing_comes_for_now() -> None:
    join = Spans()
    join.feed(request(1, 1_000), 1_100)
    join.silence()
    assert join.values("traces.operation.duration", "operation")["GET /"] == [(10.0, 1.0)]


def test_spans_that_come_now_and_then_are_all_counted_and_their_calls_are_edges() -> None:
    join = Spans()
    for number, at_ms in enumerate((1_000, 5_000, 14_000, 47_000, 90_000), 1):
        join.feed(request(number, at_ms), at_ms + 100)
        join.silence()
    found = join.values("traces.operation.duration", "operation")["GET /"]
    assert sum(count for _, count in found) == 5
    join.feed([Told(test_traces.PAGE, 99, 1, 0, 200_000, 10)], 200_010)
    assert set(join.edges().values()) == {5}
