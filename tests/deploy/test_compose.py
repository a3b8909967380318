"""``docker-compose.yml`` and the files it mounts fit each other, the settings and the image."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.settings import NOT_SETTINGS, environment_keys, load
from tests.deploy.composition import OURS, ROOT, composition, environment, mounts, published, services
from tests.kafka.fetch import KAFKA_VERSION

EVERY = sorted(services())
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def provisioned(kind: str) -> dict[str, Any]:
    (file,) = (ROOT / "deploy/grafana/provisioning" / kind).glob("*.yml")
    return dict(yaml.safe_load(file.read_text()))


def test_the_services_are_a_broker_its_topics_a_worker_and_what_watches_it() -> None:
    assert EVERY == ["grafana", "kafka", "prometheus", "topics", "worker"]


@pytest.mark.parametrize("service", EVERY)
def test_every_image_is_pinned_by_an_exact_version(service: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", services()[service]["image"])


def test_kafka_has_the_version_of_the_tests() -> None:
    assert services()["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.parametrize("service", OURS)
def test_our_services_run_the_image_of_the_dockerfile(service: str) -> None:
    build = services()[service]["build"]
    assert (ROOT / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize("service", EVERY)
def test_every_port_is_published_on_loopback_only(service: str) -> None:
    assert all(address == "127.0.0.1" for address, _, _ in published(service))


@pytest.mark.parametrize("service", EVERY)
def test_every_mounted_file_exists_and_is_read_only_and_every_volume_is_declared(service: str) -> None:
    for source, _, mode in mounts(service):
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == "ro", source
        else:
            assert source in composition()["volumes"]


@pytest.mark.parametrize("service", EVERY)
def test_every_service_says_when_it_restarts_and_what_it_may_use(service: str) -> None:
    assert services()[service]["restart"] == ("on-failure:5" if service == "topics" else "unless-stopped")
    assert set(services()[service]["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


@pytest.mark.parametrize("service", EVERY)
def test_every_service_is_checked_for_health_but_for_the_one_that_ends(service: str) -> None:
    own = services()[service].get("healthcheck", {})
    assert own == {"disable": True} if service == "topics" else "test" in own or service == "worker"


def test_the_worker_starts_after_the_topics_and_the_topics_after_a_healthy_broker() -> None:
    healthy = {"condition": "service_healthy"}
    assert services()["topics"]["depends_on"] == {"kafka": healthy}
    created = {"condition": "service_completed_successfully"}
    assert services()["worker"]["depends_on"] == {"kafka": healthy, "topics": created}


@pytest.mark.parametrize("service", OURS)
def test_our_containers_can_write_nothing_but_temporary_files_and_gain_no_rights(service: str) -> None:
    definition = services()[service]
    assert definition["read_only"] is True
    assert definition["tmpfs"] == ["/tmp"]
    assert definition["cap_drop"] == ["ALL"]
    assert definition["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", OURS)
def test_every_environment_key_is_a_setting(service: str) -> None:
    assert environment(service).keys() <= environment_keys().keys()


@pytest.mark.parametrize("service", OURS)
def test_the_environment_loads_and_fits_the_rest_of_the_file(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in environment_keys().keys() | NOT_SETTINGS:
        monkeypatch.delenv(key, raising=False)
    for key, value in environment(service).items():
        assert isinstance(value, str), f"{key}: quote it, YAML may write it in another way"
        monkeypatch.setenv(key, value)
    settings = load()
    assert f"INSIDE://{settings.broker.bootstrap}" in environment("kafka")["KAFKA_ADVERTISED_LISTENERS"].split(",")
    if service == "worker":
        assert settings.http.host == "0.0.0.0"
        assert [inside for _, _, inside in published("worker")] == [settings.http.port]
        grace = int(services()["worker"]["stop_grace_period"].removesuffix("s"))
        assert grace > settings.worker.shutdown_seconds + 1


def test_both_of_our_services_agree_on_the_broker_and_the_topics() -> None:
    assert environment("topics").items() <= environment("worker").items()


def test_the_broker_creates_no_topics_by_itself_and_keeps_its_data() -> None:
    kafka = environment("kafka")
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert [target for _, target, _ in mounts("kafka")] == [kafka["KAFKA_LOG_DIRS"]]


def test_producers_on_this_machine_reach_the_broker_at_the_published_port() -> None:
    ((_, outside, inside),) = published("kafka")
    assert f"OUTSIDE://:{inside}" in environment("kafka")["KAFKA_LISTENERS"].split(",")
    assert f"OUTSIDE://localhost:{outside}" in environment("kafka")["KAFKA_ADVERTISED_LISTENERS"].split(",")


def test_prometheus_reads_the_worker_and_the_rules() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert names["names"] == ["worker"]
    assert str(names["port"]) == environment("worker")["CALMSTREAM_HTTP__PORT"]
    assert job["metrics_path"] == "/metrics"
    targets = [target for _, target, _ in mounts("prometheus")]
    assert set(PROMETHEUS["rule_files"]) <= set(targets)
    options = dict(option.removeprefix("--").split("=") for option in services()["prometheus"]["command"])
    assert options["config.file"] in targets
    assert options["storage.tsdb.path"] in targets


def test_grafana_finds_its_data_source_and_its_dashboards() -> None:
    (source,) = provisioned("datasources")["datasources"]
    name, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
    assert int(port) in [inside for _, _, inside in published(name)]
    (provider,) = provisioned("dashboards")["providers"]
    folders = {target: source for source, target, _ in mounts("grafana")}
    assert ROOT / folders[provider["options"]["path"]] == DASHBOARDS[0].parent
    home = Path(environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / folders[str(home.parent)] / home.name).is_file()


def test_grafana_lets_nobody_change_anything() -> None:
    grafana = environment("grafana")
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_panel_asks_the_provisioned_data_source_and_does_not_overlap(path: Path) -> None:
    board = json.loads(path.read_text())
    (source,) = provisioned("datasources")["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel.get("datasource", wanted) == wanted
        assert all(target["datasource"] == wanted for target in panel.get("targets", []))
        grid = panel["gridPos"]
        rows, columns = range(grid["y"], grid["y"] + grid["h"]), range(grid["x"], grid["x"] + grid["w"])
        taken = {(x, y) for x in columns for y in rows}
        assert not taken & cells, panel["title"]
        assert max(columns) < 24
        cells |= taken
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
