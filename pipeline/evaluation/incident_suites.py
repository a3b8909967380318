"""Suites that judge incidents and their causes, not single anomalies: each takes a folder and gives its figures.

Guarantee: figures are plain values, ready for JSON, under the key ``suite`` and others that docs/evaluation.md names.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation import alerts, petshop, trainticket

INCIDENT_SUITES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "petshop": petshop.evaluate,
    "alerts": alerts.evaluate,
    "trainticket": trainticket.evaluate,
}
