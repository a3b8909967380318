"""Policies: what people decide about detection, as values that are checked when they are made."""

from pipeline.policies.detector import DetectorPolicy

__all__ = ["DetectorPolicy"]
