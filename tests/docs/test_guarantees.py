"""What ``docs/guarantees.md`` names exists, and the checker finds what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.guarantees import PAGE, ROOT, missing, promises

HEAD = "| promise | test | how often | last figure |\n|---|---|---|---|\n"
TESTS = """
import pytest

def test_alone(): ...

async def test_later(): ...

@pytest.mark.parametrize("n", [1, 2])
def test_each(n): ...

@pytest.mark.skip(reason="broken")
def test_never(): ...

@pytest.mark.skipif(True, reason="no promtool")
def test_somewhere(): ...

class TestGroup:
    def test_inside(self): ...

def helper():
    def test_hidden(): ...
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tests/deep").mkdir(parents=True)
    (tmp_path / "tests/deep/test_it.py").write_text(TESTS)
    (tmp_path / "tests/deep/tools.py").write_text("def test_alone(): ...")
    (tmp_path / "Makefile").write_text("check: .venv ## lint\nchaos: .venv\nbench-incidents: .venv\n")
    return tmp_path


def found(root: Path, tests: str, how_often: str = "CI; `make chaos`", figure: str = "3 s") -> list[str]:
    return list(missing(f"# Title\n\nText.\n\n{HEAD}| It holds | {tests} | {how_often} | {figure} |\n", root))


@pytest.mark.parametrize(
    "name",
    [
        "test_alone",
        "test_later",
        "test_each",
        "test_each[1]",
        "test_each[a-b[c]]",
        "test_somewhere",
        "TestGroup::test_inside",
    ],
)
def test_a_test_that_exists_is_found(root: Path, name: str) -> None:
    assert found(root, f"`tests/deep/test_it.py::{name}`") == []


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("`tests/deep/test_it.py::test_gone`", "tests/deep/test_it.py has no test_gone"),
        ("`tests/deep/test_it.py::test_hidden`", "tests/deep/test_it.py has no test_hidden"),
        ("`tests/deep/test_it.py::test_inside`", "tests/deep/test_it.py has no test_inside"),
        ("`tests/test_it.py::test_alone`", "tests/test_it.py does not exist"),
        ("`tests/deep/test_it.py`", "is no test"),
        ("`tests/deep/test_it.py::helper`", "is no test"),
        ("`tests/deep/tools.py::test_alone`", "is no test"),
        ("`tests/deep/test_it.py::test_never`", "is always skipped"),
        ("by hand", "names no test"),
        ("TO FILL", "names no test"),
        ("`tests/deep/test_it.py::test_alone`, TO FILL", "TO FILL left"),
    ],
)
def test_what_is_missing_is_said(root: Path, tests: str, said: str) -> None:
    (problem,) = found(root, tests)
    assert problem.startswith("It holds: ")
    assert said in problem


def test_every_test_of_a_promise_is_looked_up(root: Path) -> None:
    names = ("test_alone", "test_gone", "test_far")
    assert len(found(root, ", ".join(f"`tests/deep/test_it.py::{name}`" for name in names))) == 2


def test_a_command_that_make_does_not_know_is_said(root: Path) -> None:
    assert found(root, "`tests/deep/test_it.py::test_alone`", "`make chaso SHORT=1`") == [
        "It holds: make does not know chaso"
    ]


def test_a_command_with_a_hyphen_is_known(root: Path) -> None:
    assert found(root, "`tests/deep/test_it.py::test_alone`", "`make bench-incidents`") == []
    assert found(root, "`tests/deep/test_it.py::test_alone`", "`make bench-speed`") == [
        "It holds: make does not know bench-speed"
    ]


def test_what_only_make_runs_may_be_a_module(root: Path) -> None:
    assert found(root, "`tests/deep/tools.py`", "`make chaos`") == []
    assert found(root, "`tests/deep/gone.py`", "`make chaos`") == ["It holds: tests/deep/gone.py does not exist"]


def test_a_figure_that_is_still_to_come_is_said(root: Path) -> None:
    assert "TO FILL left" in found(root, "`tests/deep/test_it.py::test_alone`", figure="TO FILL")[0]


def test_a_page_without_promises_is_no_page(root: Path) -> None:
    (problem,) = missing("# Title\n\n| fault | us |\n|---|---|\n| `kill -9` | fine |\n", root)
    assert problem.startswith("no table of promises")


def test_a_row_with_a_cell_too_many_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="four cells"):
        list(missing(f"{HEAD}| It | `a | b` | CI | 1 |\n", root))


# -- the page --------------------------------------------------------------------------------------------------------


def test_every_test_that_the_page_names_exists() -> None:
    assert list(missing(PAGE.read_text(), ROOT)) == []


def test_no_promise_is_made_twice() -> None:
    texts = [promise.text for promise in promises(PAGE.read_text())]
    assert len(texts) == len(set(texts))


def test_make_check_asks_for_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.guarantees"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    makefile = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert "-m tests.docs.guarantees" in makefile
