"""The figures of a suite, of its peers and of changed copies."""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation import reading
from pipeline.evaluation.peers import online_pca
from pipeline.evaluation.scored import Scored, Span
from pipeline.evaluation.suites import FileResult, evaluate, file_result, nab_profiles
from pipeline.evaluation.variants import VARIANTS
from pipeline.evaluation.vus import vus_pr
from pipeline.policies import DetectorPolicy
from tests.evaluation.made import fleet, noise, scored

POLICY = DetectorPolicy()
HIGH = [(700, 719)]
ALWAYS = {
    *("suite", "files", "profiles", "vus_pr", "event_precision", "event_recall", "median_delay_windows"),
    "false_alarms_per_signal_week",
}


def test_every_suite_has_the_same_keys_and_null_where_it_has_no_such_figure() -> None:
    made = [fleet(noise(1000, HIGH), HIGH), fleet(noise(600, seed=4), name="calm.csv")]
    nab, other = (evaluate(suite, made, POLICY) for suite in ("nab", "mscloud"))
    assert nab.keys() >= ALWAYS
    assert nab.keys() == other.keys()
    assert (nab["suite"], nab["files"], nab["event_recall"]) == ("nab", 2, 1.0)
    for figures in (nab, other):
        assert list(figures["profiles"]) == ["standard", "low_fp", "low_fn"]
        assert all(profile.keys() == {"best", "shipped", "stderr"} for profile in figures["profiles"].values())
    assert other["profiles"]["standard"] == {"best": None, "shipped": None, "stderr": None}
    assert nab["profiles"]["standard"]["best"] >= nab["profiles"]["standard"]["shipped"] - 1e-9
    assert nab["profiles"]["standard"]["best"] > 50
    assert 0.5 < nab["bounds_coverage"] <= 1


def test_figures_are_the_same_with_several_processes() -> None:
    made = [fleet(noise(300, [(200, 205)], seed), [(200, 205)], name=f"{seed}.csv") for seed in range(3)]
    order: list[str] = []

    def on_file(_: Scored, result: FileResult) -> None:
        order.append(result.name)

    assert evaluate("nab", made, POLICY, jobs=2, on_file=on_file) == evaluate("nab", made, POLICY)
    assert order == ["0.csv", "1.csv", "2.csv"]


def test_shipped_is_where_anomalies_opened_and_best_what_one_threshold_can_reach() -> None:
    made = fleet(np.zeros(100), [(20, 29)])
    surprise = np.zeros(100)
    surprise[[20, 21]], surprise[[80, 81]] = 9.0, 5.0  # the second after the rest that follows the first
    profiles, thresholds = nab_profiles([scored(made, [Span(0, 28, 29, 30), Span(0, 80, 81, 81)], surprise)])
    assert thresholds is not None
    assert profiles["standard"]["best"] == pytest.approx(50 + 50 * (2 / (1 + np.exp(-4.5)) - 1) / 0.986614, abs=1e-3)
    assert 5 < thresholds["standard"] <= 9
    assert profiles["standard"]["shipped"] == pytest.approx(100 * (0.248242 - 0.11 + 1) / 2, abs=1e-3)


def test_bounds_are_judged_on_normal_scored_windows() -> None:
    made = fleet(np.array([5.0] * 10), [(8, 9)], scored_from=2)
    lower = made.values - 1
    lower[3:5] = 5.5
    result = file_result(replace(scored(made), lower=lower), with_peers=False)
    assert (result.covered, result.bounded) == (4, 6)


# -- peers -------------------------------------------------------------------------------------------------------------


def correlated(rows: int, broken: tuple[int, int]) -> np.ndarray:
    """Eight metrics that follow two causes, but for one of them in some rows."""
    dice = np.random.default_rng(8)
    values = dice.normal(size=(rows, 2)) @ dice.normal(size=(2, 8)) + 0.05 * dice.normal(size=(rows, 8))
    values[broken[0] : broken[1] + 1, 3] *= -1
    return values


def test_the_peer_notices_a_metric_that_leaves_the_others() -> None:
    made = fleet(correlated(3000, (2000, 2049)), [(2000, 2049)])
    found = vus_pr(online_pca(made), made.labels, 0)
    assert found is not None
    assert found > 15 * made.labels.mean()


def test_the_peer_does_not_look_ahead_and_is_the_same_every_time() -> None:
    values = correlated(1000, (900, 910))
    whole = online_pca(fleet(values))
    np.testing.assert_array_equal(online_pca(fleet(values[:700])), whole[:700])
    np.testing.assert_array_equal(online_pca(fleet(values)), whole)


def test_the_peer_bears_constants_and_gaps() -> None:
    values = np.ones((400, 4))
    values[200] = np.nan
    assert np.isfinite(online_pca(fleet(values))).all()


def test_peers_stand_beside_ours_when_asked_for() -> None:
    made = [fleet(correlated(600, (500, 520)), [(500, 520)], scored_from=300)]
    figures = evaluate("smd", made, POLICY, with_peers=True)
    assert 0 < figures["peers"]["online_pca"]["vus_pr"] <= 1
    assert 0 < figures["vus_pr"] <= 1
    assert "peers" not in evaluate("smd", made, POLICY)


# -- variants ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [200, 201])
@pytest.mark.parametrize("name", ["decimated", "averaged"])
def test_halved_copies_keep_their_events_in_time(name: str, rows: int) -> None:
    made = fleet(np.arange(rows), [(100, 109)], scored_from=30)
    half = VARIANTS[name](made)
    assert half.rows == (rows + 1) // 2
    assert half.time_us.tolist() == made.time_us[::2].tolist()
    assert (half.events, half.window_us, half.scored_from) == (((50, 54),), 2 * made.window_us, half.rows * 15 // 100)
    assert np.flatnonzero(half.labels).tolist() == [50, 51, 52, 53, 54]
    assert half.values[:3, 0].tolist() == ([0, 2, 4] if name == "decimated" else [0.5, 2.5, 4.5])
    last = {("decimated", 200): 198, ("averaged", 200): 198.5}.get((name, rows), 200)
    assert half.values[-1, 0] == last


def test_other_copies_change_only_values() -> None:
    made = fleet(np.concatenate([np.linspace(1, 5, 100), [99]]), [(50, 60)])
    assert VARIANTS["negated"](made).values.tolist() == (-made.values).tolist()
    assert VARIANTS["offset"](made).values.tolist() == (made.values + 12).tolist()
    assert VARIANTS["offset"](made).events == made.events


# -- real data ---------------------------------------------------------------------------------------------------------


def test_the_shared_data_is_read() -> None:
    data = Path(os.environ.get("CALMSTREAM_DATA", Path(__file__).parents[3] / "shared/data"))
    if not (data / "nab/windows.json").exists():
        pytest.skip(f"there is no labelled data in {data}; CALMSTREAM_DATA names its folder")
    first = list(islice(reading.read("nab", [data / "nab"]), 3))
    assert sum(len(made.events) for made in first) > 0
    assert not any(made.labels[: made.scored_from].any() for made in first)
    assert reading.count("nab", [data / "nab"]) > len(first)
    assert reading.count("mscloud", [data / "mscloud"]) > 0
    assert reading.count("smd", [data / "smd"]) > 0
