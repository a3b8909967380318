"""A Dockerfile as stages and instructions, and what ``.dockerignore`` keeps from the build.

Guarantee: what this small reader does not know (heredocs, parser directives, variables in COPY) it refuses.
"""

import fnmatch
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

_KNOWN = frozenset(
    "ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER WORKDIR".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Instruction:
    """One instruction, its line continuations joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words: of the JSON form, or as a shell splits them."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


@dataclass(frozen=True)
class Stage:
    """A build stage."""

    image: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def last(self, name: str) -> Instruction:
        """The one that counts where a later one replaces an earlier one."""
        return self.all(name)[-1]

    @property
    def health_command(self) -> list[str]:
        """The words of the health check's command."""
        return Instruction("CMD", self.last("HEALTHCHECK").text.partition("CMD ")[2]).words


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    found: list[tuple[str, str, list[Instruction]]] = []
    for instruction in _instructions(path.read_text()):
        if instruction.name == "FROM":
            image, *name = instruction.words
            found.append((image, name[1] if name else "", []))
        else:
            found[-1][2].append(instruction)
    return [Stage(image, name, tuple(instructions)) for image, name, instructions in found]


def _instructions(text: str) -> list[Instruction]:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        name, _, rest = line.partition(" ")
        if name not in _KNOWN or "<<" in rest:
            raise ValueError(f"not understood: {line}")
        found.append(Instruction(name, rest.strip()))
    return found


def ignored(path: str, dockerignore: Path) -> bool:
    """Whether a path (from the root) is kept from the build: the last pattern that fits decides."""
    verdict = False
    for line in dockerignore.read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep = pattern.startswith("!")
        if _fits(path, pattern.removeprefix("!").strip("/")):
            verdict = not keep
    return verdict


def _fits(path: str, pattern: str) -> bool:
    parts = path.strip("/").split("/")
    candidates = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern.removeprefix("**/")) for part in parts)
    return any(fnmatch.fnmatchcase(each, pattern) for each in candidates)
