"""How seldom alerts of a type come: those of a scope together, whatever workloads they are about.

Guarantee: what is said of a window depends on the windows before it alone. A type is known for as long as a row counts
it; all counts of a scope's alerts are rows of one shard (signals.identity.partition_of).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import RarityDetector
from detectors.protocol import State
from detectors.rarity import FirstSeen, Known, drawn_in, known_minutes
from pipeline.records import US, Signal

Array = npt.NDArray[Any]

#: The surprise from which a minute's alerts of a type are surprising: one minute in a hundred has as many. By itself
#: that is nothing to tell anybody; together with others it may be (incidents.weight).
THRESHOLD = 2.0
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Rare:
    """Shapes (rows,): how surprising the minute of a row's window is so far, whether its type was never seen before,
    and whether too little is known for anything to be surprising."""

    surprise: Array
    first: Array
    cold: Array


class AlertTypes:
    """Types of alerts by row of the table that counts them."""

    version = RarityDetector.version

    def __init__(self) -> None:
        self._firsts = FirstSeen()
        self._types, self._scopes = RarityDetector().empty(0), self._firsts.empty(0)
        self._scope_of: Array = np.zeros(0, np.int64)
        self._type_keys: dict[int, int] = {}  # of scope and type → its row in the state of types
        self._scope_keys: dict[int, int] = {}
        self._type_of: dict[int, int] = {}  # row of the table → row of its type

    def join(self, row: int, signal: Signal) -> None:
        """A row of the table counts alerts from now on."""
        scope, type_ = _key(signal.scope), _key(signal.scope, signal.alert_type)
        if type_ not in self._type_keys:
            if scope not in self._scope_keys:
                self._scope_keys[scope] = len(self._scope_keys)
                self._scopes = self._scopes.grown(self._firsts.empty(1))
            self._type_keys[type_] = len(self._type_keys)
            self._types = self._types.grown(RarityDetector().empty(1))
            self._scope_of = np.append(self._scope_of, self._scope_keys[scope])
        self._type_of[row] = self._type_keys[type_]

    def leave(self, rows: Array) -> None:
        """Rows (distinct) that count nothing any more; types that nobody counts are forgotten."""
        left = [self._type_of.pop(row, -1) for row in rows.tolist()]
        if any(each >= 0 for each in left):
            self.settle()

    def settle(self) -> None:
        """Forget types, and scopes, of which there is no row."""
        stays = np.unique(np.array(list(self._type_of.values()), np.int64))
        if stays.size == len(self._type_keys):
            return
        now = {before: at for at, before in enumerate(stays.tolist())}
        self._types = self._types.take(stays)
        self._type_keys = {key: now[at] for key, at in self._type_keys.items() if at in now}
        self._type_of = {row: now[at] for row, at in self._type_of.items()}
        scopes, self._scope_of = np.unique(self._scope_of[stays], return_inverse=True)
        self._scopes = self._scopes.take(scopes)
        places = {before: at for at, before in enumerate(scopes.tolist())}
        self._scope_keys = {key: places[at] for key, at in self._scope_keys.items() if at in places}

    def step(self, end_us: int, row: Array, count: Array, window_us: int) -> Rare:
        """The windows that end at ``end_us``, so long, of rows that joined; ``count`` alerts came in each."""
        now, detector = end_us / US, RarityDetector(seconds=max(window_us / US, _MINUTE))
        firsts = FirstSeen(seconds=detector.seconds)
        kind = np.array([self._type_of[each] for each in row.tolist()], np.int64)
        total = np.bincount(kind, count, len(self._type_keys)).astype(np.float64)
        some: Array = total > 0.0
        known = self._known(np.unique(self._scope_of[some]), firsts, now)
        found = detector.step(self._types, total, some, now, known)
        new: Array = some & ~self._types.arrays["kept"].any(axis=1)
        for place in np.unique(self._scope_of[new]).tolist():
            firsts.saw(self._scopes, place, now)
        looked_on = now - self._types.arrays["since"][kind]
        most = np.array([_most(detector, each) for each in looked_on.tolist()])
        came = count > 0.0
        surprise = np.where(came, np.nan_to_num(found.surprise)[kind], 0.0)
        return Rare(surprise, came & new[kind], most < THRESHOLD)

    def _known(self, scopes: Array, firsts: FirstSeen, now: float) -> Known:
        """What the scopes with alerts in this window know, by type."""
        since, chance = np.full(len(self._scope_keys), now), np.ones(len(self._scope_keys))
        for place in scopes.tolist():
            since[place] = firsts.since(self._scopes, place, now)
            chance[place] = firsts.chance(self._scopes, place, now)
        return Known(since[self._scope_of], chance[self._scope_of])

    def dump(self) -> dict[str, Array]:
        """All state but which rows there are, as named arrays."""
        parts = (("types", self._types), ("scopes", self._scopes))
        states = {f"{part}_{name}": array for part, state in parts for name, array in state.arrays.items()}
        return {
            **states,
            "types": np.array(list(self._type_keys), np.uint64),
            "scopes": np.array(list(self._scope_keys), np.uint64),
            "scope_of": self._scope_of,
        }

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Become the state saved, before rows join. Raises KeyError when it is damaged."""
        self.__init__()  # type: ignore[misc]
        self._types = State(self.version, {n: arrays[f"types_{n}"].copy() for n in RarityDetector.fields})
        self._scopes = State(self._firsts.version, {n: arrays[f"scopes_{n}"].copy() for n in FirstSeen.fields})
        self._type_keys = {key: at for at, key in enumerate(arrays["types"].tolist())}
        self._scope_keys = {key: at for at, key in enumerate(arrays["scopes"].tolist())}
        self._scope_of = arrays["scope_of"].copy()


def _most(detector: RarityDetector, looked_on: float) -> float:
    """The surprise of what never came before, after so many seconds."""
    known = known_minutes(detector, looked_on)
    return float(np.log10((known + 1.0) / 0.5)) * drawn_in(looked_on)


@lru_cache(maxsize=65_536)
def _key(*parts: str) -> int:
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
