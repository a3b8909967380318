"""Pins every package that Calmstream, its demo and its development need, with the hashes of the files that fit.

Guarantee: for each supported Python and machine (`check_platform.py`) every pinned package has a wheel that fits, or is
listed in SOURCE_ONLY and has its source pinned; otherwise nothing is written and the gaps are named. Run it with
`make pins`: it keeps the present versions where pyproject.toml allows them; `make pins UPGRADE=1` takes the newest.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from check_platform import GLIBC, MACHINES, PYTHONS
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

HERE = Path(__file__).resolve().parent

FILES = {
    "runtime.txt": ["--group=build"],
    "demo.txt": ["--group=build", "--extra=demo"],
    "dev.txt": ["--group=build", "--extra=dev"],
    "build.txt": ["--only-group=build"],
    "pins.txt": ["--only-group=pins"],
}

EXPORT = ["export", "--frozen", "--no-emit-project", "--no-hashes", "--no-annotate", "--no-header"]

# Packages without a wheel for a machine: built there from the pinned source with the pinned build tools. The Makefile
# has the same list.
SOURCE_ONLY = {"faust-streaming": "aarch64"}

HEADER = """\
# Made by requirements/pin.py from pyproject.toml: change that and run `make pins`.
# Wheels for CPython 3.11 to 3.13 on Linux x86-64 and aarch64.
"""


@dataclass(frozen=True)
class Target:
    """One supported combination of a Python and a machine."""

    python: tuple[int, int]
    machine: str

    def __str__(self) -> str:
        return f"Python {self.python[0]}.{self.python[1]} on {self.machine}"

    def tags(self) -> set[Tag]:
        """The wheel tags that fit, on the oldest supported glibc."""
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        platforms = list(_manylinux(self.machine))
        tags = set(cpython_tags(self.python, [interpreter], platforms))
        return tags | set(compatible_tags(self.python, interpreter, platforms))

    def wants(self, marker: str) -> bool:
        """Whether a requirement with this marker (possibly empty) is installed here."""
        version = f"{self.python[0]}.{self.python[1]}"
        environment = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": "linux",
        }
        return not marker or Marker(marker).evaluate(environment)


TARGETS = [Target(python, machine) for python in PYTHONS for machine in MACHINES]


def _manylinux(machine: str) -> Iterator[str]:
    for minor in range(GLIBC[1], 4, -1):
        yield f"manylinux_2_{minor}_{machine}"
    yield f"manylinux2014_{machine}"
    if machine == "x86_64":
        yield from ("manylinux2010_x86_64", "manylinux1_x86_64")


@dataclass(frozen=True)
class Package:
    """One resolved package: its version and the files of that version, as file name → hash."""

    version: str
    wheels: dict[str, str]
    source: dict[str, str]

    def files_for(self, name: str, targets: list[Target]) -> tuple[list[str], list[str]]:
        """The hashes to pin for the targets that want this package, and what is missing, as sentences."""
        hashes, gaps = set(), []
        for target in targets:
            tags = target.tags()
            fitting = [hash_ for file, hash_ in self.wheels.items() if parse_wheel_filename(file)[3] & tags]
            if not fitting and SOURCE_ONLY.get(name) == target.machine:
                fitting = list(self.source.values())
            elif fitting and SOURCE_ONLY.get(name) == target.machine:
                gaps.append(
                    f"{name} {self.version} has a wheel for {target}: take it out of SOURCE_ONLY and the Makefile"
                )
            if not fitting:
                gaps.append(f"{name} {self.version} has no wheel for {target}")
            hashes.update(fitting)
        return sorted(hashes), gaps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions instead of keeping the present ones"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calmstream-pins-") as folder:
        project = Path(folder)
        (project / "pyproject.toml").write_text(_project_to_resolve(keep=not arguments.upgrade))
        _uv(project, "lock")
        packages = _read_lock(project / "uv.lock")
        texts, gaps = {}, set()
        for file, options in FILES.items():
            texts[file], missing = _render(_uv(project, *EXPORT, *options).splitlines(), packages)
            gaps |= missing
    if gaps:
        print("Nothing was written:", *sorted(gaps), sep="\n  - ", file=sys.stderr)
        return 1
    for file, text in texts.items():
        path = HERE / file
        if not path.exists() or path.read_text() != text:  # an unchanged file must not rebuild .venv
            path.write_text(text)
        print(f"requirements/{file}: {text.count('==')} packages")
    return 0


def _uv(project: Path, *arguments: str) -> str:
    uv = Path(sys.executable).with_name("uv")
    run = subprocess.run([uv, *arguments, "--python", sys.executable], cwd=project, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(
            "Nothing was written: uv could not resolve pyproject.toml. "
            "If a present pin is in the way: make pins UPGRADE=1"
        )
    return run.stdout


def _project_to_resolve(keep: bool) -> str:
    """The project's metadata alone, limited to the supported platforms, with the build tools as a group."""
    declared = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    project, groups = declared["project"], declared["dependency-groups"]
    environments = [
        f"sys_platform == 'linux' and platform_machine == '{machine}' and implementation_name == 'cpython' "
        f"and python_version < '3.{PYTHONS[-1][1] + 1}'"
        for machine in MACHINES
    ]
    return "\n".join(
        [
            "[project]",
            *(f'{key} = "{project[key]}"' for key in ("name", "version", "requires-python")),
            f"dependencies = {project['dependencies']}",
            "[project.optional-dependencies]",
            *(f"{extra} = {wanted}" for extra, wanted in project["optional-dependencies"].items()),
            "[dependency-groups]",
            f"build = {declared['build-system']['requires'] + groups['build']}",
            f"pins = {groups['pins']}",
            "[tool.uv]",
            "package = false",
            "default-groups = []",
            'fork-strategy = "fewest"',  # one version for all targets
            f"environments = {environments}",
            f"constraint-dependencies = {sorted(_present_pins()) if keep else []}",
        ]
    )


def _present_pins() -> set[str]:
    pins = set()
    for file in FILES:
        if (HERE / file).exists():
            pins.update(re.findall(r"^\S+==[^\s;]+", (HERE / file).read_text(), re.MULTILINE))
    return pins


def _read_lock(lock: Path) -> dict[str, Package]:
    packages: dict[str, Package] = {}
    for entry in tomllib.loads(lock.read_text())["package"]:
        if "virtual" in entry["source"]:
            continue
        if entry["name"] in packages:
            raise SystemExit(
                f"Nothing was written: {entry['name']} would need two versions; narrow it in pyproject.toml"
            )
        files = {file["url"].rpartition("/")[2]: file["hash"] for file in entry.get("wheels", [])}
        source = [entry["sdist"]] if "sdist" in entry else []
        packages[entry["name"]] = Package(
            entry["version"], files, {file["url"].rpartition("/")[2]: file["hash"] for file in source}
        )
    return packages


def _render(lines: list[str], packages: dict[str, Package]) -> tuple[str, set[str]]:
    """The text of one requirements file, and what is missing for some target."""
    text, gaps = [HEADER], set()
    for name, requirement, marker in sorted(_requirements(lines)):
        targets = [target for target in TARGETS if target.wants(marker)]
        if not targets:
            continue
        hashes, missing = packages[name].files_for(name, targets)
        gaps.update(missing)
        suffix = "" if targets == TARGETS else f" ; {marker}"
        text.append(" \\\n    --hash=".join([requirement + suffix, *hashes]) + "\n")
    return "".join(text), gaps


def _requirements(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Name, `name==version` and marker of each line that pins a package."""
    for line in lines:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        name, pinned, _ = requirement.partition("==")
        if pinned:
            yield name, requirement, marker


if __name__ == "__main__":
    sys.exit(main())
