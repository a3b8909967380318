"""Compile the kernels: ``python -m pipeline.flow.warm_up``, and what a worker does for its roles before it starts.

The first time takes some ten seconds a role; numba keeps the machine code beside the sources (or where NUMBA_CACHE_DIR
says), so that later starts only load it. Within a worker a compilation would look like a loop that hangs.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from detectors import ComposedDetector, inherit
from pipeline.codecs.registry import input_codec, span_codec
from pipeline.codecs.series_table import Limits
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Headers, Kind, Signal
from pipeline.scoring.relatives import LEAST_MEMBERS
from pipeline.scoring.scorer import Scorer
from pipeline.signals import masking, traces


@dataclass(frozen=True)
class _Message:
    value: bytes
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Headers = ()


def warm_up(roles: Collection[str] = ("ingest", "join", "score")) -> None:
    """Run every kernel of these roles once."""
    for role in roles:
        _OF_ROLE.get(role, lambda: None)()


def _ingest() -> None:
    """A message that holds one field of no meaning, and an operation's name."""
    unknown = [_Message(b"\x7a\x00")]
    input_codec("otlp_metrics", Limits()).decode(unknown)
    for name in ("otlp_spans", "jaeger_spans"):
        span_codec(name, Limits()).decode(unknown)
    masking.mask_lines(["GET /1"])


def _join() -> None:
    """A line, and a span without a parent."""
    masking.mask_lines(["1 line"])
    one, none = np.ones(1, np.int64), np.zeros(1, np.bool_)
    spans = traces.Spans(np.ones((1, 2), np.uint64), one.astype(np.uint64), one.astype(np.uint64), one, one, none, one)
    traces.self_times(spans, traces.parents(spans))


def _score() -> None:
    """A few windows of an entity of made-up signals."""
    scorer = Scorer(DetectorPolicy(), {})
    for key in range(LEAST_MEMBERS):
        scorer.add(Signal(key, f"warm-up-{key}", "1", Kind.GAUGE, "", "warm-up", "", ()))
    row = np.arange(LEAST_MEMBERS)
    for window in range(2):
        start = np.full(LEAST_MEMBERS, window * 60 * US)
        scorer.step((window + 1) * 60 * US, row, start, start, row + float(window), row + 1)
    heirs = ComposedDetector().empty(4)
    inherit(heirs, 2, 0, [1])
    inherit(heirs, 3, 0, stranger=True)


_OF_ROLE: Mapping[str, Callable[[], None]] = {
    "ingest": _ingest,
    "join": _join,
    "score": _score,
    "shadow": _score,
}


if __name__ == "__main__":
    warm_up()
