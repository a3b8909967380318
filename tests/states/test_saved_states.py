"""States that versions saved: this one goes on from each as if it had never stopped, or refuses it by name."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.codecs import columns
from pipeline.flow.chain import Chain, UnreadableState
from pipeline.records import US, Snapshot
from tests.memory_run import MemoryRun, Place
from tests.states import kept, story

_SAVE = "run: python -m tests.states.save"
_SAVED_US = (story.START + story.SAVED_AT) * US
#: Bytes of a file: they are kept for ever.
_MOST_BYTES = 20_000


@pytest.fixture(scope="module")
def undisturbed() -> MemoryRun:
    run = MemoryRun(story.settings())
    story.tell(run, 0, story.SECONDS)
    return run


@pytest.fixture(params=kept.versions())
def directory(request: pytest.FixtureRequest) -> Path:
    return kept.DIRECTORY / str(request.param)


def test_the_story_has_all_that_a_state_holds(undisturbed: MemoryRun) -> None:
    later = [body["transition"] for body in undisturbed.incidents(_SAVED_US)]
    assert [body["transition"] for body in undisturbed.incidents()] == ["opened", *later]
    assert later[-1] == "resolved"
    assert undisturbed.incidents()[-1]["changes"]
    states = kept.states(kept.DIRECTORY / kept.CURRENT)
    fresh = MemoryRun(story.settings(), states, kept.rest(kept.DIRECTORY / kept.CURRENT)).chains
    figures = {at[0]: chain.gauges() for at, chain in fresh.items()}
    assert figures["calm.anomalies"]["open_incidents"] == 1
    assert figures["calm.logs"]["templates"] == 2
    assert figures["calm.signals"]["signals"] > 40
    assert all(figures[topic]["pending_rows"] > 0 for topic in ("calm.signals", "calm.logs", "calm.spans"))


def test_this_version_goes_on_from_a_saved_state_or_refuses_it_by_name(directory: Path, undisturbed: MemoryRun) -> None:
    states = kept.states(directory)
    refused = [said for at, one in states.items() if (said := refusal(at, one)) is not None]
    if directory.name == kept.CURRENT:
        assert refused == [], f"{_SAVE}, and give a state whose layout has changed another version"
    for said in refused:
        assert re.search(r"has version '[^']+'; this worker reads '[^']+'", said)
        assert re.search(r"calmstream state reset --role [a-z-]+ --partition 0$", said)
    if refused:
        return
    run = MemoryRun(story.settings(), states, kept.rest(directory))
    story.tell(run, story.SAVED_AT, story.SECONDS)
    assert_same_scores(run, undisturbed)
    assert transitions(run) == transitions(undisturbed)


def refusal(at: Place, snapshot: Snapshot) -> str | None:
    """What a new chain says to a state, None where it takes it."""
    try:
        new_chain(at).restore(snapshot)
    except UnreadableState as refused:
        return str(refused)
    return None


def new_chain(at: Place) -> Chain:
    return MemoryRun(story.settings()).chains[at]


def assert_same_scores(run: MemoryRun, undisturbed: MemoryRun) -> None:
    """Of all windows that closed since; the last digits are the machine's."""
    wanted = undisturbed.scores(_SAVED_US)
    found = run.scores(_SAVED_US)
    assert found.keys() == wanted.keys()
    assert len(wanted) > 700
    for key, numbers in wanted.items():
        np.testing.assert_allclose(found[key], numbers, rtol=1e-9, atol=1e-9, err_msg=str(key))
    assert any(math.isfinite(numbers[4]) and numbers[4] > 3 for numbers in wanted.values())


def transitions(run: MemoryRun) -> list[tuple[str, int, str]]:
    return [(body["id"], body["revision"], body["transition"]) for body in run.incidents(_SAVED_US)]


def test_this_version_has_saved_states_in_its_own_layout() -> None:
    directory = kept.DIRECTORY / kept.CURRENT
    assert directory.is_dir(), f"no states of {kept.CURRENT} are kept; {_SAVE}"
    ours = {at: chain.snapshot(full=True).version for at, chain in MemoryRun(story.settings()).chains.items()}
    theirs = {at: snapshot.version for at, snapshot in kept.states(directory).items()}
    assert theirs == ours, f"the layout of a state was given another version; {_SAVE}"


def test_a_state_saved_now_has_the_parts_and_arrays_of_the_one_that_is_kept(tmp_path: Path) -> None:
    kept.save(tmp_path / kept.CURRENT)
    now, then = (kept.states(root / kept.CURRENT) for root in (tmp_path, kept.DIRECTORY))
    assert {at: layout(one) for at, one in now.items()} == {at: layout(one) for at, one in then.items()}, (
        f"the layout of a state has changed: give it another version, and {_SAVE}"
    )


def layout(snapshot: Snapshot) -> dict[str, object]:
    """Names of parts, and names and types of arrays in them."""
    found: dict[str, object] = {}
    for name in snapshot.names:
        try:
            _, arrays = columns.decode(snapshot.blocks[name])
            found[name] = {key: (array.dtype.str, array.shape[1:]) for key, array in arrays.items()}
        except columns.DamagedFrame:
            found[name] = None if not name.startswith("incident/") else "incident"
    return found


def test_saved_states_are_little_endian_and_small(directory: Path) -> None:
    for at, snapshot in kept.states(directory).items():
        for arrays in layout(snapshot).values():
            if isinstance(arrays, dict):
                assert {kind[0] for kind, _ in arrays.values()} <= {"<", "|"}, at
    for path in directory.iterdir():
        assert path.stat().st_size <= _MOST_BYTES, path.name
