"""This machine under watch: what ``Watch`` does, and readings of it every second."""

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.demo.machine.host import CpuUse, Host
from pipeline.demo.machine.readings import Readings
from pipeline.demo.stack import Stack
from pipeline.demo.watch import Told, Watch

CONFIG = Path(__file__).with_name("config.yaml")
_BUSIEST = 5


class MachineWatch(Watch):
    """``told`` is called for each transition received. Logs stand in ``folder``."""

    def __init__(self, folder: Path, told: Told) -> None:
        super().__init__(Stack(folder, CONFIG), told)
        self._cpu_use = CpuUse()
        self._host: Host | None = None
        self._readings: Readings | None = None

    @property
    def host(self) -> Host:
        assert self._host is not None, "the watch was not started"
        return self._host

    @property
    def points(self) -> int:
        """Points that the broker has."""
        return self._readings.points if self._readings else 0

    def start(self, own: Mapping[int, str], others: int = _BUSIEST) -> None:
        """Watch the machine, the processes ``own``, the broker, the worker, and the busiest of the others."""
        ours = {**own, self.stack.broker_pid: "embedded-broker", self.stack.worker_pid: "calmstream-worker"}
        self._host = Host(ours, self._cpu_use.busiest(others, apart_from=[*ours, os.getpid()]))
        self._readings = Readings(self._host, self.stack.settings)
        self.begin(self._readings.run(self.stack.check))

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            self._cpu_use = CpuUse()
