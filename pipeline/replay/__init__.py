"""Replay: the same chains over files or a stretch of Kafka."""
