"""Changes on calm.changes: every form as its sender publishes it, and hostile input."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import package_url
from pipeline.codecs.changes import Changes
from pipeline.codecs.series_table import Limits
from pipeline.records import Change, DecodedChanges, iso
from tests.codecs.otlp_sent import Sent

T = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
AT = "2026-01-31T12:00:00Z"
Headers = tuple[tuple[str, bytes], ...]


def decode(value: Any, headers: Headers = ()) -> DecodedChanges:
    """What a message holds; one after it is always good."""
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    found = Changes(Limits()).decode([Sent(raw, headers=headers), Sent(json.dumps(OWN).encode())])
    assert found.changes[-1][0] == 1
    found.changes.pop()
    return found


def one(value: Any, headers: Headers = ()) -> Change:
    found = decode(value, headers)
    assert (found.rejections, found.dropped) == ([], {})
    ((message, change),) = found.changes
    assert message == 0
    return change


def refused(value: Any, headers: Headers = ()) -> str:
    found = decode(value, headers)
    assert found.changes == []
    (rejection,) = found.rejections
    assert (rejection.message, rejection.whole) == (0, True)
    return f"{rejection.reason}: {rejection.detail}"


# Our own form

OWN: dict[str, Any] = {
    "ts": AT,
    "kind": "scaling",
    "phase": "finished",
    "id": "scale-17",
    "entity": {"k8s.deployment.name": "cart", "k8s.namespace.name": "shop"},
    "source": "autoscaler",
    "version": "5",
    "before": "3",
    "title": "cart from 3 to 5",
    "url": "https://example.org/17",
    "author": "hpa",
    "chain": "c-1",
    "attributes": {"reason": "cpu"},
}


def test_our_own_form_is_read() -> None:
    assert one(OWN) == Change(
        id="scale-17",
        effective_us=T,
        kind="scaling",
        phase="finished",
        entity=(("k8s.deployment.name", "cart"), ("k8s.namespace.name", "shop")),
        source="autoscaler",
        version="5",
        before="3",
        title="cart from 3 to 5",
        url="https://example.org/17",
        author="hpa",
        chain="c-1",
        attributes=(("reason", "cpu"),),
    )


def test_the_least_is_a_time_and_a_kind() -> None:
    change = one({"ts": 1, "kind": "config"})
    assert (change.effective_us, change.kind, change.phase, change.entity) == (10**6, "config", "finished", ())
    assert (change.source, len(change.id)) == ("json", 24)


def test_a_flag_by_opentelemetrys_names_is_a_flag() -> None:
    attributes = {"feature_flag.key": "new-cart", "feature_flag.result.variant": "on", "service.name": "cart"}
    change = one({"ts": AT, "before": "off", "attributes": attributes})
    assert (change.kind, change.version, change.before, change.source) == ("flag", "on", "off", "opentelemetry")
    assert change.entity == (("service.name", "cart"),)
    assert dict(change.attributes)["feature_flag.key"] == "new-cart"
    older = {"feature_flag.key": "new-cart", "feature_flag.variant": "on"}
    assert one({"ts": AT, "attributes": older}).version == "on"


def test_the_names_of_a_flag_may_stand_by_themselves() -> None:
    found = {"feature_flag.key": "new-cart", "feature_flag.result.variant": "on", "service.name": "cart"}
    headers = (("ce_id", b"17"), ("ce_type", b"com.example.flag"), ("ce_source", b"/flags"), ("ce_time", AT.encode()))
    for change in (one(found, headers), one(found | {"ts": AT, "id": "17"})):
        assert (change.id, change.kind, change.version, change.effective_us) == ("17", "flag", "on", T)
        assert change.entity == (("service.name", "cart"),)


def test_our_own_form_in_a_cloud_event_may_leave_out_id_and_time() -> None:
    headers = (("ce_id", b"17"), ("ce_type", b"dev.calmstream.change"), ("ce_source", b"/ci"), ("ce_time", AT.encode()))
    change = one({"kind": "config", "entity": {"service.name": "cart"}}, headers)
    assert (change.id, change.effective_us) == ("17", T)
    structured = {
        "specversion": "1.0",
        "id": "17",
        "type": "x",
        "source": "/ci",
        "time": AT,
        "data": {"kind": "config"},
    }
    assert one(structured).id == "17"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "empty: "),
        (b"x", "undecodable: "),
        ([3], "undecodable: "),
        ({}, "bad_change: not a change: Object missing required field `ts`"),
        ({"ts": 1}, "bad_change: kind is ''; use one of deployment, rollback, removal, flag,"),
        (OWN | {"kind": "party"}, "bad_change: kind is 'party'"),
        (OWN | {"phase": "soon"}, "bad_change: phase is 'soon'; use one of planned, started, finished, failed"),
        (OWN | {"ts": "soon"}, "bad_time: "),
        (OWN | {"version": 5}, "bad_change: not a change: Expected `str | null`, got `int` - at `$.version`"),
        (OWN | {"entity": {"a": [1]}}, "bad_attributes: "),
        (OWN | {"title": "x" * 1025}, "huge_attribute: "),
        ({"specversion": "1.0", "id": "1", "type": "com.example.x", "source": "/", "time": AT}, "bad_change: "),
    ],
)
def test_what_is_no_change_is_refused_and_said_why(value: Any, said: str) -> None:
    assert refused(value).startswith(said)


def test_several_in_a_message_are_several_and_a_bad_one_is_refused_alone() -> None:
    found = decode([OWN, OWN | {"kind": "party"}, OWN | {"id": "2"}])
    assert [change.id for _, change in found.changes] == ["scale-17", "2"]
    assert [(one.reason, one.whole) for one in found.rejections] == [("bad_change", False)]


# CDEvents, after their schemas


def cdevent(type_: str, subject: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A CDEvent of v0.5."""
    context = {
        "specversion": "0.5.0",
        "id": "271069a8-fc18-44f1-b38f-9d70a1695819",
        "chainId": "4c8cb7dd-3448-41de-8768-eec704e2829b",
        "source": "/event/source/123",
        "type": f"dev.cdevents.{type_}.0.3.0",
        "timestamp": AT,
    }
    return {"context": context, "subject": {"id": "mySubject123", **subject}, **others}


def older(event: dict[str, Any], subject_type: str) -> dict[str, Any]:
    """The same as v0.4 has it."""
    context = {name: value for name, value in event["context"].items() if name != "specversion"}
    return event | {"context": context | {"version": "0.4.1"}, "subject": event["subject"] | {"type": subject_type}}


ARTIFACT = "pkg:oci/cart@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"
DEPLOYED = cdevent(
    "service.deployed",
    {
        "id": "/dev/production/cart",
        "source": "/event/source/123",
        "content": {"environment": {"id": "production"}, "artifactId": f"{ARTIFACT}?tag=1.2.3&repository_url=a.b/cart"},
    },
)


def test_a_deployed_service_is_a_deployment() -> None:
    expected = Change(
        id="/event/source/123/271069a8-fc18-44f1-b38f-9d70a1695819",
        effective_us=T,
        kind="deployment",
        phase="finished",
        entity=(("deployment.environment.name", "production"), ("service.name", "cart")),
        source="cdevents",
        version="1.2.3",
        title="service cart deployed 1.2.3",
        chain="4c8cb7dd-3448-41de-8768-eec704e2829b",
        attributes=(
            ("artifact.id", f"{ARTIFACT}?tag=1.2.3&repository_url=a.b/cart"),
            ("cdevents.source", "/event/source/123"),
            ("cdevents.type", "dev.cdevents.service.deployed.0.3.0"),
        ),
    )
    assert one(DEPLOYED) == one(older(DEPLOYED, "service")) == expected


def test_both_modes_of_cloud_events_carry_it() -> None:
    given = {
        "specversion": "1.0",
        "id": DEPLOYED["context"]["id"],
        "source": DEPLOYED["context"]["source"],
        "type": DEPLOYED["context"]["type"],
        "subject": "/dev/production/cart",
        "time": AT,
    }
    headers = tuple((f"ce_{name}", value.encode()) for name, value in given.items())
    assert one(DEPLOYED, (*headers, ("content-type", b"application/cdevents+json"))) == one(DEPLOYED)
    structured = given | {"datacontenttype": "application/cdevents+json", "data": DEPLOYED}
    assert one(structured, (("content-type", b"application/cloudevents+json"),)) == one(DEPLOYED)


@pytest.mark.parametrize(
    ("type_", "content", "kind", "phase"),
    [
        ("service.deployed", {}, "deployment", "finished"),
        ("service.upgraded", {}, "deployment", "finished"),
        ("service.rolledback", {}, "rollback", "finished"),
        ("service.removed", {}, "removal", "finished"),
        ("service.published", {}, "other", "finished"),
        ("environment.modified", {"name": "testEnv"}, "config", "finished"),
        ("change.created", {}, "code", "planned"),
        ("change.merged", {"repository": {"id": "TestRepo/TestOrg"}}, "code", "finished"),
        ("change.abandoned", {}, "code", "failed"),
        ("build.started", {}, "other", "started"),
        ("pipelinerun.queued", {}, "other", "planned"),
        ("pipelinerun.finished", {"outcome": "failure"}, "other", "failed"),
        ("pipelinerun.finished", {"outcome": "success"}, "other", "finished"),
        ("testsuiterun.finished", {"outcome": "pass"}, "other", "finished"),
        ("incident.detected", {}, "other", "finished"),
        ("deployment.started", {}, "deployment", "started"),
        ("deployment.finished", {"outcome": "error"}, "deployment", "failed"),
    ],
)
def test_kind_and_phase_follow_from_the_type(type_: str, content: dict[str, Any], kind: str, phase: str) -> None:
    change = one(cdevent(type_, {"content": content}))
    assert (change.kind, change.phase) == (kind, phase)
    assert ("cdevents.type", f"dev.cdevents.{type_}.0.3.0") in change.attributes


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("rollouts-canary", "canary"),
        ("unleash-featureflag", "flag"),
        ("mytool-resource", "other"),
        ("keda-scaling", "scaling"),
        ("ab-experiment", "experiment"),
    ],
)
def test_subjects_of_other_tools_are_told_by_their_words(subject: str, kind: str) -> None:
    event = cdevent("x.y", {"content": {"user": "mybot"}})
    event["context"]["type"] = f"dev.cdeventsx.{subject}.created.0.1.0"
    change = one(event)
    assert (change.kind, change.author) == (kind, "mybot")


@pytest.mark.parametrize(
    ("id_", "name", "value"),
    [
        ("cart", "service.name", "cart"),
        ("/dev/production/cart", "service.name", "cart"),
        ("service/cart", "service.name", "cart"),
        ("daemonset/agent", "k8s.daemonset.name", "agent"),
        ("/apis/apps/v1/namespaces/shop/deployment/cart", "k8s.deployment.name", "cart"),
        ("pkg:oci/team/cart@1", "service.name", "cart"),
    ],
)
def test_the_service_is_the_last_part_of_the_subjects_id(id_: str, name: str, value: str) -> None:
    assert dict(one(cdevent("service.deployed", {"id": id_, "content": {}})).entity) == {name: value}


def test_custom_data_with_opentelemetrys_names_says_more_about_the_entity() -> None:
    custom = {"service.namespace": "shop", "service.name": "shop-cart", "ticket": 7, "deep": {"a": 1}}
    change = one(DEPLOYED | {"customData": custom})
    assert dict(change.entity) == {
        "deployment.environment.name": "production",
        "service.name": "shop-cart",
        "service.namespace": "shop",
    }
    assert ("ticket", "7") in change.attributes
    assert ("deep", '{"a":1}') in change.attributes


def test_the_messages_about_one_run_have_one_id() -> None:
    names = ("pipelinerun.queued", "pipelinerun.started", "pipelinerun.finished")
    events = [cdevent(name, {"id": "run-17", "content": {"pipelineName": "ship"}}) for name in names]
    for number, event in enumerate(events):
        event["context"]["id"] = str(number)
    assert {one(event).id for event in events} == {"/event/source/123/pipelinerun/run-17"}


def test_an_environment_is_the_entity_of_its_changes() -> None:
    change = one(
        cdevent("environment.modified", {"content": {"name": "testEnv", "url": "https://example.org/testEnv"}})
    )
    assert change.entity == (("deployment.environment.name", "testEnv"),)
    assert change.url == "https://example.org/testEnv"


@pytest.mark.parametrize("change", [{"id": ""}, {"type": "dev.cdevents.service"}, {"type": "dev.cdevents.x.y z"}])
def test_a_cdevent_without_what_it_must_have_is_refused(change: dict[str, Any]) -> None:
    assert refused(DEPLOYED | {"context": DEPLOYED["context"] | change}).startswith("bad_change: not a CDEvent")
    assert refused(DEPLOYED | {"context": DEPLOYED["context"] | {"timestamp": "soon"}}).startswith("bad_time: context.")


@pytest.mark.parametrize(
    ("text", "package"),
    [
        (f"{ARTIFACT}?tag=1.2.3", ("cart", "1.2.3")),
        (ARTIFACT, ("cart", "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427")),
        ("pkg:golang/example.com/team/cart@v1.2.0#sub", ("cart", "v1.2.0")),
        ("pkg:npm/%40team/cart@1.0.0", ("cart", "1.0.0")),
        ("pkg:oci/cart", ("cart", "")),
        ("cart:1.2", ("cart:1.2", "")),
        ("", ("", "")),
        ("pkg:", ("", "")),
    ],
)
def test_a_package_url_says_name_and_version(text: str, package: tuple[str, str]) -> None:
    assert package_url.read(text) == package


@given(st.text())
def test_any_text_has_an_answer_as_a_package_url(text: str) -> None:
    package_url.read(text)
    package_url.read(f"pkg:{text}")


# GitHub's webhook, after its documentation

STATUS: dict[str, Any] = {
    "action": "created",
    "deployment_status": {
        "id": 2,
        "state": "success",
        "creator": {"login": "octocat"},
        "description": "",
        "environment": "production",
        "target_url": "https://example.org/deploy/17",
        "log_url": "",
        "created_at": "2026-01-31T11:59:00Z",
        "updated_at": AT,
    },
    "deployment": {
        "id": 145988746,
        "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
        "ref": "main",
        "task": "deploy",
        "payload": {},
        "environment": "production",
        "description": "ship it",
        "creator": {"login": "octocat"},
    },
    "repository": {"name": "cart", "full_name": "shop/cart"},
    "sender": {"login": "octocat"},
}


def status(state: str = "success", **deployment: Any) -> dict[str, Any]:
    return STATUS | {
        "deployment_status": STATUS["deployment_status"] | {"state": state},
        "deployment": STATUS["deployment"] | deployment,
    }


def test_a_deployment_status_is_a_deployment_of_the_repository() -> None:
    assert one(STATUS) == Change(
        id="github/shop/cart/145988746",
        effective_us=T,
        kind="deployment",
        phase="finished",
        entity=(("deployment.environment.name", "production"), ("service.name", "cart")),
        source="github",
        version="f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
        title="ship it",
        url="https://example.org/deploy/17",
        author="octocat",
        chain="f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
        attributes=(
            ("github.deployment.state", "success"),
            ("github.deployment.task", "deploy"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"),
            ("vcs.repository.name", "shop/cart"),
        ),
    )


def test_all_statuses_of_a_deployment_have_one_id_and_the_phase_of_each() -> None:
    states = ("queued", "pending", "in_progress", "success", "failure", "error")
    changes = [one(status(state)) for state in states]
    assert len({change.id for change in changes}) == 1
    assert [change.phase for change in changes] == ["planned", "planned", "started", "finished", "failed", "failed"]


def test_a_deployment_that_was_superseded_is_counted_and_nothing_else() -> None:
    found = decode(status("inactive"))
    assert (found.changes, found.rejections, found.dropped) == ([], [], {"superseded": 1})
    assert refused(status("exploded")).startswith("bad_change: deployment_status.state is 'exploded'")


def test_the_version_is_that_of_the_payload_else_the_ref_if_it_reads_like_one() -> None:
    assert one(status(payload={"version": "7", "service.name": "shop-cart"})).version == "7"
    assert dict(one(status(payload='{"service.name": "shop-cart"}')).entity)["service.name"] == "shop-cart"
    assert one(status(payload="{")).version == STATUS["deployment"]["sha"]
    assert [one(status(ref=ref)).version for ref in ("v1.2.3", "refs/tags/cart-1.2.3", "1.2.3-rc.1")] == [
        "v1.2.3",
        "cart-1.2.3",
        "1.2.3-rc.1",
    ]
    assert one(status(ref="feature/17")).version == STATUS["deployment"]["sha"]


def test_the_task_tells_a_rollback_and_a_canary() -> None:
    assert [one(status(task=task)).kind for task in ("deploy:rollback", "deploy:canary")] == ["rollback", "canary"]


# Argo CD's Application, after its API


def synced(kind: str, name: str, message: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "namespace": "shop", "message": message}


APPLICATION: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "shop", "namespace": "argocd", "labels": {"env": "production"}},
    "spec": {
        "project": "default",
        "source": {"repoURL": "https://example.org/deploy.git", "path": "shop", "targetRevision": "HEAD"},
        "destination": {"name": "east", "namespace": "shop"},
    },
    "status": {
        "health": {"status": "Healthy"},
        "history": [
            {"id": 0, "revision": "aaa", "deployedAt": "2026-01-29T12:00:00Z"},
            {"id": 1, "revision": "bbb", "deployedAt": "2026-01-30T12:00:00Z"},
            {"id": 2, "revision": "ccc", "deployedAt": AT},
        ],
        "operationState": {
            "phase": "Succeeded",
            "message": "successfully synced (all tasks run)",
            "startedAt": "2026-01-31T11:59:00Z",
            "finishedAt": AT,
            "operation": {"initiatedBy": {"username": "admin"}, "sync": {"revision": "ccc"}},
            "syncResult": {
                "revision": "ccc",
                "resources": [
                    synced("Deployment", "cart", "deployment.apps/cart configured"),
                    synced("Deployment", "pay", "deployment.apps/pay unchanged"),
                    synced("StatefulSet", "db", "statefulset.apps/db configured"),
                    synced("Service", "cart", "service/cart configured"),
                ],
            },
        },
        "summary": {"images": ["registry.example:5000/shop/cart:1.2.3", "registry.example:5000/shop/pay:7"]},
        "sync": {"status": "Synced", "revision": "ccc"},
    },
}  # fmt: skip


def application(**state: Any) -> dict[str, Any]:
    """The same in another state."""
    changed = json.loads(json.dumps(APPLICATION))
    changed["status"]["operationState"] |= state
    return changed


def test_a_sync_is_a_deployment_of_each_workload_that_it_changed() -> None:
    found = decode({"app": APPLICATION})
    assert found.rejections == []
    cart, db = (change for _, change in found.changes)
    assert cart == Change(
        id="argocd/argocd/shop/2026-01-31T11:59:00Z/cart",
        effective_us=T,
        kind="deployment",
        phase="finished",
        entity=(
            ("deployment.environment.name", "production"),
            ("k8s.cluster.name", "east"),
            ("k8s.deployment.name", "cart"),
            ("k8s.namespace.name", "shop"),
        ),
        source="argocd",
        version="1.2.3",
        title="sync of shop to ccc",
        url="https://example.org/deploy.git",
        author="admin",
        chain="argocd/argocd/shop/2026-01-31T11:59:00Z",
        attributes=(
            ("argocd.application", "shop"),
            ("argocd.health", "Healthy"),
            ("argocd.message", "successfully synced (all tasks run)"),
            ("argocd.project", "default"),
            ("vcs.ref.base.revision", "bbb"),
            ("vcs.ref.head.revision", "ccc"),
        ),
    )
    assert (db.version, db.before) == ("ccc", "bbb")
    assert dict(db.entity)["k8s.statefulset.name"] == "db"


def test_the_application_alone_is_read_as_well() -> None:
    assert decode(APPLICATION).changes == decode({"app": APPLICATION}).changes


def test_a_sync_that_does_not_say_what_it_changed_is_one_of_the_application() -> None:
    change = one(application(syncResult={"revision": "ccc"}))
    assert dict(change.entity)["service.name"] == "shop"
    assert change.id == "argocd/argocd/shop/2026-01-31T11:59:00Z"


@pytest.mark.parametrize(
    ("state", "phase"), [("Running", "started"), ("Succeeded", "finished"), ("Failed", "failed"), ("Error", "failed")]
)
def test_one_sync_has_one_id_in_every_phase(state: str, phase: str) -> None:
    found = decode(application(phase=state)).changes
    assert [change.phase for _, change in found] == [phase] * 2
    assert {change.chain for _, change in found} == {"argocd/argocd/shop/2026-01-31T11:59:00Z"}


def test_a_revision_that_was_deployed_before_is_a_rollback() -> None:
    back = application(syncResult={"revision": "aaa"})
    assert one(back).kind == "rollback"
    back["status"]["history"].append({"id": 3, "revision": "aaa"})
    assert one(back).kind == "rollback"
    again = application(syncResult={"revision": "ccc"})
    again["status"]["history"].append({"id": 3, "revision": "ccc"})
    assert one(again).kind == "deployment"


def test_a_sync_of_many_workloads_gives_at_most_64_changes() -> None:
    resources = [{"kind": "Deployment", "name": f"d{number}", "message": "configured"} for number in range(100)]
    assert len(decode(application(syncResult={"revision": "ccc", "resources": resources})).changes) == 64


def test_an_application_without_name_or_phase_is_refused() -> None:
    assert refused(application(phase="Dancing")).startswith("bad_change: an Argo CD Application needs")
    assert refused(APPLICATION | {"metadata": {}}).startswith("bad_change: an Argo CD Application needs")
    assert refused(application(finishedAt="soon")).startswith("bad_time: status.operationState.finishedAt")


# Hostile input

FORMS = [OWN, DEPLOYED, cdevent("pipelinerun.finished", {"content": {"outcome": "success"}}), STATUS, APPLICATION]


def check(found: DecodedChanges) -> None:
    for _, change in found.changes:
        assert change.id
        iso(change.effective_us)
        assert list(change.entity) == sorted(change.entity)
        assert all(len(value.encode()) <= 1024 for pair in change.entity for value in pair)


@settings(max_examples=300)
@given(
    st.sampled_from([json.dumps(form).encode() for form in FORMS]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_whatever_bytes_are_changed_changes_are_sound(value: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(value)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    found = decode(bytes(damaged))
    assert found.changes or found.rejections or found.dropped
    check(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(FORMS), st.data())
def test_members_of_any_kind_have_an_answer(form: dict[str, Any], data: st.DataObject) -> None:
    changed = json.loads(json.dumps(form))
    place: Any = changed
    while True:
        names: Any = sorted(place) if isinstance(place, dict) else range(len(place))
        if not names:
            break
        name = data.draw(st.sampled_from(list(names)))
        if not isinstance(place[name], dict | list) or data.draw(st.booleans()):
            place[name] = data.draw(JSON)
            break
        place = place[name]
    check(decode(changed))
