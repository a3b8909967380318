"""Faults in a simulated shop, one after another, and what a worker tells of them."""
