"""What a person does at a shell: run ``calmstream`` to its end, or let it run and read what it prints."""

import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from typer.testing import CliRunner

from pipeline.cli.root import app

CALMSTREAM = Path(sys.executable).parent / "calmstream"
_DEADLINE_SECONDS = 60.0


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without our own settings, and those given."""
    own = {key: value for key, value in os.environ.items() if not key.upper().startswith("CALMSTREAM_")}
    return own | dict(settings)


def calmstream(
    settings: Mapping[str, str], *arguments: str, sent: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    done = subprocess.run(
        [CALMSTREAM, *arguments],
        env=environment(settings),
        input=sent,
        capture_output=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def invoke(settings: Mapping[str, str], *arguments: str, sent: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """The same inside this process, which is faster where starting a process is not what is tested."""
    chatty = logging.getLogger("aiokafka")  # which a verb makes silent for good
    level = chatty.level
    try:
        ours = {key: None for key in os.environ if key.upper().startswith("CALMSTREAM_")}
        done = CliRunner(env=ours | dict(settings)).invoke(app, arguments, input=sent)
    finally:
        chatty.setLevel(level)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


class Running:
    """A command that stays until it is told to end. ``out`` and ``err`` are what it has printed so far."""

    def __init__(self, settings: Mapping[str, str], command: Sequence[str | Path]) -> None:
        self.out = self.err = ""
        self._process = subprocess.Popen(
            command,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._raw = {"out": b"", "err": b""}
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ, "out")
        self._selector.register(self._process.stderr, selectors.EVENT_READ, "err")

    def wait_for(self, *texts: str, within_seconds: float = _DEADLINE_SECONDS) -> Self:
        """Read until every text was printed, to either of its outputs."""
        deadline = time.monotonic() + within_seconds
        while not all(text in self.out or text in self.err for text in texts):
            left = deadline - time.monotonic()
            assert left > 0, f"{texts} not printed within {within_seconds} s, but:\n{self.out}\n{self.err}"
            assert self._read(left), f"it ended before it printed {texts}, after:\n{self.out}\n{self.err}"
        return self

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C, read the rest, and the exit code."""
        self._process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Read to the end of its outputs, and the exit code."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, "it does not end"
        return self._process.wait(_DEADLINE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._selector.close()

    def _read(self, within_seconds: float) -> bool:
        """Take in what there is; False when both outputs are at their end."""
        for key, _ in self._selector.select(max(within_seconds, 0.01)):
            found = os.read(key.fd, 65536)
            if not found:
                self._selector.unregister(key.fileobj)
            self._raw[key.data] += found
        self.out, self.err = (self._raw[name].decode(errors="replace") for name in ("out", "err"))
        return bool(self._selector.get_map())
