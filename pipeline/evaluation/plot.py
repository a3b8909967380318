"""A picture of every signal for people: values, band, score, labels and anomalies, as one HTML page each.

Guarantee: a page needs nothing but itself (no script, no font, no address) and its size does not grow with the file:
rows that share a place are drawn as one line from their least to their greatest value.
"""

import html
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.labelled import Array
from pipeline.evaluation.scored import Scored, Span
from pipeline.records import iso

_WIDTH, _LEFT, _RIGHT = 1200, 70, 10
_VALUES, _SCORES = (30, 320), (350, 150)  # top and height
_HEIGHT = 530
_PLACES = 1120
_TICKS = 6
#: Greatest surprise drawn.
_TALLEST = 40.0

_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}svg{max-width:100%;height:auto}
.band{fill:#9ec5e8;opacity:.5}.expected{stroke:#2b6ca3;fill:none}.value{stroke:#222;fill:none}
.label{fill:#f2b632;opacity:.35}.anomaly{fill:#c0392b}.learning{fill:#888;opacity:.12}
.score{stroke:#6b3fa0;fill:none}.threshold{stroke:#c0392b;stroke-dasharray:4 3}.frame{fill:none;stroke:#999}
text{font:11px system-ui,sans-serif;fill:#555}.key span{display:inline-block;margin-right:1.5em}
.key i{display:inline-block;width:1em;height:.8em;margin-right:.4em}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}.value{stroke:#ddd}text{fill:#aaa}}
"""
_KEY = (
    ("#222", "value (least and greatest of a place)"),
    ("#9ec5e8", "expected value and bounds"),
    ("#f2b632", "labelled"),
    ("#c0392b", "anomaly"),
    ("#6b3fa0", "surprise = −log₁₀ p"),
)


def write(folder: Path, scored: Scored) -> list[Path]:
    """One page a signal into ``folder``, which is made. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for signal, name in enumerate(scored.fleet.signals):
        title = scored.fleet.name if len(scored.fleet.signals) == 1 else f"{scored.fleet.name} {name}"
        path = folder / f"{_file_name(title)}.html"
        path.write_text(page(scored, signal, title), encoding="utf-8")
        written.append(path)
    return written


def page(scored: Scored, signal: int, title: str) -> str:
    """The page of one signal."""
    key = "".join(f'<span><i style="background:{colour}"></i>{text}</span>' for colour, text in _KEY)
    spans = [span for span in scored.spans if span.signal == signal]
    name = html.escape(title)
    summary = (
        f"{scored.fleet.rows:,} windows of {scored.fleet.window_us / 1e6:g} s, {len(scored.fleet.events)} events, "
        f"{len(spans)} anomalies"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"/><title>{name}</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><h1>{name}</h1><p>{summary}</p><p class="key">{key}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{"".join(_drawn(scored, signal, spans))}'
        "</svg></body></html>\n"
    )


def _drawn(scored: Scored, signal: int, spans: list[Span]) -> Iterator[str]:
    fleet = scored.fleet
    value = fleet.values[:, signal]
    least, most = _range(value)
    values = _Panel(*_VALUES, fleet.rows, least, most)
    surprise = np.minimum(scored.surprise[:, signal], _TALLEST)
    threshold = np.asarray(scored.rules.threshold, np.float64)
    line = float(threshold.flat[0]) if threshold.size == 1 else None
    scores = _Panel(*_SCORES, fleet.rows, 0.0, max(float(surprise.max()), 1.0 if line is None else 1.5 * line))
    for panel in (values, scores):
        yield from (panel.stripe(first, last, "label") for first, last in fleet.events)
        if fleet.scored_from:
            yield panel.stripe(0, fleet.scored_from - 1, "learning")
    yield values.band(scored.lower[:, signal], scored.upper[:, signal])
    yield values.line(scored.expected[:, signal], "expected")
    yield values.line(value, "value")
    yield from (values.mark(span.onset, span.last) for span in spans)
    yield scores.line(surprise, "score")
    if line is not None:
        yield scores.level(line, "threshold")
    yield values.frame()
    yield scores.frame()
    yield from _times(fleet.time_us)


def _range(value: Array) -> tuple[float, float]:
    known = value[np.isfinite(value)]
    least, most = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    margin = 0.08 * (most - least) or 0.1 * abs(most) or 1.0
    return least - margin, most + margin


class _Panel:
    """A rectangle of the picture, and how rows and values stand in it."""

    def __init__(self, top: int, height: int, rows: int, least: float, most: float) -> None:
        self._top, self._height, self._least, self._most = top, height, least, most
        self._rows = rows
        self._place = np.arange(rows) * min(_PLACES, rows) // rows
        self._starts = np.flatnonzero(np.diff(self._place, prepend=-1))
        self._x = _LEFT + (self._starts + 0.5) / rows * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: Array) -> Array:
        share = (np.clip(value, self._least, self._most) - self._least) / (self._most - self._least)
        found: Array = self._top + self._height * (1 - share)
        return found

    def _at(self, row: float) -> float:
        return _LEFT + row / self._rows * (_WIDTH - _LEFT - _RIGHT)

    def _ends(self, array: Array) -> tuple[Array, Array]:
        """Least and greatest of each place; NaN where it has none."""
        known = np.isfinite(array)
        some = np.logical_or.reduceat(known, self._starts)
        least = np.minimum.reduceat(np.where(known, array, np.inf), self._starts)
        most = np.maximum.reduceat(np.where(known, array, -np.inf), self._starts)
        return np.where(some, least, np.nan), np.where(some, most, np.nan)

    def line(self, array: Array, style: str) -> str:
        least, most = (self._y(end) for end in self._ends(array))
        parts, pen = [], "M"
        for x, low, high in zip(self._x.tolist(), least.tolist(), most.tolist(), strict=True):
            if not isfinite(low):
                pen = "M"
                continue
            parts.append(f"{pen}{x:.1f} {low:.1f}" + (f"V{high:.1f}" if low - high >= 0.1 else ""))
            pen = "L"
        return f'<path class="{style}" d="{"".join(parts)}"/>'

    def band(self, lower: Array, upper: Array) -> str:
        bottom, top = self._y(self._ends(lower)[0]), self._y(self._ends(upper)[1])
        known = np.isfinite(bottom) & np.isfinite(top)
        up = [f"{x:.1f} {y:.1f}" for x, y in zip(self._x[known].tolist(), top[known].tolist(), strict=True)]
        down = [f"{x:.1f} {y:.1f}" for x, y in zip(self._x[known].tolist(), bottom[known].tolist(), strict=True)]
        return f'<path class="band" d="M{"L".join(up + down[::-1])}Z"/>' if up else ""

    def stripe(self, first: int, last: int, style: str) -> str:
        x, width = self._at(first), max(self._at(last + 1) - self._at(first), 1.0)
        return f'<rect class="{style}" x="{x:.1f}" y="{self._top}" width="{width:.1f}" height="{self._height}"/>'

    def mark(self, first: int, last: int) -> str:
        x, width = self._at(first), max(self._at(last + 1) - self._at(first), 2.0)
        return f'<rect class="anomaly" x="{x:.1f}" y="{self._top}" width="{width:.1f}" height="6"/>'

    def level(self, value: float, style: str) -> str:
        y = float(self._y(np.array(value)))
        return f'<line class="{style}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'

    def frame(self) -> str:
        width = _WIDTH - _LEFT - _RIGHT
        box = f'<rect class="frame" x="{_LEFT}" y="{self._top}" width="{width}" height="{self._height}"/>'
        ends: tuple[tuple[float, Any], ...] = ((self._most, self._top + 10), (self._least, self._top + self._height))
        return box + "".join(f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{end:.4g}</text>' for end, y in ends)


def _times(time_us: Array) -> Iterator[str]:
    """Times of some rows along the bottom."""
    for tick in range(_TICKS):
        row = round(tick * (time_us.size - 1) / (_TICKS - 1))
        x = _LEFT + row / time_us.size * (_WIDTH - _LEFT - _RIGHT)
        anchor = "start" if tick == 0 else "end" if tick == _TICKS - 1 else "middle"
        text = iso(int(time_us[row]))[:16].replace("T", " ")
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{text}</text>'


def _file_name(title: str) -> str:
    """A title as a file's name: ``realTweets/a.csv`` → ``realTweets_a``."""
    return re.sub(r"[^\w.+-]+", "_", title.removesuffix(".csv")).strip("._") or "signal"
