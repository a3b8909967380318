"""Scoring: windows to scores to anomalies; the only place where a signal's name meets an array row."""
