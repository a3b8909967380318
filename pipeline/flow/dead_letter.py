"""What cannot be used goes whole to the dead-letter topic, with where it stood and why in its headers."""

from pipeline.records import Message, Produced

_DETAIL_CHARACTERS = 1000


def dead_letter(message: Message, topic: str, partition: str, reason: str, detail: str) -> Produced:
    """The record for ``calm.dead-letter``: value, key and headers as they came, and ``calm_topic``, ``calm_partition``,
    ``calm_offset``, ``calm_reason``, ``calm_detail``."""
    where = (("calm_topic", topic), ("calm_partition", partition), ("calm_offset", str(message.offset)))
    why = (("calm_reason", reason), ("calm_detail", detail[:_DETAIL_CHARACTERS]))
    ours = tuple((name, text.encode("utf-8", "replace")) for name, text in (*where, *why))
    return Produced("dead-letter", message.value, message.key, headers=(*message.headers, *ours))
