"""What holds for every format of traces: it is in the registry, no bytes do harm, what came before changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import jaeger_encode, otlp_span_encode
from pipeline.codecs.registry import SPAN_CODECS, span_codec
from pipeline.codecs.series_table import Limits
from pipeline.records import Peer, SpanKind
from tests.codecs.spans_sent import ID, PARENT, TRACE, Row, T, assert_accounted_for, damaged, rows, send

ATTRIBUTES = {"db.system.name": "postgresql", "db.namespace": "shop", "db.operation.name": "SELECT", "n": 1}
MESSAGES = {
    "otlp_spans": otlp_span_encode.traces_request(
        otlp_span_encode.resource_spans(
            {"service.name": "cart"},
            [
                otlp_span_encode.span(
                    "query", TRACE, ID, T, T + 5, parent=PARENT, kind=SpanKind.CLIENT, attributes=ATTRIBUTES, status=2
                )
            ],
        )
    ),
    "jaeger_spans": jaeger_encode.span(
        "query",
        TRACE,
        ID,
        T,
        T + 5,
        process=("cart", {}),
        parent=PARENT,
        tags=ATTRIBUTES | {"span.kind": "client", "error": True},
    ),
}
CART = (("service.name", "cart"),)
ROW = Row(0, CART, SpanKind.CLIENT, "SELECT", "postgresql/shop", Peer.DATABASE, TRACE, ID, PARENT, T, T + 5, True, ())
every_format = pytest.mark.parametrize("name", MESSAGES)


def test_every_format_has_a_message_here() -> None:
    assert MESSAGES.keys() == SPAN_CODECS.keys()


@every_format
def test_the_same_span_becomes_the_same_row_in_every_format(name: str) -> None:
    codec = span_codec(name, Limits())
    for _ in range(3):
        columns = send(codec, MESSAGES[name])
        assert rows(codec, columns) == [ROW]
        assert (columns.rejections, columns.dropped) == ([], {})
    assert (len(codec.shapes), len(codec.resources)) == (1, 1)


@every_format
@given(
    damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    before=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_rows_of_a_message_do_not_depend_on_what_was_decoded_before(
    name: str, damage: list[tuple[int, int]], before: list[tuple[int, int]]
) -> None:
    value = damaged(MESSAGES[name], damage)
    assert_accounted_for(span_codec(name, Limits()), value)
    fresh, used = span_codec(name, Limits()), span_codec(name, Limits(max_series=3))
    for _ in range(2):
        send(used, damaged(MESSAGES[name], before), MESSAGES[name], value)
    ours, theirs = send(used, value), send(fresh, value)
    assert rows(used, ours) == rows(fresh, theirs)
    assert ours.rejections == theirs.rejections
