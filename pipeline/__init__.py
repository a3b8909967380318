"""Calmstream."""
