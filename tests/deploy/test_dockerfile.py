"""The image: built from pins only, run by nobody in particular, and without the tools that built it."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests.deploy.composition import ROOT, services
from tests.deploy.dockerfile import ignored, stages

DOCKERIGNORE = ROOT / ".dockerignore"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD, FINAL = stages(ROOT / "deploy/Dockerfile")


def test_both_stages_begin_with_the_same_python_of_an_exact_version() -> None:
    assert BUILD.image == FINAL.image
    assert re.fullmatch(r"python:3\.(11|12|13)\.\d+-slim-bookworm", BUILD.image)


def test_packages_are_installed_with_hashes_and_the_project_without_its_dependencies() -> None:
    installs = [line for run in BUILD.all("RUN") for line in re.findall(r"pip install (.*?)(?:&&|;|$)", run.text)]
    build, runtime, project = (line.split() for line in installs)
    assert project == ["--no-deps", "--no-build-isolation", "."]
    for line, file in ((build, "requirements/build.txt"), (runtime, "requirements/runtime.txt")):
        assert line[:3] == ["--require-hashes", "--only-binary", ":all:"]
        assert line[-2:] == ["-r", file]


def test_what_has_no_wheel_is_built_from_source_on_the_same_machines_as_by_make() -> None:
    in_makefile = dict(re.findall(r"^SOURCE_ONLY_(\w+) := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = " ".join(run.text for run in BUILD.all("RUN"))
    in_dockerfile = dict(re.findall(r'uname -m\)" = (\w+) \]; then source_only="[^"]*--no-binary ([^" ]+)"', text))
    assert in_dockerfile == in_makefile


def test_every_tool_that_is_not_needed_to_run_is_uninstalled_and_nothing_else() -> None:
    build_tools = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements/build.txt").read_text(), re.MULTILINE))
    uninstalled = set(BUILD.all("RUN")[-1].text.partition("uninstall --yes ")[2].split())
    assert uninstalled == build_tools - _needed_at_run_time() | {"pip"}


def _needed_at_run_time() -> set[str]:
    """Names of all distributions that calmstream needs, directly or not, without extras."""
    needed, waiting = set(), ["calmstream"]
    while waiting:
        for requirement in importlib.metadata.requires(waiting.pop()) or ():
            name = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-").replace(".", "-")
            # A marker that is not ours (another Python, an extra) names what is not installed or already needed.
            if "extra ==" not in requirement and name not in needed and _is_installed(name):
                needed.add(name)
                waiting.append(name)
    return needed


def _is_installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_the_last_stage_installs_nothing_and_takes_nothing_but_the_environment() -> None:
    assert [copy.words for copy in FINAL.all("COPY")] == [
        [f"--from={BUILD.name}", "/opt/calmstream", "/opt/calmstream"]
    ]
    first, check = FINAL.all("RUN")
    assert first.text.startswith("rm -rf ")
    assert check.words[0] == "/opt/calmstream/bin/python"


def test_the_base_images_own_pip_is_removed() -> None:
    removed = FINAL.all("RUN")[0].words[2:]
    major_minor = ".".join(FINAL.image.removeprefix("python:").split(".")[:2])
    lib = f"/usr/local/lib/python{major_minor}"
    assert set(removed) == {f"{lib}/ensurepip", f"{lib}/site-packages/*", "/usr/local/bin/pip*"}


def test_the_build_fails_when_an_installer_or_a_compiler_is_left() -> None:
    command = FINAL.all("RUN")[1].words[1:]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(r"left in the image: \['pip', 'ensurepip', 'setuptools'", done.stderr)


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    user, group = FINAL.last("USER").text.split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_it_runs_the_worker_unless_told_another_verb() -> None:
    assert FINAL.last("ENTRYPOINT").words == ["calmstream"]
    assert FINAL.last("ENTRYPOINT").words[0] in PROJECT["scripts"]
    assert FINAL.last("CMD").words == ["worker"]


def test_its_path_finds_the_environment_that_was_copied() -> None:
    paths = [env.text for env in FINAL.all("ENV") if "PATH=" in env.text]
    assert paths[0].startswith("PATH=/opt/calmstream/bin:$PATH")


def test_it_names_the_port_of_the_settings() -> None:
    assert int(FINAL.last("EXPOSE").text) == Settings().http.port


def test_its_version_is_the_projects() -> None:
    version = PROJECT["version"]
    assert f'org.opencontainers.image.version="{version}"' in FINAL.last("LABEL").text
    assert services()["worker"]["image"] == f"calmstream:{version}"


@pytest.mark.parametrize("source", [word for copy in BUILD.all("COPY") for word in copy.words[:-1]])
def test_what_is_copied_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert not ignored(source, DOCKERIGNORE)


@pytest.mark.parametrize(
    "path", [".git", ".venv", ".env", "tests", "docs", "pipeline/__pycache__", "settings.local.yaml"]
)
def test_what_an_image_does_not_need_does_not_reach_the_build(path: str) -> None:
    assert ignored(path, DOCKERIGNORE)


def test_the_health_check_fails_where_nothing_listens() -> None:
    python, *arguments = FINAL.health_command
    assert python == "python"
    environment = {**os.environ, "CALMSTREAM_HTTP__PORT": "1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1


def test_a_dockerfile_that_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nRUN <<EOF\npip install x\nEOF\n")
    with pytest.raises(ValueError, match="not understood"):
        stages(tmp_path / "Dockerfile")
