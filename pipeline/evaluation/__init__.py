"""Evaluation: what the detector that people get is worth on labelled data."""
