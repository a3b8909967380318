"""Numbers of what stages wrote: a reader takes each once, so a stage that begins anew must not count from 0 again.

Guarantee: a record that says nothing of a source and its number is passed over.
"""

from pipeline.codecs import anomaly_event, columns, happening_event, signal_block, vitals_event
from pipeline.records import Message


def written(topic: str, message: Message) -> tuple[str, int] | None:
    """Who wrote a record of ``signals`` or ``anomalies`` (short name), and which number comes next."""
    try:
        if topic == "signals":
            block = signal_block.decode(message.value or b"")
            return block.source, block.end
        if happening_event.is_happening(message.headers):
            happened = happening_event.decode(message)
            return happened.source, happened.end
        if vitals_event.is_vitals(message.headers):
            shown = vitals_event.decode(message)
            return shown.source, shown.end
        arrival = anomaly_event.decode(message)
        return arrival.source, arrival.end
    except (columns.DamagedFrame, happening_event.BadHappening, vitals_event.BadVitals, anomaly_event.BadEvent):
        return None
