"""Runs the peers, in a virtual environment of their own that lies in the cache folder.

Guarantee: the environment holds exactly ``peers/requirements.txt``; it is built once for each content of that file.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.run import Run, RunFailed

_FOLDER = Path(__file__).parent / "peers"
_REQUIREMENTS = _FOLDER / "requirements.txt"
_LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Peer:
    """A script, and the points it handles at most: a slow peer's rate is known long before the end of the topic."""

    name: str
    script: str
    most_points: int | None = None
    newest_python: tuple[int, int] | None = None

    def runs_here(self) -> bool:
        return self.newest_python is None or sys.version_info[:2] <= self.newest_python


PEERS = (
    Peer("bare_drain", "bare_drain.py"),
    Peer("naive_faust", "naive_faust.py", most_points=30_000),
    Peer("river", "river_gaussian.py", most_points=500_000),
    Peer("bytewax", "bytewax_ewma.py", most_points=1_000_000, newest_python=(3, 12)),
)


def python() -> Path:
    """The interpreter of the peers' environment, which is built if it is not there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    content = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calmstream"
    folder = cache / f"peers-{content}-py{version}"
    complete = folder / "complete"
    if not complete.exists():
        _checked([sys.executable, "-m", "venv", "--clear", folder])
        _checked(
            [folder / "bin" / "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "-r", _REQUIREMENTS]
        )
        complete.touch()
    return folder / "bin" / "python"


def points_per_second(run: Run, peer: Peer, topic: str, points: int, *, batched: bool) -> float:
    most = min(points, peer.most_points or points)
    command: list[str | Path] = [python(), _FOLDER / peer.script, "--bootstrap", run.bootstrap, "--topic", topic]
    command += ["--points", str(most), "--seconds", str(_LIMIT_SECONDS), *(["--batched"] if batched else [])]
    answer = json.loads(_checked(command).splitlines()[-1])
    run.say(f"  {peer.name}: {answer['points_per_second']:,.0f} points/s over {answer['points']:,} points")
    return float(answer["points_per_second"])


def detectors_us(values: Path) -> dict[str, float]:
    """Microseconds per point of river's detectors, by name, over a .npy file of (signals, windows)."""
    answer = _checked([python(), _FOLDER / "river_detectors.py", "--values", values])
    return {name: float(cost) for name, cost in json.loads(answer.splitlines()[-1]).items()}


def _checked(command: list[str | Path]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{command[1]} did not end within 600 s") from None
    if done.returncode:
        raise RunFailed(f"{' '.join(map(str, command))} ended with code {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout
