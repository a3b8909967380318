"""Says which tests that ``docs/guarantees.md`` names do not exist: python -m tests.docs.guarantees

Guarantee: nothing is imported; a test is looked up in the source of its file, as pytest would collect it. Exit code 1,
and a line for each thing that is missing: a file, a test in it, a promise without a test, a command that make does not
know.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.docs.pages import rows

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/guarantees.md"

#: Stands where something is still to be written.
UNFILLED = "TO FILL"
_HEAD = "| promise | test | how often | last figure |"


@dataclass(frozen=True)
class Promise:
    """A row of the page's tables of promises."""

    text: str
    tests: str
    how_often: str
    figure: str


def promises(page: str) -> list[Promise]:
    """Every row of every table of promises."""
    tables = [table for table in re.split(r"\n\s*\n", page) if table.startswith(_HEAD)]
    found = []
    for cells in [cells for table in tables for cells in rows(table)]:
        if len(cells) != 4:
            raise ValueError(f"a promise has four cells, this one has {len(cells)}: {cells[0]}")
        found.append(Promise(*cells))
    return found


def missing(page: str, root: Path) -> Iterator[str]:
    """What a page names that is not there."""
    found = promises(page)
    if not found:
        yield f"no table of promises: its head is {_HEAD}"
    for promise in found:
        named = re.findall(r"`([^`]+)`", promise.tests)
        if not named:
            yield f"{promise.text}: names no test"
        by_make = "CI" not in promise.how_often
        problems = [_missing_program(name, root) if by_make else _missing_test(name, root) for name in named]
        problems += _missing_commands(promise.how_often, root)
        yield from (f"{promise.text}: {problem}" for problem in problems if problem)
        if UNFILLED in " ".join((promise.tests, promise.how_often, promise.figure)) and named:
            yield f"{promise.text}: there is a {UNFILLED} left"


def _missing_test(name: str, root: Path) -> str | None:
    """None where pytest would collect it (in brackets its parameters, of which only the form is looked at)."""
    path, _, test = name.partition("::")
    function = re.sub(r"\[.*\]$", "", test)
    file = root / path
    if not file.is_file():
        return f"{path} does not exist"
    if not re.fullmatch(r"tests/(\w+/)*test_\w+\.py", path) or not function.rpartition("::")[2].startswith("test_"):
        return f"{name} is no test: write tests/…/test_*.py::test_*"
    if function not in _tests(file):
        return f"{path} has no {function}"
    return f"{name} is always skipped" if _tests(file)[function] else None


def _missing_program(name: str, root: Path) -> str | None:
    """For what only make runs: a test, or a module that is no file of tests."""
    if "::" in name:
        return _missing_test(name, root)
    return None if name.startswith("tests/") and (root / name).is_file() else f"{name} does not exist"


@cache
def _tests(path: Path) -> dict[str, bool]:
    """Of each function of a file, and each method of its classes as Class::method: is it always skipped?"""
    found = {}
    for node in ast.parse(path.read_text(), str(path)).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for function in inner:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{node.name}::{function.name}" if isinstance(node, ast.ClassDef) else function.name
                found[name] = any(
                    re.match(r"pytest\.mark\.skip\b(?!if)", ast.unparse(mark)) for mark in function.decorator_list
                )
    return found


def _missing_commands(how_often: str, root: Path) -> Iterator[str]:
    targets = re.findall(r"^([a-z.-]+):", (root / "Makefile").read_text(), re.MULTILINE)
    for command in re.findall(r"`make ([\w.-]+)", how_often):
        if command not in targets:
            yield f"make does not know {command}"


def main() -> int:
    found = list(missing(PAGE.read_text(), ROOT))
    print("\n".join([*found, f"{PAGE.relative_to(ROOT)}: {len(found)} to mend"]), file=sys.stderr) if found else None
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
