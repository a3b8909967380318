"""The walk on ``docs/tuning.md`` is what happens: each command prints what the page says."""

import json
import os
import sys
from pathlib import Path

from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import CALMSTREAM, environment
from tests.docs import walk
from tests.docs.pages import DOCS

PAGE = "tuning.md"


def test_each_command_prints_what_the_page_says(
    embedded_broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> None:
    for name, text in walk.files(PAGE).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "noisy_queue.py").write_text((DOCS / "examples/noisy_queue.py").read_text())
    inputs = [{"topic": f"{topic_prefix}points", "format": "json_points"}]  # others share this broker
    ours = {
        "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "CALMSTREAM_TOPIC_PREFIX": topic_prefix,
        "CALMSTREAM_INPUTS": json.dumps(inputs),
    }
    path = os.pathsep.join([str(CALMSTREAM.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = environment(ours) | {"PATH": path}
    steps = list(walk.steps(PAGE))
    assert len(steps) > 8
    printed = [walk.run(step, tmp_path, settings) for step in steps]
    assert printed == [walk.trimmed(step.printed) for step in steps]


def test_the_walk_has_every_verb_of_tuning() -> None:
    commands = " ".join(step.command for step in walk.steps(PAGE))
    for verb in (
        "backtest",
        "policy apply",
        "policy apply --shadow",
        "policy diff",
        "policy promote",
        "policy rollback",
    ):
        assert f"calmstream {verb} " in commands
