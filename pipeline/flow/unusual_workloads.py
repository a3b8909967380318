"""Workloads of a score shard of which something is unusual in a window, as rows for who looks for causes.

Guarantee: a row follows from the scores of its window and the history of its signals alone. Where nothing is unusual
nothing is looked at: one comparison a signal. At most MOST_ROWS are told of a window, the most unusual first; the rest
is counted.

A signal that is three standard deviations from usual makes its workload speak where one that is so, in its scope and
window, is anomalous. Of thousands of signals some always are so far from usual by chance, and of those nobody wants to
hear; alone a signal speaks when it is as far as one in 100,000 windows.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.flow.signal_facts import SUFFERS, Says, SignalFacts
from pipeline.flow.window_view import MOST_TEXT, SPEAKS, View, columns, cut
from pipeline.records import OnNode, Outlier, Placement, Unusual
from pipeline.scoring.episodes import Window
from pipeline.scoring.scorer import Scorer

Array = npt.NDArray[Any]

#: Rows of a window.
MOST_ROWS = 200
#: The surprise from which a signal speaks where nothing is anomalous.
_SPEAKS_ALONE = 5.0
#: The most unusual signals of a workload that are held against those of its other instances.
_MOST_COMPARED = 3
#: What is somebody's trouble on a node, and nodes of a workload that are told.
_TROUBLE = np.zeros(len(Says), np.bool_)
_TROUBLE[[Says.MEAN, Says.QUANTILE, Says.SHARE, Says.FAILED]] = True
_MOST_NODES = 8

_Key = tuple[str, str]
#: From a scope, a workload and an instance to the node that it runs on, empty where that is not known.
NodeOf = Callable[[str, str, str], str]


class UnusualWorkloads:
    """Looks at what ``scorer`` made of its newest step."""

    def __init__(self, scorer: Scorer, node_of: NodeOf) -> None:
        self._scorer = scorer
        self._node_of = node_of
        self._facts = SignalFacts()
        self._at: Array = np.zeros(0, np.int64)  # row of the table → place in the window, −1 = not in it

    def rows(self, end_us: int) -> tuple[dict[str, list[Unusual]], int]:
        """Rows of the window that was just scored, by scope, and how many workloads more there are."""
        window = self._scorer.newest
        worst = self._speaking(window) if window is not None else {}
        if window is None or not worst:
            return {}, 0
        told = sorted(worst, key=lambda key: (-worst[key], key))[:MOST_ROWS]
        if self._at.size < self._scorer.table.rows:
            self._at = np.full(self._scorer.table.capacity, -1, np.int64)
        self._at[window.row] = np.arange(window.row.size)
        found = self._told(window, told, end_us)
        self._at[window.row] = -1
        return found, len(worst) - len(told)

    def _speaking(self, window: Window) -> dict[_Key, float]:
        """Workloads to tell of, with the highest surprise of each."""
        places = np.flatnonzero((window.surprise >= SPEAKS) & window.deviates)
        is_open = self._scorer.table.groups["episodes"]["open"][window.row[places]]
        if not is_open.any():
            places = places[window.surprise[places] >= _SPEAKS_ALONE]
            is_open = np.zeros(places.size, np.bool_)
        if not places.size:
            return {}
        rows, signals = window.row[places], self._scorer.catalogue.signals
        troubled = {signals[row].scope for row in rows[is_open].tolist()}
        self._facts.know(rows, self._scorer.ids, signals)
        says, more = self._facts.says[rows], window.value[places] > window.expected[places]
        keep = SUFFERS[says] & more | (says == Says.LINES) | is_open  # what is anomalous speaks whatever it says
        places, rows = places[keep], rows[keep]
        found: dict[_Key, float] = {}
        for row, surprise in zip(rows.tolist(), window.surprise[places].tolist(), strict=True):
            signal = signals[row]
            if signal.scope in troubled or surprise >= _SPEAKS_ALONE:
                key = (signal.scope, signal.workload)
                found[key] = max(found.get(key, 0.0), surprise)
        return found

    def _told(self, window: Window, told: Iterable[_Key], end_us: int) -> dict[str, list[Unusual]]:
        """All signals of these workloads that are in the window are read at once."""
        relatives, signals = self._scorer.relatives, self._scorer.catalogue.signals
        keys = list(told)
        parts = [np.array(relatives.of_workload(*key), np.int64) for key in keys]
        row, owner = np.concatenate(parts), np.repeat(np.arange(len(keys)), [part.size for part in parts])
        row, owner = row[self._at[row] >= 0], owner[self._at[row] >= 0]
        at = self._at[row]
        self._facts.know(row, self._scorer.ids, signals)
        listed, says_something = columns(self._facts, self._scorer.table.groups, window, row, at, signals)
        odd = (window.surprise[at] >= SPEAKS) & window.deviates[at] & SUFFERS[self._facts.says[row]]
        ends = np.searchsorted(owner[says_something], np.arange(len(keys) + 1)).tolist()
        lengths = self._scorer.table.groups["given"]["window_us"]
        apart: dict[int, list[tuple[float, int, int]]] = {}
        for place in np.flatnonzero(odd).tolist():
            one = (-float(window.surprise[at[place]]), signals[row[place]].id, int(row[place]))
            apart.setdefault(int(owner[place]), []).append(one)
        found: dict[str, list[Unusual]] = {}
        for number, (scope, workload) in enumerate(keys):
            view = View(listed, range(ends[number], ends[number + 1]))
            window_us = int(lengths[parts[number]].max()) if parts[number].size else 1
            outlier = self._outlier(window, apart[number]) if number in apart else None
            told_of = view.told(workload, end_us, max(window_us, 1), outlier)
            if number in apart and (told_of.latency is not None or told_of.errors is not None):
                own = slice(*np.searchsorted(owner, [number, number + 1]).tolist())
                suffers = odd[own] & (window.value[at[own]] > window.expected[at[own]])
                told_of = replace(told_of, placement=self._placement((scope, workload), row[own], suffers))
            found.setdefault(scope, []).append(told_of)
        return found

    def _placement(self, key: _Key, row: Array, odd: Array) -> Placement | None:
        """Where those of a workload's instances run that are slower, or fail more; None where that says nothing."""
        looked_at = _TROUBLE[self._facts.says[row]]
        unusual: dict[str, bool] = {}
        for each, is_odd in zip(row[looked_at].tolist(), odd[looked_at].tolist(), strict=True):
            instance = self._scorer.catalogue.signals[each].instance
            unusual[instance] = unusual.get(instance, False) or is_odd
        unusual.pop("", None)
        number = sum(unusual.values())
        nodes = {instance: node for instance in unusual if (node := self._node_of(*key, instance))}
        if not 0 < number < len(unusual) or len(nodes) < len(unusual):
            return None
        told = sorted({nodes[instance] for instance, is_odd in unusual.items() if is_odd})
        on = [
            OnNode(node, sum(unusual[each] for each in own), len(own))
            for node in told
            if (own := [instance for instance in nodes if nodes[instance] == node])
        ]
        on.sort(key=lambda each: (-each.unusual, each.node))
        return Placement(number, len(unusual), tuple(on[:_MOST_NODES]))

    def _outlier(self, window: Window, odd: list[tuple[float, int, int]]) -> Outlier | None:
        """The most unusual instance that stands out against the others of its workload."""
        for _, _, row in sorted(odd)[:_MOST_COMPARED]:
            signal = self._scorer.catalogue.signals[row]
            if not signal.instance:
                continue
            others = self._at[np.array(self._scorer.relatives.siblings(signal), np.int64)]
            others = others[(others >= 0) & (others != self._at[row])]
            usual = others[(window.surprise[others] < SPEAKS) | ~window.deviates[others]]
            unusual = 1 + others.size - usual.size
            if usual.size and 2 * unusual <= others.size + 1:
                value, rest = float(window.value[self._at[row]]), median(window.value[usual].tolist())
                name, instance = cut(signal.label()), cut(signal.instance, MOST_TEXT)
                return Outlier(name, signal.unit, instance, value, rest, int(others.size), unusual)
        return None
