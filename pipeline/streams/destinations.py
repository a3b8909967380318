"""Destinations as the settings have them, and one message sent to one.

Guarantee: what is wrong with a template or a secret is said at the start, with the sink's name. Answers of a
destination are read up to a bound; redirects are not followed, for they would carry credentials elsewhere.
"""

import ssl
from types import TracebackType
from typing import Self

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.settings import ConfigurationError, SinkSettings
from pipeline.sinks import pagerduty, slack, wording
from pipeline.sinks.alertmanager import Alertmanager
from pipeline.sinks.alertmanager_webhook import AlertmanagerWebhook
from pipeline.sinks.cdevents import CDEvents
from pipeline.sinks.pagerduty import PagerDuty
from pipeline.sinks.protocol import Answer, Destination, Message, Publication, TryAgain
from pipeline.sinks.slack import Slack
from pipeline.sinks.webhook import Webhook
from pipeline.sinks.wording import Wording

_MOST_ANSWER_BYTES = 64 * 1024


def destination(sink: SinkSettings) -> Destination:
    """Raises ConfigurationError."""
    secrets = sink.read_secrets()
    secret = secrets[0] if secrets else ""
    try:
        words = Wording(sink.title or wording.TITLE, sink.body or wording.BODY)
        match sink.type:
            case "alertmanager":
                return Alertmanager(sink.url, words, secret, sink.renew_seconds or 300.0)
            case "alertmanager_webhook":
                return AlertmanagerWebhook(sink.url, sink.name, words, secret)
            case "pagerduty":
                return PagerDuty(secret, sink.url or pagerduty.URL, words)
            case "slack" if sink.channel:
                return Slack(sink.url or slack.URL, sink.channel, secret, words)
            case "slack":  # the address of an incoming webhook is the secret
                return Slack(secret, wording=words)
            case "webhook":
                return Webhook(sink.url, secrets, words)
            case "cdevents":
                return CDEvents(sink.topic, words)
    except ValueError as error:
        raise ConfigurationError(f"sinks.{sink.name}: {error}") from None


class Sender:
    """Sends messages of one sink: over one HTTP session, or by a producer."""

    def __init__(self, sink: SinkSettings, producer: AIOKafkaProducer | None) -> None:
        self._sink = sink
        self._producer = producer
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        try:
            tls = ssl.create_default_context(cafile=self._sink.tls_ca_file or None)
        except OSError as error:
            where, path = f"sinks.{self._sink.name}.tls_ca_file", self._sink.tls_ca_file
            raise ConfigurationError(f"{where}: {path} cannot be used: {error.strerror or error}") from None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=2),
            timeout=aiohttp.ClientTimeout(total=self._sink.timeout_seconds),
            trust_env=self._sink.environment_proxies,
            headers={"User-Agent": "calmstream"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, message: Message) -> Answer | TryAgain:
        """The answer; TryAgain where there is none."""
        if isinstance(message, Publication):
            return await self._publish(message)
        try:
            async with self._session.request(
                message.method, message.url, headers=dict(message.headers), data=message.body, allow_redirects=False
            ) as answer:
                body = await answer.content.read(_MOST_ANSWER_BYTES)
                return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
        except TimeoutError:
            return TryAgain(f"no answer within {self._sink.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return TryAgain(f"cannot be reached: {type(error).__name__}")

    async def _publish(self, record: Publication) -> Answer | TryAgain:
        assert self._producer is not None
        try:
            await self._producer.send_and_wait(record.topic, record.value, record.key, headers=list(record.headers))
        except KafkaError as error:
            return TryAgain(f"topic {record.topic}: {error!r}")
        return Answer(200, {}, b"")
