"""Topology: what depends on what, learned from telemetry."""
