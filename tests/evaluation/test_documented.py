"""``docs/evaluation.md`` has every option, suite and figure, and nothing else."""

import typer

from pipeline.cli.root import app
from pipeline.evaluation.incident_suites import INCIDENT_SUITES
from pipeline.evaluation.reading import SUITES
from pipeline.evaluation.suites import evaluate
from pipeline.policies import DetectorPolicy
from tests.docs.pages import DOCS, rows, section, unquoted
from tests.evaluation.made import fleet, noise

PAGE = "evaluation.md"


def first_cells(text: str) -> list[str]:
    return [unquoted(row[0]) for row in rows(text)]


def test_every_option_is_on_the_page() -> None:
    command = typer.main.get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
    options = [option.opts[0] for option in command.params if option.opts[0].startswith("--")]
    top = (DOCS / PAGE).read_text().partition("\n## ")[0]
    assert sorted(first_cells(top)) == sorted(options)


def test_every_suite_is_on_the_page() -> None:
    assert sorted(first_cells(section(PAGE, "## Layouts"))) == sorted([*SUITES, *INCIDENT_SUITES])


def test_every_figure_is_on_the_page() -> None:
    figures = evaluate("smd", [fleet(noise(50))], DetectorPolicy(), with_peers=True)
    documented = set(first_cells(section(PAGE, "## The figures")))
    assert documented - {"peers", "variants"} == figures.keys() - {"peers"}
