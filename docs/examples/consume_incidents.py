"""Print each transition of each incident once: python consume_incidents.py [bootstrap] [topic]

An event on calm.incidents is a CloudEvent in Kafka's binary mode: its attributes are headers (ce_type, ce_id ...), its
value is the incident as docs/schema/incident.json describes it. After a failure an event may come again. The rule that
makes this harmless: drop what is not above the last revision of its incident.
"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(bootstrap: str = "localhost:9092", topic: str = "calm.incidents") -> None:
    revisions: dict[str, int] = {}  # incident id → last revision; keep it beside your own state if you have one
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        async for event in consumer:
            incident = json.loads(event.value)
            if incident["revision"] <= revisions.get(incident["id"], 0):
                continue  # a repeat
            revisions[incident["id"]] = incident["revision"]
            print(
                incident["updated_time"],
                incident["transition"],
                incident["severity"],
                ascii(incident["title"]),  # texts come from outside: never print them raw to a terminal
                f"({incident['ended_count']} of {incident['member_count']} signals are calm again)",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
