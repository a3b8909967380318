"""The command ``calmstream``: one file per verb."""

from pipeline.cli.root import main

__all__ = ["main"]
