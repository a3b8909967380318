"""``python -m pipeline.cli``: the same as the command ``calmstream``."""

from pipeline.cli import main

main()
