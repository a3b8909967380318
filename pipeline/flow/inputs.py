"""The ingest chain of an input partition, by the format of its messages."""

from pipeline.codecs.registry import (
    HAPPENING_CODECS,
    LINE_CODECS,
    SPAN_CODECS,
    happening_codec,
    input_codec,
    line_codec,
    span_codec,
)
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.flow.ingest_happenings import HappeningIngestChain
from pipeline.flow.ingest_lines import LineIngestChain
from pipeline.flow.ingest_spans import SpanIngestChain


def ingest_chain(format_name: str, source: str, config: FlowConfig) -> Chain:
    """A new chain; ``source`` is ``topic/partition``."""
    if format_name in LINE_CODECS:
        return LineIngestChain(source, line_codec(format_name, config.limits), config)
    if format_name in SPAN_CODECS:
        return SpanIngestChain(source, span_codec(format_name, config.limits), config)
    if format_name in HAPPENING_CODECS:
        return HappeningIngestChain(source, happening_codec(format_name, config.limits).decode, config)
    return IngestChain(source, input_codec(format_name, config.limits), config)
