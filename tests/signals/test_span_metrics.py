"""Metrics that connectors make of spans: whose they are, and what they stand for."""

from dataclasses import replace

import pytest

from pipeline.records import Entity, Kind, Series
from pipeline.signals.identity import made_signal, signal_of
from pipeline.signals.span_metrics import measures, of_caller

GRAPH = Series(
    "traces_service_graph_request_total",
    "",
    Kind.COUNTER,
    (("client", "shop"), ("connection_type", ""), ("server", "cart"), ("service.name", "otelcol")),
)
SPANS = (("service.name", "cart"), ("span.kind", "SPAN_KIND_SERVER"), ("span.name", "GET /cart"))


def test_a_metric_of_the_service_graph_is_one_of_the_service_that_calls() -> None:
    signal = signal_of(of_caller(GRAPH), ())
    assert signal.workload == "service:shop"
    assert signal.attributes == (("connection_type", ""), ("service.peer.name", "cart"))


@pytest.mark.parametrize(
    "series",
    [
        replace(GRAPH, name="requests_total"),
        replace(GRAPH, attributes=(("client", "shop"), ("server", ""))),
        replace(GRAPH, attributes=(("client", "shop"),)),
    ],
)
def test_any_other_series_stays_as_it_is(series: Series) -> None:
    assert of_caller(series) is series


@pytest.mark.parametrize(
    ("series", "told"),
    [
        (of_caller(GRAPH), "traces.call."),
        (Series("traces.span.metrics.duration", "ms", Kind.HISTOGRAM, SPANS), "traces.operation."),
        (Series("calls", "", Kind.COUNTER, SPANS), "traces.operation."),
        (
            Series(
                "traces_spanmetrics_calls_total",
                "",
                Kind.COUNTER,
                (("service.name", "cart"), ("span_kind", "SPAN_KIND_SERVER"), ("span_name", "GET /cart")),
            ),
            "traces.operation.",
        ),
        (Series("http.server.request.duration", "s", Kind.HISTOGRAM, (("service.name", "cart"),)), None),
    ],
)
def test_what_a_metric_tells_of_spans(series: Series, told: str | None) -> None:
    names = measures(signal_of(series, ()))
    assert names == ((f"{told}duration", f"{told}failed") if told else ())


def test_our_own_signals_measure_nothing_but_themselves() -> None:
    ours = made_signal(
        "traces.operation.duration", "s", Kind.HISTOGRAM_DELTA, Entity("prod", "service:cart", ""), SPANS
    )
    assert measures(ours) == ()
