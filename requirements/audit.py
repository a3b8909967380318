"""Asks pip-audit whether a pinned package has a known vulnerability.

Guarantee: fails only when one is found, and installs nothing of what is audited. Where pip-audit is not installed or
its service does not answer in time, one line says ``skipped: pip-audit:`` and why, and the check passes.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECONDS = 60.0


class NotAnswered(RuntimeError):
    """pip-audit could not ask; the message says why."""


def main() -> int:
    """The exit code: 1 when a vulnerability was found."""
    program = shutil.which("pip-audit", path=str(Path(sys.executable).parent)) or shutil.which("pip-audit")
    if program is None:
        print("skipped: pip-audit: it is not installed (pipx install pip-audit)")
        return 0
    try:
        packages = audited(program, [path for path in sorted(HERE.glob("*.txt")) if "--hash=" in path.read_text()])
    except NotAnswered as reason:
        print(f"skipped: pip-audit: {reason}")
        return 0
    found = {
        (package["name"], package["version"], hole["id"]): hole.get("fix_versions", [])
        for package in packages
        for hole in package.get("vulns", ())
    }
    for (name, version, hole), fixed in sorted(found.items()):
        print(f"{name} {version} has the known vulnerability {hole}; {mended(fixed)}", file=sys.stderr)
    if not found:
        print(summary(packages))
    return 1 if found else 0


def summary(packages: list[dict[str, Any]]) -> str:
    """What was looked at, where nothing was found."""
    unknown = sorted({package["name"] for package in packages if "vulns" not in package})
    known = {package["name"] for package in packages} - set(unknown)
    if not known:
        return f"skipped: pip-audit: its service knows none of the {len(unknown)} packages"
    rest = f"; not known to its service: {', '.join(unknown)}" if unknown else ""
    return f"pip-audit: no known vulnerability in {len(known)} packages{rest}"


def mended(versions: list[str]) -> str:
    """What to do about a hole."""
    if not versions:
        return "there is no version without it"
    return f"fixed in {', '.join(versions)}: make pins UPGRADE=1"


def audited(program: str, files: list[Path]) -> list[dict[str, Any]]:
    """Every package of these files, with what is known of it. Raises NotAnswered."""
    command = [program, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command += ["--timeout", "10", *(word for path in files for word in ("--requirement", str(path)))]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotAnswered(f"its service did not answer within {SECONDS:.0f} s") from None
    except OSError as error:
        raise NotAnswered(f"it cannot be run: {error.strerror}") from None
    try:
        packages: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        lines = run.stderr.strip().splitlines() or [f"it ended with code {run.returncode} and said nothing"]
        raise NotAnswered(lines[-1][:300]) from None
    return packages


if __name__ == "__main__":
    sys.exit(main())
