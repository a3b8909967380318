"""``docs/operations.md`` has every endpoint, exit code, reason and alert, and nothing else."""

import re
from typing import get_args

import yaml

from pipeline.settings import Role, Settings
from pipeline.streams.endpoints.pages import PATHS
from pipeline.streams.exits import Exit
from pipeline.streams.logs import FIELDS
from pipeline.streams.topic_table import OUTPUTS
from pipeline.telemetry import HTTP_REASONS, Telemetry
from tests.docs.metrics import described
from tests.docs.pages import DOCS, rows, section, unquoted

PAGE = "operations.md"
PIPELINE = DOCS.parent / "pipeline"
ALERTS = DOCS.parent / "deploy/prometheus/alerts.yaml"


def first_cells(heading: str) -> list[str]:
    return [unquoted(row[0]) for row in rows(section(PAGE, heading))]


def test_every_endpoint_is_on_the_page() -> None:
    table = section(PAGE, "## Endpoints").partition("### ")[0]
    assert [unquoted(row[0]) for row in rows(table)] == list(PATHS)


def test_every_reason_of_a_refused_request_is_on_the_page() -> None:
    assert first_cells("### Who may read them, and limits") == list(HTTP_REASONS)


def test_every_key_of_a_log_line_is_on_the_page() -> None:
    keys = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows(section(PAGE, "## Logs"))))
    assert keys == ["time", "level", "logger", "message", *FIELDS, "exception"]


def test_every_exit_code_is_on_the_page() -> None:
    assert first_cells("## Exit codes of `calmstream worker`") == [str(int(code)) for code in sorted(Exit)]


def test_every_role_and_every_topic_that_we_write_is_on_the_page() -> None:
    cells = first_cells("## Roles and topics")
    assert cells == [*get_args(Role), *(Settings().topic(row.name) for row in OUTPUTS)]


def test_a_metric_that_the_page_names_is_one() -> None:
    samples = {sample for metric in described(Telemetry()) for sample in metric.samples}
    named = set(re.findall(r"(?<!-)calmstream_[a-z_]*[a-z]", (DOCS / PAGE).read_text()))
    assert named <= samples


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
        r'drops\.labels\((?:[\w.]+|"\w+"), "(\w+)"\)',
    )
    return {reason for form in forms for reason in re.findall(form, sources)}


def test_the_page_says_what_to_do_about_every_alert() -> None:
    given = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    table = [(unquoted(alert), severity) for alert, severity, _ in rows(section(PAGE, "## Alerts"))]
    assert table == [(rule["alert"], rule["labels"]["severity"]) for rule in given]
