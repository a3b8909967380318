"""Replay: the same chains over files or a stretch of Kafka, in event time, without a broker of our own."""
