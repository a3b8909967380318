"""A page that is a walk: commands in blocks of ``sh``, and below each what it prints.

Files are the blocks of ``yaml`` whose first line is a comment with their name.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import DOCS

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A command, and what the page says that it prints."""

    command: str
    printed: str


def files(page: str) -> dict[str, str]:
    """Name → content."""
    found = (text for language, text in _BLOCK.findall((DOCS / page).read_text()) if language == "yaml")
    return {text.partition("\n")[0].removeprefix("# "): text for text in found}


def steps(page: str) -> Iterator[Step]:
    """In the order of the page."""
    blocks = [(language, text) for language, text in _BLOCK.findall((DOCS / page).read_text()) if language != "yaml"]
    for number, (language, text) in enumerate(blocks):
        if language == "sh":
            follows = blocks[number + 1] if number + 1 < len(blocks) else ("sh", "")
            yield Step(text.strip(), follows[1] if follows[0] == "" else "")


def run(step: Step, directory: Path, environment: Mapping[str, str]) -> str:
    """What it prints now, without spaces at the ends of lines."""
    done = subprocess.run(
        ["bash", "-c", step.command], cwd=directory, env=dict(environment), capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stderr  # 1: something differs
    return trimmed(done.stdout)


def trimmed(text: str) -> str:
    """Without spaces at the ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
