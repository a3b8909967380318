"""Codecs: bytes to records and back, one file per format.

Each input codec has ``table`` (a SeriesTable) and ``decode(messages) -> PointColumns``; the registry names them.
"""
