"""What a shard's signals are judged by together: fleet calibration, alert budget, entities, types of alerts.

Guarantee: pools see the rows of this shard alone, step by step; their state is part of its checkpoints.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from detectors import together
from detectors.budget import AlertBudget
from detectors.calibration import FleetCalibration
from detectors.layout import HOT
from pipeline.scoring.alerts import AlertTypes
from pipeline.scoring.episodes import rest
from pipeline.scoring.relatives import LEAST_MEMBERS

Array = npt.NDArray[Any]
_TRIM = 1.0  # surprise above the threshold
#: Surprising windows in a row, as HOT counts them, that still teach: noise comes in such runs, an incident lasts. Where
#: there are many rows, no single one matters, and longer runs are mostly noise.
_TEACHING, _MANY_ROWS, _MOST_TEACHING = 5.0, 40.0, 25.0


class _Saved(Protocol):
    def load(self, arrays: Mapping[str, Array], /) -> None: ...


class Pools:
    """``entity_rows[i]`` is the row of the derived signal of entity i."""

    def __init__(self) -> None:
        self.budget = AlertBudget()
        self.calibration = FleetCalibration()
        self.alerts = AlertTypes()
        self.entities = together.Entities()
        self.entity_rows: list[int] = []
        self._entity_of: dict[int, int] = {}

    def join(self, row: int, entity_row: int) -> None:
        """Make a row a member of the entity whose derived signal has ``entity_row``."""
        known = self._entity_of.get(entity_row)
        if known is None:
            known = self._entity_of[entity_row] = self.entities.add()
            self.entity_rows.append(entity_row)
        self.entities.join(known, row)

    def leave(self, rows: Array) -> Array:
        """Rows (distinct) that are no members any more; the rows of derived signals of entities that end with that,
        for too few are left."""
        self.alerts.leave(rows)
        stays = self.entities.leave(rows, LEAST_MEMBERS)
        known = np.array(self.entity_rows, np.int64)
        self.entity_rows = known[stays].tolist()
        self._entity_of = {row: entity for entity, row in enumerate(self.entity_rows)}
        gone: Array = known[~stays]
        return gone

    def judge_entities(self, state: dict[str, Array], values: Array, off: Array) -> tuple[Array, Array]:
        """Rows of the derived signals of entities that have data, and (rows, 4): distance a member, usual distance,
        upper bound, surprise. ``values`` by table row, NaN where there is none; ``off`` (table rows,) of bool."""
        rows = np.array(self.entity_rows, np.int64)
        stepped, found = self.entities.step(state, values, ~off[rows])
        return rows[stepped], found

    def windows(self, rows: Array) -> Array:
        """Windows that the entities of these derived signals have seen."""
        found: Array = self.entities.numbers[[self._entity_of[row] for row in rows.tolist()], together.WINDOWS]
        return found.astype(np.int64)

    def calibrate(self, groups: Mapping[str, dict[str, Array]], row: Array, surprise: Array) -> Array:
        """The surprise of the rows of a step by what is usual in the fleet, which then learns it. Rows that have been
        surprising for long teach nothing."""
        found = self.calibration.surprise(surprise)
        longest = min(_TEACHING * max(row.size / _MANY_ROWS, 1.0), _MOST_TEACHING)
        self.calibration.learn(surprise[groups["detector"]["core"][row, HOT] <= longest], surprise)
        return found

    def learn(self, groups: Mapping[str, dict[str, Array]], row: Array, surprise: Array, threshold: float) -> None:
        """Take in the surprise of the rows of a step; ``threshold`` is the highest that any of them has. Peaks well
        above it are anomalies, and not what a threshold is made of."""
        length = rest(groups["episodes"], row)
        self.budget.learn(groups["budget"], row, surprise, length, threshold + _TRIM)
        self.calibration.look(groups["detector"]["totals"], surprise)

    def dump(self) -> dict[str, Array]:
        """All state, as named arrays."""
        parts = {"budget": self.budget.dump(), "calibration": self.calibration.dump(), "entities": self.entities.dump()}
        parts["alerts"] = self.alerts.dump()
        found = {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return {**found, "entity_rows": np.array(self.entity_rows, np.int64)}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Become the state saved. Raises ValueError or KeyError when it is damaged."""
        pools: dict[str, _Saved] = {"budget": self.budget, "calibration": self.calibration, "entities": self.entities}
        pools["alerts"] = self.alerts
        for part, pool in pools.items():
            pool.load({name.partition(".")[2]: each for name, each in arrays.items() if name.startswith(f"{part}.")})
        self.entity_rows = arrays["entity_rows"].tolist()
        self._entity_of = {row: entity for entity, row in enumerate(self.entity_rows)}
