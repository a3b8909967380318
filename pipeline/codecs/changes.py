"""Changes on ``calm.changes``: CDEvents, GitHub deployments, Argo CD syncs, and our own JSON form (also for flags).

Guarantee: the same message gives the same changes; messages about one change give the same id, as far as the sender
lets us know. What cannot be used is refused, one change of several alone. A form is told by its members, whether it
comes in a CloudEvent or by itself.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.codecs import argocd_application, cdevents, cloud_events, github_deployment, own_forms
from pipeline.codecs.described import check_texts, object_at, text_at
from pipeline.codecs.happening_rows import HappeningRows
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, DecodedChanges, Message

_FLAG = "feature_flag.key"


class Changes:
    """Decodes the messages of ``calm.changes``; remembers nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def decode(self, messages: Sequence[Message]) -> DecodedChanges:
        """The changes of all messages."""
        rows: HappeningRows[Change] = HappeningRows()
        for number, message in enumerate(messages):
            try:
                for sent in cloud_events.read(message):
                    self._add(rows, number, sent)
            except BadPoint as error:
                rows.refuse(number, error)
        return DecodedChanges(rows.found, rows.rejections(), rows.counts())

    def _add(self, rows: HappeningRows[Change], number: int, sent: cloud_events.Sent) -> None:
        data = sent.data if isinstance(sent.data, dict) else {}
        if (
            github_deployment.is_deployment_status(data)
            and text_at(data, "deployment_status", "state") == github_deployment.SUPERSEDED
        ):
            rows.dropped["superseded"] += 1
            return
        try:
            changes = self._changes_of(sent, data)
            for change in changes:
                check_texts(self._limits, id=change.id)
            rows.found += [(number, change) for change in changes]
        except BadPoint as error:
            rows.refuse(number, error)

    def _changes_of(self, sent: cloud_events.Sent, data: dict[str, Any]) -> list[Change]:
        if cdevents.is_cdevent(data):
            return [cdevents.change_of(data, self._limits)]
        if github_deployment.is_deployment_status(data):
            return [github_deployment.change_of(data, self._limits)]
        if app := argocd_application.application_in(data):
            return argocd_application.changes_of(app, self._limits)
        if _FLAG in data:  # OpenTelemetry's names without an object around them
            dotted = {name: value for name, value in data.items() if "." in name}
            others = {name: value for name, value in data.items() if name not in dotted}
            data = others | {"attributes": dotted | object_at(data, "attributes")}
        if sent.envelope is not None:  # our own form in a CloudEvent, which may have its id and time
            given = {"id": sent.envelope.id or None, "ts": sent.envelope.time or None}
            data = {name: value for name, value in given.items() if value} | data
        return [own_forms.change_of(data, self._limits)]
