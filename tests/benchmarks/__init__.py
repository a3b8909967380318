"""Benchmarks: figures about speed, latency, restore and checkpoints, each measured on Apache Kafka."""
