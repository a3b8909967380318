"""``requirements/audit.py`` fails on what pip-audit finds, and passes by name where pip-audit cannot say anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "requirements" / "audit.py"
WELL = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
UNKNOWN = {"name": "numba", "skip_reason": "Dependency not found"}
HOLE = {"id": "PYSEC-1", "fix_versions": ["3.14.6"], "description": "bad"}
HOLED = {"name": "aiohttp", "version": "3.14.5", "vulns": [HOLE]}


def audit(folder: Path, body: str | None = None) -> subprocess.CompletedProcess[str]:
    """The script with a pip-audit whose shell commands are given; without one by default."""
    if body is not None:
        program = folder / "pip-audit"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}"}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)


def says(*packages: dict[str, object]) -> str:
    return f"echo '{json.dumps({'dependencies': packages, 'fixes': []})}'"


def test_without_pip_audit_it_passes_and_says_so(tmp_path: Path) -> None:
    done = audit(tmp_path)
    assert done.returncode == 0
    assert done.stdout == "skipped: pip-audit: it is not installed (pipx install pip-audit)\n"


def test_a_known_vulnerability_fails(tmp_path: Path) -> None:
    done = audit(tmp_path, f"{says(HOLED)}; exit 1")
    assert done.returncode == 1
    assert done.stderr == ("aiohttp 3.14.5 has the known vulnerability PYSEC-1; fixed in 3.14.6: make pins UPGRADE=1\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (says(WELL), "pip-audit: no known vulnerability in 1 packages"),
        (says(WELL, UNKNOWN), "no known vulnerability in 1 packages; not known to its service: numba"),
        (says(UNKNOWN), "skipped: pip-audit: its service knows none of the 1 packages"),
        ("echo 'first line' >&2; echo 'no connection' >&2; exit 1", "skipped: pip-audit: no connection"),
        ("exit 1", "skipped: pip-audit: it ended with code 1 and said nothing"),
    ],
)
def test_what_it_could_not_look_at_is_said(body: str, said: str, tmp_path: Path) -> None:
    done = audit(tmp_path, body)
    assert done.returncode == 0
    assert said in done.stdout


def test_the_files_are_read_with_their_hashes_and_nothing_is_installed(tmp_path: Path) -> None:
    audit(tmp_path, f'echo "$@" > "{tmp_path}/arguments"; {says(WELL)}')
    arguments = (tmp_path / "arguments").read_text()
    assert "--require-hashes" in arguments
    assert "--disable-pip" in arguments
    for name in ("runtime", "demo", "dev", "build", "pins"):
        assert f"requirements/{name}.txt" in arguments
