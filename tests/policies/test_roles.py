"""Roles that people give signals by conditions."""

from typing import Any

import pytest

from pipeline.flow.signal_roles import SignalRoles
from pipeline.policies import PolicyError
from pipeline.policies.roles import GivenRoles, meant_of
from pipeline.records import Kind, Signal
from pipeline.settings import Settings
from pipeline.settings.shown import shown


def signal(name: str, unit: str = "1", workload: str = "service:shop/checkout") -> Signal:
    return Signal(len(name), name, unit, Kind.GAUGE, "prod", workload, "", ())


def test_an_entry_is_one_condition_or_several_that_must_all_hold() -> None:
    roles = GivenRoles({"business": (meant_of("name=orders"), meant_of(["service.name=checkout", "name=~.*revenue"]))})
    assert roles.has("business", signal("orders", workload="host:a"))
    assert roles.has("business", signal("eu.revenue"))
    assert not roles.has("business", signal("eu.revenue", workload="service:cart"))
    assert not roles.has("users", signal("orders"))
    assert meant_of(["name=a", "unit!=s"]).written() == ["name=a", "unit!=s"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "match is []; write one condition, as name=shop.orders, or a list"),
        (3, "match is 3; write one condition"),
        ("orders", "match.0 is 'orders'; write name=value"),
        (["name=a", "name=~("], "match.1 is refused: '\\(' in name=~( is not a regular expression"),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(written: Any, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        meant_of(written)
    assert str(refused.value).startswith(said.replace("\\", ""))


def test_what_is_said_goes_before_what_names_tell() -> None:
    given = {"errors": (meant_of("name=declined"),), "other": (meant_of("name=errors.seen"),)}
    roles = SignalRoles(GivenRoles(given))
    assert roles.of(signal("declined")).golden == "errors"
    assert roles.of(signal("errors.seen")).golden == "other"
    assert roles.of(signal("errors")).golden == "errors"
    assert roles.of(Signal(9, "log.lines", "1", Kind.COUNT, "prod", "service:a", "", ())).golden == "other"


def test_the_configuration_gives_them_and_shows_them_as_they_were_written() -> None:
    settings = Settings(roles={"business": ["name=orders", ["unit=EUR/s", "name=~.*revenue"]]})  # type: ignore[arg-type]
    assert settings.roles.given().has("business", signal("orders"))
    written = shown(settings)["roles"]
    assert written["business"] == [["name=orders"], ["unit=EUR/s", "name=~.*revenue"]]
    assert Settings(roles=written).roles == settings.roles


def test_a_condition_that_cannot_be_is_refused_with_its_key() -> None:
    with pytest.raises(ValueError, match=r"roles\.business\.1"):
        Settings(roles={"business": ["name=a", "b"]})  # type: ignore[arg-type]
