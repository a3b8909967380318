"""Signals: telemetry to signals: who emits a series, and raw values to rates and distributions."""
