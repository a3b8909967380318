"""Streams: everything that touches Kafka or Faust, and nothing that decides anything about a signal."""
