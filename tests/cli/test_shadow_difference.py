"""How incidents in the shadow are compared with live ones."""

from typing import Any

from pipeline.cli.shadow_difference import difference, not_in_shadow


def body(onset: str, **changes: Any) -> dict[str, Any]:
    told = {"id": "inc-1", "state": "open", "severity": "low", "onset_time": onset, "member_count": 2}
    return told | {"resolved_time": None} | changes


def test_what_is_the_same_and_what_differs_is_said() -> None:
    tried = body("2026-01-01T10:00:00Z")
    assert difference(tried, body("2026-01-01T10:00:00Z", shadow=False)) == "the same"
    assert difference(tried, None) == "only in the shadow"
    live = body("2026-01-01T10:00:00Z", severity="critical", member_count=7, state="acknowledged")
    assert difference(tried, live) == "there acknowledged, critical, signals 7"


def test_what_is_live_only_is_told_from_the_first_one_in_the_shadow_on() -> None:
    live = {name: body(f"2026-01-0{day}T10:00:00Z", id=name) for day, name in enumerate("abcd", start=1)}
    tried = {"b": body("2026-01-02T10:00:00Z", id="b")}
    assert [each["id"] for each in not_in_shadow(live, tried)] == ["c", "d"]
    assert [each["id"] for each in not_in_shadow(live, {})] == ["a", "b", "c", "d"]
