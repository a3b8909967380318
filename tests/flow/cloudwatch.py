"""A metric stream of CloudWatch in front of the chains, minute by minute, beside the JSON points of a ``Line``."""

import json
from collections.abc import Mapping
from dataclasses import replace

from pipeline.codecs import score_block
from pipeline.codecs.registry import input_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.records import US, Produced
from tests.flow.line import CONFIG as USUAL
from tests.flow.line import START, Line

MINUTE = 60
#: The tests' minutes begin with the wall clock's.
FIRST = START // MINUTE * MINUTE
#: Windows and lateness as they are by default.
CONFIG = replace(USUAL, sources=("cloudwatch/0",), window_us=10 * US, lateness_us=5 * US)
#: The same with an input of JSON points beside it.
BOTH = replace(CONFIG, sources=("cloudwatch/0", "points/0"))


def record(minute: int, function: str, name: str, total: float, **more: str) -> str:
    """A metric of a function, in the minute that begins then."""
    unit = "Milliseconds" if name == "Duration" else "Count"
    whole = {
        "namespace": "AWS/Lambda",
        "metric_name": name,
        "dimensions": {"FunctionName": function},
        "timestamp": (FIRST + minute * MINUTE) * 1000,
        "value": {"max": total, "min": 0.0, "sum": total, "count": 1.0},
        "unit": unit,
    }
    return json.dumps(whole | more)


class Stream(Line):
    """``minute`` sends what a metric stream has of a minute when it is over, and ``delay`` seconds later."""

    def __init__(self, config: FlowConfig = CONFIG, delay: int = 150) -> None:
        super().__init__(config)
        self.cloudwatch = IngestChain("cloudwatch/0", input_codec("cloudwatch_json", config.limits), config)
        self._readers["cloudwatch"] = self.cloudwatch
        self._delay = delay

    def minute(self, minute: int, counts: Mapping[str, float], name: str = "Invocations", **more: str) -> None:
        """The sum of a metric by function, for those that were called."""
        self.send(minute, [record(minute, function, name, total, **more) for function, total in counts.items()])

    def send(self, minute: int, records: list[str]) -> None:
        """Records that come when a minute is over."""
        written_ms = (FIRST + (minute + 1) * MINUTE + self._delay) * 1000
        self._pass(Produced("cloudwatch", "\n".join(records).encode()), written_ms)

    def silent(self, topic: str) -> None:
        """The input was read to its end, and nothing came for long."""
        for made in self._readers[topic].flush(idle=True).records:
            self._pass(made, 0)

    def rates(self, name: str) -> dict[float, float]:
        """What was scored of a signal, by the minute at whose end it stands (whole, with windows of 10 s)."""
        ids = {signal.id for signal in self.score.scorer.catalogue if f"{signal.name} {signal.workload}" == name}
        found = {}
        for written in self.written["scores"]:
            block = score_block.decode(written.value or b"")
            for id_, time_us, value in zip(block.ids, block.time_us, block.value, strict=True):
                if int(id_) in ids:
                    found[float((time_us / US - FIRST) / MINUTE - 1)] = float(value)
        return found
