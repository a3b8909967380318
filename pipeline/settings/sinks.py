"""Where incidents are delivered: one entry of ``sinks`` a destination.

Guarantee: what a destination needs and has not, or has and does not use, is refused with its name. Secrets stand in
files only, which are named here.
"""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from pipeline.policies.matcher import Matcher, parse
from pipeline.settings.connections import read_secret_file
from pipeline.settings.sections import Section

SinkType = Literal["alertmanager", "alertmanager_webhook", "pagerduty", "slack", "webhook", "cdevents"]


def _matcher(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    found = parse(given)
    if not isinstance(found, Matcher):
        raise ValueError(f"{given!r} is not a condition; use name=value, name!=value or name=~regex")
    return found


#: By type: what it needs, and what it may have beside.
_NEEDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "alertmanager": (frozenset({"url"}), frozenset({"secret_files", "renew_seconds"})),
    "alertmanager_webhook": (frozenset({"url"}), frozenset({"secret_files"})),
    "pagerduty": (frozenset({"secret_files"}), frozenset({"url"})),
    "slack": (frozenset({"secret_files"}), frozenset({"channel", "url"})),
    "webhook": (frozenset({"url", "secret_files"}), frozenset()),
    "cdevents": (frozenset({"topic"}), frozenset()),
}
_OF_SOME = ("url", "secret_files", "channel", "topic", "renew_seconds")


class SinkSettings(Section):
    """One destination."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    type: SinkType
    url: str = ""
    secret_files: tuple[str, ...] = ()
    channel: str = ""
    topic: str = ""
    severity: Literal["warning", "error", "critical"] = "warning"
    matchers: tuple[Annotated[InstanceOf[Matcher], BeforeValidator(_matcher)], ...] = ()
    title: str = ""
    body: str = ""
    rate_per_minute: float = Field(60.0, gt=0)
    burst: int = Field(30, ge=1)
    summary_after_seconds: float = Field(900.0, gt=0)
    renew_seconds: float | None = Field(None, ge=10)
    timeout_seconds: float = Field(10.0, gt=0, le=60)
    tls_ca_file: str = ""
    environment_proxies: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        needed, allowed = _NEEDS[self.type]
        given = {name for name in _OF_SOME if getattr(self, name)}
        if missing := sorted(needed - given):
            raise ValueError(f"a sink of type {self.type} needs {', '.join(missing)}")
        if unused := sorted(given - needed - allowed):
            raise ValueError(f"{', '.join(unused)}: a sink of type {self.type} has no use for it; take it out")
        if len(self.secret_files) > (2 if self.type == "webhook" else 1):
            raise ValueError("secret_files: only a webhook may have two, the newer one first; others have one")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("url: give a whole address, https://host/path")
            if parts.username or parts.password:
                raise ValueError("url: no credentials stand in an address; name a file in secret_files")
        return self

    def read_secrets(self) -> tuple[str, ...]:
        """As they are now. Raises ConfigurationError."""
        return tuple(read_secret_file(path, f"sinks.{self.name}.secret_files") for path in self.secret_files)
