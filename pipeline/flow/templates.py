"""Templates of log lines of a shard: what each line counts for, who was seen when, and what is told about them.

Guarantee: the order of lines alone decides everything. State holds the miner, examples, and since when each workload
sends lines, so that the new lines of a new workload are told from those of an old one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns, template_event
from pipeline.flow.chain import Numbers
from pipeline.flow.happenings import Happenings
from pipeline.records import US, Entity, Event, Kind, LogTemplate, Output, Produced, Signal
from pipeline.signals.examples import Reservoir
from pipeline.signals.identity import made_signal
from pipeline.signals.templates import TemplateMiner, workload_number

Array = npt.NDArray[Any]

#: The type of the event that says that a template was seen for the first time in a workload.
NEW_TEMPLATE = "log.template.new"
#: Severity texts by OpenTelemetry's numbers.
_NAMES = ("trace", "debug", "info", "warn", "error", "fatal")
_SEVERITIES = ("unspecified", *(name for name in _NAMES for _ in range(4)))
#: Event time after which a template that got more lines is told again, with newer examples.
_TELL_AGAIN_US = 300 * US
#: Workloads whose first line is remembered; the ones without lines for longest are forgotten.
_MOST_WORKLOADS = 50_000


@dataclass(slots=True)
class _Workload:
    scope: str
    name: str
    first_us: int
    last_us: int


@dataclass(slots=True)
class _Template:
    told: LogTemplate
    workload: int
    told_us: int = 0
    changed: bool = True
    lines: bool = False  # came since it was told


class Templates:
    """``source`` is our name; events go to the partition of their scope of ``anomaly_partitions``."""

    def __init__(self, source: str, anomaly_partitions: int) -> None:
        self._miner = TemplateMiner()
        self._examples = Reservoir()
        self._happenings = Happenings(source, anomaly_partitions)
        self._workloads: dict[int, _Workload] = {}
        self._known: dict[int, _Template] = {}
        self._gone: list[bytes] = []  # keys of templates that were forgotten

    def __len__(self) -> int:
        return len(self._known)

    def take(
        self,
        entities: Sequence[Entity],
        time_us: Sequence[int],
        severity: Array,
        bodies: Sequence[str],
        traces: Sequence[bytes],
        out: Output,
    ) -> list[tuple[Signal, int]]:
        """Mine the lines of a window, in order; how many there were of each signal. First sights go to ``out``."""
        owners = self._owners(entities, time_us)
        before = self._miner.lines
        numbers = self._miner.add_many(bodies, owners)
        heirs = self._hear(entities, time_us, severity, before, out)
        final = [_last(number, heirs) for number in numbers.tolist()]
        for number, at, body, trace in zip(final, time_us, bodies, traces, strict=True):
            self._examples.add(number, at, body, trace.hex())
            if (known := self._known.get(number)) is not None:
                known.lines = True
        return self._counted(final, severity, owners.tolist())

    def _owners(self, entities: Sequence[Entity], time_us: Sequence[int]) -> Array:
        owners = np.empty(len(entities), np.int64)
        numbers: dict[tuple[str, str], int] = {}
        for place, (entity, at) in enumerate(zip(entities, time_us, strict=True)):
            key = (entity.scope, entity.workload)
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = workload_number(f"{entity.scope}|{entity.workload}")
            known = self._workloads.pop(number, None) or _Workload(*key, at, at)
            known.last_us = max(known.last_us, at)
            self._workloads[number] = known  # the one with the newest line comes last
            owners[place] = number
        while len(self._workloads) > _MOST_WORKLOADS:
            del self._workloads[next(iter(self._workloads))]
        return owners

    def _hear(
        self, entities: Sequence[Entity], time_us: Sequence[int], severity: Array, before: int, out: Output
    ) -> dict[int, int]:
        """What the miner has to tell; which templates became part of another."""
        news = self._miner.drain()
        for born in news.born:
            at = born.line - before
            entity, first_us = entities[at], time_us[at]
            template = LogTemplate(f"{born.id:016x}", entity.scope, entity.workload, born.text, first_us)
            self._known[born.number] = _Template(template, born.workload)
            out.records.append(self._first_sight(template, entity, born.workload, int(severity[at]), first_us))
        for reworded in news.reworded.values():
            known = self._known[reworded.number]
            known.told, known.changed = replace(known.told, text=reworded.text), True
        heirs = {}
        for alias in news.aliases:
            heirs[alias.old_number] = alias.number
            self._examples.merge(alias.old_number, alias.number)
            gone = self._known.pop(alias.old_number)
            alias_of = f"{alias.id:016x}"
            if gone.told.id != alias_of:
                key, value = template_event.encode(replace(gone.told, alias_of=alias_of, examples=()))
                out.records.append(Produced("log-templates", value, key))
        for number in news.forgotten:
            self._examples.forget(number)
            self._gone.append(template_event.encode(self._known.pop(number).told)[0])
        return heirs

    def _first_sight(self, template: LogTemplate, entity: Entity, owner: int, severity: int, first_us: int) -> Produced:
        age_us = max(first_us - self._workloads[owner].first_us, 0)
        attributes = (
            ("log.template", template.id),
            ("workload.age_seconds", str(age_us // US)),
            *((("service.version", entity.version),) if entity.version else ()),
        )
        event = Event(f"{template.id}-{owner:016x}", first_us, NEW_TEMPLATE, (), severity, template.text, attributes)
        return self._happenings.of(event, entity)

    def _counted(self, numbers: Sequence[int], severity: Array, owners: Sequence[int]) -> list[tuple[Signal, int]]:
        counts: dict[tuple[int, int, str], int] = {}
        for number, owner, level in zip(numbers, owners, severity.tolist(), strict=True):
            key = (number, owner, _SEVERITIES[min(level, 24)])
            counts[key] = counts.get(key, 0) + 1
        found: dict[int, tuple[Signal, int]] = {}
        for (number, owner, level), count in counts.items():
            workload = self._workloads[owner]
            template = self._known[number].told.id if number in self._known else "forgotten"
            entity = Entity(workload.scope, workload.name, "")
            signal = made_signal(
                "log.lines", "{line}/s", Kind.DELTA, entity, (("log.template", template), ("severity", level))
            )
            found[signal.id] = (signal, count + (found[signal.id][1] if signal.id in found else 0))
        return [found[number] for number in sorted(found)]

    def tell(self, end_us: int) -> list[Produced]:
        """Records of templates that are new or changed, or got lines since they were told long ago."""
        records = [Produced("log-templates", None, key) for key in self._gone]
        self._gone = []
        for number, known in self._known.items():
            if known.changed or (known.lines and end_us - known.told_us >= _TELL_AGAIN_US):
                examples = tuple((one.time_us, one.line, one.trace_id) for one in self._examples.of(number))
                key, value = template_event.encode(replace(known.told, examples=examples))
                records.append(Produced("log-templates", value, key))
                known.told_us, known.changed, known.lines = end_us, False, False
        return records

    # -- state ---------------------------------------------------------------------------------------------------

    def keep(self, wanted: Callable[[str, str], bool]) -> None:
        """Forget workloads (scope, name) that somebody else has now, and tell nobody."""
        gone = {known.workload for known in self._known.values() if not wanted(known.told.scope, known.told.workload)}
        self._workloads = {n: one for n, one in self._workloads.items() if wanted(one.scope, one.name)}
        for number in [number for number, known in self._known.items() if known.workload in gone]:
            del self._known[number]
            self._examples.forget(number)
        self._miner.forget(gone)

    def numbers(self) -> Numbers:
        return self._happenings.numbers()

    def go_on_from(self, numbers: Numbers) -> None:
        """Nothing was learnt, but events were told before."""
        self._happenings.go_on_from(numbers)

    def dump(self) -> dict[str, bytes]:
        """Blocks of a checkpoint."""
        workloads = [
            [number, each.scope, each.name, each.first_us, each.last_us] for number, each in self._workloads.items()
        ]
        known = [[number, _plain(each)] for number, each in self._known.items()]
        return {
            "miner": _packed(self._miner.dump()),
            "examples": _packed(self._examples.dump()),
            "templates": msgspec.msgpack.encode([workloads, known, self._happenings.dump()]),
        }

    def load(self, blocks: Mapping[str, bytes]) -> None:
        self._miner = TemplateMiner.load(_unpacked(blocks["miner"]))
        self._examples = Reservoir.load(_unpacked(blocks["examples"]))
        workloads, known, happenings = msgspec.msgpack.decode(blocks["templates"])
        self._workloads = {number: _Workload(*rest) for number, *rest in workloads}
        self._known = {
            number: _Template(LogTemplate(*told), workload, told_us, changed, lines)
            for number, (told, workload, told_us, changed, lines) in known
        }
        self._happenings.load(happenings)


def _last(number: int, heirs: Mapping[int, int]) -> int:
    while number in heirs:
        number = heirs[number]
    return number


def _plain(known: _Template) -> list[Any]:
    told = known.told
    content = [told.id, told.scope, told.workload, told.text, told.first_us, told.alias_of]
    return [content, known.workload, known.told_us, known.changed, known.lines]


def _packed(state: Mapping[str, Any]) -> bytes:
    texts = {name: part for name, part in state.items() if isinstance(part, bytes)}
    arrays = {name: part for name, part in state.items() if name not in texts}
    return columns.encode([[name, text] for name, text in texts.items()], arrays)


def _unpacked(block: bytes) -> dict[str, Any]:
    texts, arrays = columns.decode(block)
    return {**arrays, **dict(texts)}
