"""Demos: a small shop with a bad deployment, and this very machine with two disturbances, watched through Kafka."""
