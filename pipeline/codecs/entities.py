"""Entities as plain lists, as blocks and checkpoints keep them."""

from collections.abc import Sequence
from typing import Any

from pipeline.records import Entity

#: The types of the parts of an entity.
Parts = tuple[str, str, str, str, list[str]]


def describe(entity: Entity) -> list[Any]:
    """The parts of an entity."""
    places = [part for pair in entity.places for part in pair]
    return [entity.scope, entity.workload, entity.instance, entity.version, places]


def entity_of(parts: Sequence[Any]) -> Entity:
    """The inverse of ``describe``; raises ValueError or TypeError on anything else."""
    scope, workload, instance, version, flat = parts
    return Entity(scope, workload, instance, version, tuple(zip(flat[::2], flat[1::2], strict=True)))
