"""Policies: what people decide about detection, as values that are checked when they are made."""

from pipeline.policies.detector import PART_NAMES, DetectorPolicy, PolicyError
from pipeline.policies.live import Change, Control, LivePolicies
from pipeline.policies.table import Policy, PolicyTable, Resolved

__all__ = [
    "PART_NAMES",
    "Change",
    "Control",
    "DetectorPolicy",
    "LivePolicies",
    "Policy",
    "PolicyError",
    "PolicyTable",
    "Resolved",
]
