"""Causes: where an incident starts, from what workloads show and who calls whom."""
