"""What the handlers of a service get to work with: its calls, its own work, its database, its counters."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.demo.shop.database import Database
from pipeline.demo.shop.serving import Caller, Failed
from pipeline.demo.shop.telemetry import Telemetry
from pipeline.demo.shop.town import Fault

_SPREAD = 0.25  # sigma of the logarithm of how long a piece of work takes


@dataclass
class Duty:
    """``data`` is the folder for databases; ``dice`` are seeded, so a run repeats what chance decides."""

    name: str
    caller: Caller
    telemetry: Telemetry
    data: Path
    dice: random.Random
    fault: Fault

    async def call(self, peer: str, method: str, route: str, body: object = None, **parts: object) -> Any:
        """See ``Caller.call``."""
        return await self.caller.call(peer, method, route, body, **parts)

    async def work(self, seconds: float, failure: str) -> None:
        """What the service does itself: takes about so long. Raises Failed (500, ``failure``) as its fault has it."""
        await asyncio.sleep(seconds * self.dice.lognormvariate(0.0, _SPREAD) + self.fault.delay_seconds)
        if self.dice.random() < self.fault.error_share:
            raise Failed(500, failure)

    def database(self) -> Database:
        """The service's own."""
        return Database(self.data / f"{self.name}.db", self.telemetry)
