"""Demo: a small real system to watch."""
