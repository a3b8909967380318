"""What is announced on calm.changes, as our codec reads it."""

import pytest

from pipeline.codecs.changes import Changes
from pipeline.codecs.series_table import Limits
from pipeline.demo.shop.announcement import Predicate, announcement
from pipeline.demo.shop.town import BAD
from pipeline.records import US, ChangeKind
from tests.codecs.otlp_sent import Sent


@pytest.mark.parametrize(("predicate", "kind"), [("deployed", "deployment"), ("rolledback", "rollback")])
def test_a_deployment_is_read_as_a_change_of_the_service(predicate: Predicate, kind: ChangeKind) -> None:
    key, value, headers = announcement(BAD, predicate, 1_700_000_000.25)
    read = Changes(Limits()).decode([Sent(value, key, headers=headers)])
    ((_, change),) = read.changes
    assert (read.rejections, read.dropped) == ([], {})
    assert (change.kind, change.phase, change.version) == (kind, "finished", "1.5.0")
    assert change.effective_us == 1_700_000_000 * US + 250_000
    entity = dict(change.entity)
    assert (entity["service.name"], entity["deployment.environment.name"]) == ("payment", "demo")


def test_a_repeat_has_the_same_id() -> None:
    assert announcement(BAD, "deployed", 1.0) == announcement(BAD, "deployed", 1.0)
