"""What a delivery says: inputs, what makes two the same, and faults that name their place."""

from typing import Any

import pytest

from interlock.config import TriggerConfig
from interlock.model import UserError
from interlock.orchestrator import events_of


def trigger(kind: str = "json", **more: Any) -> TriggerConfig:
    return TriggerConfig.model_validate({"kind": kind, "agent": "a", "text": "go", "secret": "secret://x", **more})


def alert(name: str, status: str = "firing", **more: Any) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name}, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": f"f{name}", **more}  # fmt: skip


def group(*alerts: Any, status: str = "firing", **more: Any) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}:{}", "status": status, "receiver": "r", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "", "alerts": list(alerts), **more}  # fmt: skip


def test_by_default_all_of_a_body_is_one_input() -> None:
    for payload in ({"a": 1}, [1, 2], "text", None, 5):
        (event,) = events_of(trigger(), payload, None)
        assert event.inputs == {"event": payload}
        assert event.delivery is None


def test_inputs_are_picked_and_some_may_be_absent() -> None:
    config = trigger(inputs={"who": "/user/name", "first": "/items/0", "why": "/reason"}, optional=["why"])
    (event,) = events_of(config, {"user": {"name": "ann"}, "items": [{"n": 1}], "more": 1}, None)
    assert event.inputs == {"who": "ann", "first": {"n": 1}}
    with pytest.raises(UserError, match=r"^/items/0: missing; the trigger needs it$"):
        events_of(config, {"user": {"name": "ann"}, "items": []}, None)


def test_what_makes_two_the_same() -> None:
    config = trigger(dedupe=["/order/id", "/state"])

    def key(order: Any, state: Any, more: int = 0) -> str:
        return events_of(config, {"order": {"id": order}, "state": state, "more": more}, None)[0].sameness

    assert key(1, "paid") == key(1, "paid", 5)
    assert len({key(1, "paid"), key(2, "paid"), key("1", "paid"), key(1, "open")}) == 4
    with pytest.raises(UserError, match=r"^/state: missing"):
        events_of(config, {"order": {"id": 1}}, None)
    assert events_of(trigger(), {"a": 1}, None)[0].sameness != events_of(trigger(), {"a": 2}, None)[0].sameness


def test_a_delivery_is_named_by_its_id() -> None:
    one, again, other = (events_of(trigger(), {}, name)[0].delivery for name in ("m1", "m1", "m2"))
    assert one == again != other


def test_inputs_have_a_bound() -> None:
    events_of(trigger(), "x" * 199_000, None)
    with pytest.raises(UserError, match=r"^event: 2000.. characters, more than 200000 for the inputs"):
        events_of(trigger(), "x" * 200_000, None)


@pytest.mark.parametrize(("on", "count"), [(None, 1), ("firing", 1), ("resolved", 0), ("both", 1)])
def test_what_an_alertmanager_is_listened_for(on: str | None, count: int) -> None:
    config = trigger("alertmanager", **({"on": on} if on else {}))
    assert len(events_of(config, group(alert("a"), alert("b", "resolved")), None)) == count


def test_a_group_is_one_task_by_its_key_and_status() -> None:
    config = trigger("alertmanager", on="both", inputs={"name": "/alerts/0/labels/alertname"})
    (one,) = events_of(config, group(alert("a")), None)
    (more,) = events_of(config, group(alert("a"), alert("b")), None)
    (over,) = events_of(config, group(alert("a", "resolved"), status="resolved"), None)
    (other,) = events_of(config, group(alert("a"), groupKey="{}:{x}"), None)
    assert one.inputs == {"name": "a"}
    assert one.sameness == more.sameness
    assert len({one.sameness, over.sameness, other.sameness}) == 3
    assert one.delivery is None


def test_each_alert_is_a_task_of_its_own() -> None:
    config = trigger("alertmanager", each="alert")
    first, second = events_of(config, group(alert("a"), alert("b"), alert("c", "resolved")), "id")
    assert [event.inputs["event"]["alerts"][0]["labels"]["alertname"] for event in (first, second)] == ["a", "b"]
    assert len(first.inputs["event"]["alerts"]) == 1
    assert first.sameness != second.sameness
    (later,) = events_of(config, group(alert("a", startsAt="2026-01-02T00:00:00Z")), None)
    assert later.sameness == first.sameness
    assert later.delivery != first.delivery


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ([], "body: expected an object"),
        ({}, "groupKey: expected a text"),
        (group(alert("a"), groupKey=5), "groupKey: expected a text"),
        (group(alert("a"), status="odd"), "status: expected firing or resolved"),
        (group(), "alerts: expected a list of 1 to 1000 alerts"),
        (group(alert("a"), alerts={"a": 1}), "alerts: expected a list"),
        (group(*[alert("a")] * 1001), "alerts: expected a list"),
        (group(alert("a"), "x"), "alerts.1: expected an object"),
        (group(alert("a"), alert("b", status="odd")), "alerts.1.status: expected firing or resolved"),
        (group(alert("a", fingerprint=None)), "alerts.0.fingerprint: expected a text"),
        (group(alert("a", startsAt=1)), "alerts.0.startsAt: expected a text"),
    ],
)
@pytest.mark.parametrize("each", ["group", "alert"])
def test_faults_of_an_alertmanager_name_their_place(payload: Any, place: str, each: str) -> None:
    with pytest.raises(UserError) as caught:
        events_of(trigger("alertmanager", each=each), payload, None)
    assert caught.value.message.startswith(place)
