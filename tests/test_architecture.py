"""Imports point one way: the sources keep to the table in tests/architecture/table.py, and what breaks it is found."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.rules import deviations, existing_rooms
from tests.architecture.table import APART, FLOW, ROOMS

ROOT = Path(__file__).parent.parent


def test_every_room_keeps_to_the_table() -> None:
    found = deviations(ROOT)
    assert not found, "\n".join(["the architecture does not have:", *found])


def test_the_picture_of_the_architecture_names_every_room() -> None:
    picture = (ROOT / "pipeline" / "__init__.py").read_text(encoding="utf-8")
    missing = [room for room in sorted(existing_rooms(ROOT)) if not re.search(rf"(?<![\w./]){room}(/|\.py)", picture)]
    assert not missing, f"pipeline/__init__.py does not show {', '.join(missing)} (written as `room/` or `room.py`)"


def test_in_the_table_no_two_of_the_parallel_rooms_know_each_other() -> None:
    for room in APART:
        assert not ROOMS[room].project & APART, room


def test_in_the_table_inner_rooms_know_only_rooms_above_them() -> None:
    for place, room in enumerate(FLOW):
        assert ROOMS[room].project <= set(FLOW[:place]), room
        assert ROOMS[room].inner


# Planted violations: each kind is found, and said so that one knows what to do.


def plant(root: Path, files: Mapping[str, str]) -> list[str]:
    """Deviations of a tree with these files, by path without the suffix."""
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return deviations(root)


WRONG_IMPORTS = {
    "import pipeline.signals.rates": "pipeline.signals.rates",
    "from pipeline.signals import rates": "pipeline.signals.rates",
    "from pipeline import signals": "pipeline.signals",
    "from ..signals.rates import means": "pipeline.signals.rates.means",
    "from .. import signals": "pipeline.signals",
    "def late():\n    from pipeline.signals import rates": "pipeline.signals.rates",
    "import typing\nif typing.TYPE_CHECKING:\n    from pipeline.signals import rates": "pipeline.signals.rates",
    "import importlib\nrates = importlib.import_module('pipeline.signals.rates')": "pipeline.signals.rates",
    "from importlib import import_module as get\nrates = get('..signals', __package__)": "pipeline.signals",
    "rates = __import__('pipeline.signals')": "pipeline.signals",
}


@pytest.mark.parametrize(("text", "module"), WRONG_IMPORTS.items())
def test_an_import_of_a_room_that_is_not_in_the_row_is_found(tmp_path: Path, text: str, module: str) -> None:
    (found,) = plant(tmp_path, {"pipeline/windows/tumbling": text})
    assert found == (
        f"pipeline/windows/tumbling.py:{1 + text.count(chr(10))}: imports {module} (of the room signals); "
        "windows may import records; of third parties numpy"
    )


def test_all_that_is_in_the_row_may_be_imported(tmp_path: Path) -> None:
    text = "import hashlib\nimport numpy.typing as npt\nfrom pipeline.records import Kind\nfrom . import progress"
    files = {"pipeline/windows/tumbling": text, "detectors/level": "from scipy.special import stdtr"}
    assert plant(tmp_path, files) == []


def test_a_third_party_package_that_is_not_in_the_row_is_found(tmp_path: Path) -> None:
    (found,) = plant(tmp_path, {"detectors/level": "def late():\n    import pandas as pd"})
    assert found == (
        "detectors/level.py:2: imports pandas (third party); detectors may import no other room; "
        "of third parties numba, numpy, scipy"
    )


def test_a_part_of_a_namespace_package_does_not_open_the_rest_of_it(tmp_path: Path) -> None:
    allowed = "from opentelemetry.proto.common.v1 import common_pb2\nfrom google import protobuf"
    (found,) = plant(tmp_path, {"pipeline/codecs/otlp": f"{allowed}\nfrom opentelemetry import sdk"})
    assert found.startswith("pipeline/codecs/otlp.py:3: imports opentelemetry.sdk (third party)")


def test_the_project_does_not_import_its_tests(tmp_path: Path) -> None:
    (found,) = plant(tmp_path, {"pipeline/cli/root": "from tests.timeline import Timeline"})
    assert "imports tests.timeline.Timeline (third party)" in found


def test_a_module_name_made_at_run_time_is_found(tmp_path: Path) -> None:
    text = "import importlib\ndef get(name):\n    return importlib.import_module(name)"
    (found,) = plant(tmp_path, {"pipeline/cli/root": text})
    assert found == "pipeline/cli/root.py:3: imports a module whose name is made at run time; write the name out"


def test_a_room_that_is_not_in_the_table_is_found(tmp_path: Path) -> None:
    found = plant(tmp_path, {"pipeline/magic/wand": "import numpy", "pipeline/app": "from pipeline.magic import wand"})
    assert "pipeline/magic: the room magic is not in tests/architecture/table.py; add its row with a reason" in found
    assert any(line.startswith("pipeline/app.py:1: imports pipeline.magic.wand ('magic' is no room") for line in found)


@pytest.mark.parametrize("name", ["pipeline/codecs/utils", "pipeline/helpers/text", "detectors/core"])
def test_a_name_that_says_nothing_is_found(tmp_path: Path, name: str) -> None:
    found = plant(tmp_path, {name: ""})
    assert any("does not say what is inside; name it after what it holds" in line for line in found)


def test_the_package_itself_imports_nothing(tmp_path: Path) -> None:
    (found,) = plant(tmp_path, {"pipeline/__init__": "from pipeline import app"})
    assert found == "pipeline/__init__.py:1: imports pipeline.app; the package itself imports nothing"


REACHING_OUT = {
    "import time": "the clock",
    "from time import monotonic": "the clock",
    "from datetime import datetime as dt\nx = dt.now()": "the clock",
    "import datetime\nx = datetime.datetime.utcnow": "the clock",
    "from datetime import date\nx = date.today()": "the clock",
    "import random": "unseeded randomness",
    "import secrets": "unseeded randomness",
    "import numpy as np\nx = np.random.default_rng()": "unseeded randomness",
    "from numpy.random import default_rng\nx = default_rng(None)": "unseeded randomness",
    "import numpy as np\nx = np.random.normal(3)": "unseeded randomness",
    "from uuid import uuid4\nx = uuid4()": "unseeded randomness",
    "x = {hash('a'): 1}": "a hash that differs between processes",
    "import os": "the environment",
    "def late():\n    from os import getenv": "the environment",
    "from datetime import datetime\nx = datetime.fromtimestamp(1)": "the environment",
    "x = open('a')": "files",
    "print(1)": "files",
    "from pathlib import Path": "files",
    "def f(path):\n    return path.read_text()": "files",
    "import numpy as np\nx = np.load('a.npy')": "files",
    "def f(array):\n    array.tofile('a')": "files",
    "import socket": "sockets",
    "import urllib.request": "sockets",
    "import subprocess": "threads, processes or asyncio",
    "from concurrent.futures import ThreadPoolExecutor": "threads, processes or asyncio",
    "import threading": "threads, processes or asyncio",
    "import asyncio": "threads, processes or asyncio",
}


@pytest.mark.parametrize(("text", "what"), REACHING_OUT.items())
def test_an_inner_room_that_reaches_out_is_found(tmp_path: Path, text: str, what: str) -> None:
    (found,) = plant(tmp_path, {"pipeline/records/signal": text})
    assert found.startswith(f"pipeline/records/signal.py:{1 + text.count(chr(10))}: ")
    assert f"; the inner room records does not reach for {what}" in found


def test_an_outer_room_may_reach_out(tmp_path: Path) -> None:
    texts = [text for text in REACHING_OUT if "numpy" not in text]
    assert plant(tmp_path, {f"pipeline/cli/verb{i}": text for i, text in enumerate(texts)}) == []


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nx = np.random.default_rng(7).normal()",
        "import numpy as np\ndef f(seed: int, dice: np.random.Generator):\n    return np.random.default_rng(seed=seed)",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(1, UTC), datetime.fromisoformat('2024-01-01')",
        "from pathlib import PurePosixPath",
        "import hashlib, zlib, re, functools, urllib.parse, uuid\nx = uuid.uuid5(uuid.NAMESPACE_URL, 'a')",
        "class Incident:\n    def f(self):\n        return self.open, self.time.now()",
    ],
)
def test_what_only_looks_like_reaching_out_is_left_alone(tmp_path: Path, text: str) -> None:
    assert plant(tmp_path, {"pipeline/records/signal": text}) == []
