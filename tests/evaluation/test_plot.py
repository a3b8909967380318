"""Pictures: one page a signal that needs nothing but itself."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pipeline.evaluation import plot
from pipeline.evaluation.scored import Span
from tests.evaluation.made import fleet, noise, scored

SPANS = [Span(0, 50, 51, 60), Span(0, 90, 91, 92)]


def drawn(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])  # type: ignore[index]


def of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if element.get("class") == name]


def test_a_page_shows_values_band_score_labels_and_anomalies() -> None:
    made = scored(fleet(noise(200), [(50, 55), (150, 160)], scored_from=30), SPANS, np.linspace(0, 6, 200))
    svg = drawn(plot.page(made, 0, "made"))
    counts = {name: len(of_class(svg, name)) for name in ("value", "band", "expected", "score", "label", "anomaly")}
    assert counts == {"value": 1, "band": 1, "expected": 1, "score": 1, "label": 4, "anomaly": 2}
    assert len(of_class(svg, "learning")) == 2
    assert len(of_class(svg, "threshold")) == 1
    first = of_class(svg, "label")[0]
    assert float(first.get("x", "")) == 70 + 50 / 200 * 1120
    assert float(first.get("width", "")) == 6 / 200 * 1120


def test_a_page_needs_nothing_else_and_does_not_grow_with_the_file() -> None:
    short, long = (plot.page(scored(fleet(noise(rows))), 0, "x") for rows in (2000, 40_000))
    assert not re.search(r"<script|src=|href=|url\(|https?:", long)
    assert len(long) < 1.3 * len(short)


def test_no_spike_is_lost_when_rows_share_a_place() -> None:
    values = np.zeros(30_000)
    values[12_345] = 7
    path = of_class(drawn(plot.page(scored(fleet(values)), 0, "x")), "value")[0].get("d", "")
    assert len(re.findall("V", path)) == 1


def test_missing_values_leave_a_gap_and_names_are_text() -> None:
    values = noise(50)
    values[20:25] = np.nan
    page = plot.page(scored(fleet(values)), 0, '<b>"a"&b')
    assert "<b>" not in page
    assert of_class(drawn(page), "value")[0].get("d", "").count("M") == 2


def test_a_signal_without_any_value_can_be_drawn() -> None:
    assert of_class(drawn(plot.page(scored(fleet(np.full(9, np.nan))), 0, "x")), "value")[0].get("d") == ""


def test_each_signal_has_a_page_of_its_own(tmp_path: Path) -> None:
    one = plot.write(tmp_path / "new/plots", scored(fleet(noise(20), name="real/a b.csv")))
    two = plot.write(tmp_path, scored(fleet(np.zeros((20, 2)), name="machine-1")))
    assert [path.name for path in (*one, *two)] == ["real_a_b.html", "machine-1_s0.html", "machine-1_s1.html"]
    assert one[0].read_text().startswith("<!doctype html>")
