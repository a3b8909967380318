"""``calmstream signals`` and ``calmstream signal show``, after a run with three troubles."""

from tests.cli.conftest import SECONDS, Watched


def rows(text: str) -> list[list[str]]:
    """Cells of the table's rows, without its header and what follows it."""
    return [line.split() for line in text.split("\n\n")[0].splitlines()[1:]]


def test_the_list_has_every_signal_with_its_state(watched: Watched) -> None:
    done = watched.run("signals")
    assert done.returncode == 0, done.stderr
    states = {" ".join(row[4:5]): row[1] for row in rows(done.stdout)}
    assert states["latency"] == "anomalous"
    assert states["batch.size"] == "silent"
    assert states["new.metric"] == "cold"
    assert states["http.requests"] == states["queue.depth{queue=orders}"] == "warm"
    assert states["calm.entity"] == "cold"  # of service:search s-1, which has three signals since the third came
    assert "8 signals: 1 anomalous, 4 warm, 1 silent, 2 cold" in done.stdout


def test_the_list_shows_value_expectation_and_unit(watched: Watched) -> None:
    row = next(row for row in rows(watched.run("signals", "http.requests").stdout))
    assert row[2:] == ["service:search", "s-1", "http.requests", "100", "100", "{request}/s"]


def test_a_text_finds_signals_by_any_of_their_names(watched: Watched) -> None:
    assert len(rows(watched.run("signals", "ORDERS").stdout)) == 2
    assert len(rows(watched.run("signals", "pod-1").stdout)) == 1


def test_conditions_must_all_hold(watched: Watched) -> None:
    found = rows(watched.run("signals", "workload=service:search", "name!=latency", "name=~.*metric").stdout)
    assert [row[4] for row in found] == ["new.metric"]


def test_no_signal_is_said_and_no_failure(watched: Watched) -> None:
    done = watched.run("signals", "nothing-of-this-name")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No signals.\n")


def test_a_long_list_is_cut_and_says_so(watched: Watched) -> None:
    done = watched.run("signals", "--limit", "3")
    assert len(rows(done.stdout)) == 3
    assert "5 are not shown" in done.stderr


def test_show_tells_baseline_bounds_state_and_the_last_windows(watched: Watched) -> None:
    done = watched.run("signal", "show", "latency", "--last", "12")
    assert done.returncode == 0, done.stderr
    details, windows = done.stdout.split("\n\nLast windows")
    facts = {line[:23].strip(): line[23:].strip() for line in details.splitlines()}
    assert facts["state"].startswith("anomalous, since 20")
    assert facts["scope"] == "staging"
    assert facts["last value"].startswith("90 ms, window ended 20")
    assert 15 < float(facts["expected next"].split()[0]) < 90
    assert facts["windows seen"].startswith(f"{SECONDS - 2}, usually every 1 s")
    assert "level 2" in facts["baseline (composed/2)"]
    lines = windows.splitlines()[2:]
    assert [line.endswith("anomalous") for line in lines] == [False] * 4 + [True] * 8
    assert [line.split()[2] for line in lines[4:]] == ["90"] * 8


def test_show_finds_a_signal_by_its_id(watched: Watched) -> None:
    identity = rows(watched.run("signals", "batch.size").stdout)[0][0]
    shown = watched.run("signal", "show", identity, "--last", "2").stdout
    assert "batch.size" in shown
    assert "silent" in shown
    assert len(shown.split("Last windows")[1].splitlines()) == 4


def test_show_asks_which_one_when_a_name_is_not_enough(watched: Watched) -> None:
    done = watched.run("signal", "show", "queue.depth")
    assert done.returncode == 1
    assert "2 signals have the name queue.depth; say which one by its id:" in done.stderr
    assert len(rows(done.stdout)) == 2


def test_show_says_that_a_signal_is_not_known(watched: Watched) -> None:
    done = watched.run("signal", "show", "no.such")
    assert (done.returncode, done.stderr) == (
        1,
        "No signal has the name or id no.such; calmstream signals lists them all.\n",
    )
