"""``docs/operations.md`` has every endpoint, exit code, metric, reason and alert, and nothing else."""

import re
from collections.abc import Iterator
from typing import get_args

import yaml
from prometheus_client import Metric

from pipeline import app
from pipeline.settings import Role, Settings
from pipeline.streams.exits import Exit
from pipeline.streams.topic_table import OUTPUTS
from pipeline.telemetry import Telemetry
from tests.docs.pages import DOCS, rows, section, unquoted

PAGE = "operations.md"
PIPELINE = DOCS.parent / "pipeline"
ALERTS = DOCS.parent / "deploy/prometheus/alerts.yml"


def first_cells(heading: str) -> list[str]:
    return [unquoted(row[0]) for row in rows(section(PAGE, heading))]


def test_every_endpoint_is_on_the_page() -> None:
    routes = app.create(Settings()).app.web.web_app.router.resources()
    assert first_cells("## Endpoints") == [route.canonical for route in routes]


def test_every_exit_code_is_on_the_page() -> None:
    assert first_cells("## Exit codes of `calmstream worker`") == [str(int(code)) for code in sorted(Exit)]


def test_every_metric_is_on_the_page_with_its_type_and_labels() -> None:
    table = [row for row in rows(section(PAGE, "## Metrics")) if len(row) == 4]
    assert [(unquoted(name), kind, labels) for name, kind, labels, _ in table] == [
        described(metric) for metric in metrics_of(Telemetry())
    ]


def metrics_of(telemetry: Telemetry) -> Iterator[Metric]:
    for found in vars(telemetry).values():
        for metric in found.values() if isinstance(found, dict) else [found]:
            if hasattr(metric, "describe"):
                yield metric


def test_every_role_and_every_topic_that_we_write_is_on_the_page() -> None:
    cells = first_cells("## Roles and topics")
    assert cells == [*get_args(Role), *(Settings().topic(row.name) for row in OUTPUTS)]


def described(metric: Metric) -> tuple[str, str, str]:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, family.type, ", ".join(f"`{label}`" for label in metric._labelnames)


def test_every_reason_that_is_counted_is_on_the_page_and_every_reason_on_it_is_counted() -> None:
    sources = "\n".join(path.read_text() for path in sorted(PIPELINE.rglob("*.py")))
    documented = first_cells("### Reasons of drops") + first_cells("### Reasons of notices")
    assert [reason for reason in documented if f'"{reason}"' not in sources] == []
    assert counted(sources) - set(documented) == set()


def counted(sources: str) -> set[str]:
    """The reasons that the sources name where they count; those in variables are not found this way."""
    forms = (
        r'BadPoint\(\s*"(\w+)"',
        r'Rejection\(\w+, "(\w+)"',
        r'count\("(?:drop|notice)", "(\w+)"',
        r'dropped\["(\w+)"\]',
        r'dropped=\{"(\w+)"',
        r'\("((?:bad|no)_\w+)", "',
        r'drops\.labels\([\w.]+, "(\w+)"\)',
    )
    return {reason for form in forms for reason in re.findall(form, sources)}


def test_the_page_says_what_to_do_about_every_alert() -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    assert first_cells("## Alerts") == [rule["alert"] for group in groups for rule in group["rules"]]
