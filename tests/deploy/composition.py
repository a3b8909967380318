"""``docker-compose.yml`` as values: services, their images, ports, mounts and environment."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"

#: Services that run our own image.
OURS = ("topics", "worker")


def composition() -> dict[str, Any]:
    """The whole file."""
    return dict(yaml.safe_load(COMPOSE.read_text()))


def services() -> dict[str, dict[str, Any]]:
    return dict(composition()["services"])


def environment(service: str) -> dict[str, str]:
    """The environment of a service, exactly as its container gets it."""
    return dict(services()[service].get("environment", {}))


def mounts(service: str) -> list[tuple[str, str, str]]:
    """(source, target, mode) of every mount; mode is "" where none is given."""
    entries = (entry.split(":") for entry in services()[service].get("volumes", []))
    return [(source, target, mode[0] if mode else "") for source, target, *mode in entries]


def published(service: str) -> list[tuple[str, int, int]]:
    """(address, port outside, port inside) of every published port."""
    entries = (entry.split(":") for entry in services()[service].get("ports", []))
    return [(address, int(outside), int(inside)) for address, outside, inside in entries]
