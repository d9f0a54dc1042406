"""The journey page of the admin: what it takes, what it refuses, and what it shows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from contacts.models import SendingList
from journeys.models import Enrollment, Journey, OutboundMessage
from tests.journeys.support import enrolled, member, tick
from tests.support import joins, new_account, new_journey

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 7, 1, 16, tzinfo=UTC)
HELLO = {"kind": "message", "id": "s1", "text": "Hi {{first_name|there}}"}


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def draft() -> Journey:
    account, sending_list = new_account()
    return new_journey(account, joins(sending_list), status="draft")


def page(journey: Journey, name: str = "change") -> str:
    return f"/admin/journeys/journey/{journey.pk}/{name}/"


def save(client: Client, journey: Journey, **changed: Any) -> list[str]:
    """Save the page with these fields changed; what it complains of."""
    given = {
        "name": journey.name,
        "status": journey.status,
        "trigger": journey.trigger,
        "steps": journey.version.steps if journey.version else [],
        "seen": Journey.objects.get(pk=journey.pk).revision,
        **changed,
    }
    sent = {
        name: json.dumps(value) if name in ("trigger", "steps") else value for name, value in given.items()
    }
    answer = client.post(page(journey), sent)
    if answer.status_code == 302:
        return []
    errors: dict[str, list[str]] = answer.context["adminform"].form.errors
    return [message for messages in errors.values() for message in messages]


def test_a_new_journey_is_a_draft_whose_page_has_the_builder(operator: Client) -> None:
    account, _ = new_account()
    answer = operator.post("/admin/journeys/journey/add/", {"account": account.pk, "name": "Hello"})
    journey = Journey.objects.get()
    assert (answer.status_code, answer["Location"], journey.status) == (302, page(journey), "draft")
    shown = operator.get(page(journey)).content.decode()
    assert 'data-builder="trigger"' in shown
    assert '"lists": [{"id":' in shown


def test_what_is_saved_is_what_runs(operator: Client) -> None:
    journey = draft()
    steps = [{**HELLO, "text": "one\r\ntwo"}, {"kind": "exit", "id": "s2"}]
    assert save(operator, journey, status="active", steps=steps) == []
    journey.refresh_from_db()
    assert journey.status == "active"
    assert journey.version is not None
    assert journey.version.steps == [{**HELLO, "text": "one\ntwo"}, {"kind": "exit", "id": "s2"}]
    assert (journey.version.number, journey.version.created_by) == (2, User.objects.get())


def test_saving_what_there_is_makes_no_version(operator: Client) -> None:
    journey = draft()
    assert save(operator, journey, name="Another name") == []
    journey.refresh_from_db()
    assert (journey.name, journey.versions.count()) == ("Another name", 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"steps": "no list"}, "The steps are no list."),
        ({"steps": [{"kind": "message", "id": "s1"}]}, "Step 1: Object missing required field `text`."),
        (
            {"steps": [{"kind": "wait", "id": "a", "amount": "x", "unit": "days"}]},
            "Step 1, amount: Expected `int`",
        ),
        (
            {"steps": [{"kind": "wait", "id": "a", "amount": 0, "unit": "days"}]},
            "Step 1, amount: Expected `int` >= 1",
        ),
        ({"steps": [{"kind": "magic", "id": "a"}]}, "Step 1, kind: Invalid value 'magic'"),
        ({"steps": [7]}, "Step 1: Expected `object`"),
        ({"steps": [HELLO, {**HELLO, "text": ""}]}, "Two steps have the same id."),
        ({"steps": [{**HELLO, "text": "{{"}]}, "Step 1: The message has a macro that can't be read"),
        (
            {"steps": [{**HELLO, "next": "s1"}]},
            "Step 1: It would be reached again without a wait of an hour in between.",
        ),
        (
            {"trigger": {"kind": "all", "of": [{"kind": "list", "operator": "on", "lists": [0]}]}},
            "does not have",
        ),
        (
            {"trigger": {"kind": "all", "of": [{"kind": "happened", "event": "sent"}]}},
            "Before the enrollment",
        ),
        ({"trigger": {"kind": "field"}}, "The trigger, kind: Invalid value 'field'"),
        ({"trigger": [1]}, "The trigger: Expected `object`"),
        ({"status": "active", "steps": []}, "An active journey needs a step."),
        ({"status": "active", "steps": [HELLO], "trigger": None}, "An active journey needs a condition"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(
    operator: Client, changed: dict[str, Any], said: str
) -> None:
    journey = draft()
    complaints = save(operator, journey, **changed)
    assert any(said in complaint for complaint in complaints), complaints
    assert journey.versions.count() == 1
    assert Journey.objects.get().status == "draft"


def test_two_who_edit_at_once_do_not_undo_each_other(operator: Client) -> None:
    journey = draft()
    seen = Journey.objects.get().revision
    assert save(operator, journey, steps=[HELLO], status="paused") == []
    for mine in ({"name": "mine"}, {"steps": [{**HELLO, "text": "mine"}]}):  # of a page that is older
        [stale] = save(operator, journey, **mine, seen=seen)
        assert stale.startswith("Somebody has saved this journey meanwhile.")
    assert Journey.objects.get().status == "paused"


def test_a_journey_can_be_paused_whatever_has_become_of_its_lists(operator: Client) -> None:
    journey = draft()
    steps = [HELLO]
    assert save(operator, journey, status="active", steps=steps) == []
    journey.account.sending_lists.update(status="deleted")
    journey.refresh_from_db()
    assert save(operator, journey, status="paused") == []


def test_a_journey_without_steps_that_is_active_since_long_can_be_renamed(operator: Client) -> None:
    account, sending_list = new_account()
    journey = new_journey(account, joins(sending_list))
    assert save(operator, journey, name="New") == []


def test_drafts_can_be_deleted(operator: Client) -> None:
    journey = draft()
    assert save(operator, journey, steps=[HELLO], status="active") == []
    assert operator.post(page(journey, "delete"), {"post": "yes"}).status_code == 302
    assert not Journey.objects.exists()


def test_a_trial_asks_whether_the_list_begins_the_journey(operator: Client) -> None:
    account, first = new_account()
    second = SendingList.objects.create(account=account, phone_number="+18005550002")
    vip = {"kind": "field", "name": "vip", "operator": "exists", "values": []}
    journey = new_journey(account, {"kind": "any", "of": [*joins(first)["of"], vip]}, status="draft")
    for joined, greeted in ((first, True), (second, False)):
        contact = {"trial-joins": joined.pk, "trial-fields_given": "vip = yes"}
        answer = ask(operator, journey, "trial", steps=[HELLO], trigger=journey.trigger, contact=contact)
        assert ("The trigger greets this contact." in answer.content.decode()) is greeted


def test_a_trial_knows_what_was_sent_after_a_field_was_set(operator: Client) -> None:
    journey = draft()
    sent = {"kind": "happened", "event": "sent", "step": "s1"}
    steps = [
        HELLO,
        {"kind": "set_field", "id": "s2", "name": "a", "value": "b"},
        {"kind": "wait", "id": "s3", "amount": 1, "unit": "days"},
        {"kind": "condition", "id": "s4", "test": {"kind": "all", "of": [sent]}},
    ]
    contact = {"trial-joins": joins_test(journey)["lists"][0], "trial-start": "2026-07-01 12:00"}
    answer = ask(operator, journey, "trial", steps=steps, trigger=journey.trigger, contact=contact)
    assert "Condition: yes" in answer.content.decode()


@pytest.mark.parametrize(
    "document", ["[" * 100_000, '{"contact": {"a": "\\ud800"}}', "[]", '{"contact": {"a": "\\u0000"}}']
)
def test_helpers_refuse_what_is_no_draft(operator: Client, document: str) -> None:
    for name in ("preview", "trial"):
        answer = operator.post(page(draft(), name), document, content_type="application/json")
        assert answer.status_code == 400


@pytest.mark.parametrize("start", ["9999-12-31 23:59", "0001-01-01 00:00"])
def test_a_trial_at_the_end_of_the_calendar_is_no_error(operator: Client, start: str) -> None:
    journey = draft()
    contact = {"trial-joins": joins_test(journey)["lists"][0], "trial-start": start}
    answer = ask(operator, journey, "trial", steps=[HELLO], trigger=journey.trigger, contact=contact)
    assert answer.status_code == 200


def ask(client: Client, journey: Journey, name: str, **document: Any) -> Any:
    return client.post(page(journey, name), json.dumps(document), content_type="application/json")


def test_the_preview_draws_the_draft_and_names_its_problems(operator: Client) -> None:
    journey = draft()
    broken = {"kind": "wait", "id": "s2", "amount": 31, "unit": "days"}
    branch = {
        "kind": "condition",
        "id": "s3",
        "test": {"kind": "any", "of": [joins_test(journey)]},
        "no": "s1",
    }
    steps = [{**HELLO, "text": "<b>&"}, broken, branch]
    answer = ask(operator, journey, "preview", steps=steps, trigger=None).json()
    assert "&lt;b&gt;&amp;" in answer["flow"]
    assert answer["flow"].count('<g class="jb-box') == 4
    assert 'jb-box jb-wait jb-wrong"' in answer["flow"]
    assert answer["problems"] == [{"message": "A wait is at most 30 days long.", "step": "s2"}]
    assert answer["sizes"] == {"s1": "GSM-7, 1 segment"}


def joins_test(journey: Journey) -> Any:
    return joins(*journey.account.sending_lists.all())["of"][0]


def test_a_trial_says_what_would_happen_and_writes_nothing(operator: Client) -> None:
    journey = draft()
    steps = [
        HELLO,
        {"kind": "wait", "id": "s2", "amount": 1, "unit": "days"},
        {"kind": "unsubscribe", "id": "s3"},
    ]
    contact = {
        "trial-phone_number": "+16025550123",
        "trial-joins": joins_test(journey)["lists"][0],
        "trial-start": "2026-03-07 22:00",
        "trial-fields_given": "first_name = <i>Jane</i>",
    }
    answer = ask(operator, journey, "trial", steps=steps, trigger=journey.trigger, contact=contact)
    shown = answer.content.decode()
    assert "The trigger greets this contact." in shown
    assert "America/Phoenix" in shown
    assert "held until 08:00: quiet hours" in shown
    assert "Hi &lt;i&gt;Jane&lt;/i&gt;" in shown
    assert "Mon 9 Mar 2026, 08:00" in shown
    assert "The journey is over: unsubscribed." in shown
    assert not Enrollment.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        ({"trial-phone_number": "123"}, "no valid number"),
        ({"trial-fields_given": "nonsense"}, "is not: name = value"),
        ({"trial-start": "soon"}, "Enter a valid date/time."),
        ({"trial-joins": "0"}, "Select a valid choice"),
        ({"trial-time_zone": "Mars"}, "Select a valid choice"),
    ],
)
def test_a_trial_of_nonsense_says_so(operator: Client, contact: dict[str, str], said: str) -> None:
    answer = ask(operator, draft(), "trial", steps=[HELLO], trigger=None, contact=contact)
    assert (answer.status_code, said in answer.content.decode()) == (200, True)


@pytest.mark.parametrize("name", ["preview", "trial"])
def test_the_page_s_helpers_are_for_who_may_change_journeys(client: Client, name: str) -> None:
    journey = draft()
    assert ask(client, journey, name).status_code == 302  # to the login
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_journey"))
    client.force_login(viewer)
    assert ask(client, journey, name).status_code == 403
    assert client.get(page(journey)).status_code == 200
    assert 'data-builder="steps"' not in client.get(page(journey)).content.decode()
    viewer.user_permissions.add(Permission.objects.get(codename="change_journey"))
    assert ask(client, journey, name).status_code == 200
    assert client.get(page(journey, name)).status_code == 405
    assert client.post(page(journey, name), "{", content_type="application/json").status_code == 400
    assert ask(client, Journey(pk=0), name).status_code == 404


def test_an_address_that_names_no_journey_is_no_error(operator: Client) -> None:
    assert operator.get("/admin/journeys/journey/abc/change/").status_code == 302
    assert operator.get(f"/admin/journeys/journey/{'9' * 5_000}/change/").status_code == 302


def test_a_journey_with_a_history_is_not_deleted(operator: Client) -> None:
    journey = draft()
    member_ = member(journey.account.sending_lists.get(), NOON)
    assert operator.get(page(journey, "delete")).status_code == 200
    Journey.objects.update(status="active")
    enrolled(member_, NOON)
    assert operator.get(page(journey, "delete")).status_code == 403


def test_the_funnel_counts_who_came_how_far(operator: Client) -> None:
    account, sending_list = new_account()
    wait = {"kind": "wait", "id": "s2", "amount": 1, "unit": "hours"}
    gold = {"kind": "field", "name": "plan", "operator": "eq", "values": ["gold"]}
    branch = {
        "kind": "condition",
        "id": "s3",
        "test": {"kind": "all", "of": [gold]},
        "yes": "s2",
        "no": "end",
    }
    journey = new_journey(account, joins(sending_list), branch, wait, {"kind": "exit", "id": "s4"})
    for plan in ("gold", "gold", "tin", "tin"):
        [enrollment] = enrolled(member(sending_list, NOON, plan=plan), NOON)
    tick(NOON)
    context = operator.get(page(journey)).context
    assert [(place, str(stage)) for place, _, stage, _ in context["funnel_bars"]] == [
        (1, "4 (100%)"),
        (2, "2 (50%) · 2 here"),
        (3, "0 (0%)"),
    ]
    assert dict(context["funnel_statuses"]) == {"Active": 2, "Completed": 2}
    journey.publish([HELLO])
    assert operator.get(page(journey)).context["funnel"].enrolled == 0
    assert operator.get(f"{page(journey)}?version=1").context["funnel"].enrolled == 4
    shown = operator.get(f"/admin/journeys/enrollment/{enrollment.pk}/change/").content.decode()
    assert "1 · Condition" in shown


@pytest.mark.parametrize("bad", ["a\x00", "\ud800"])
def test_what_the_database_can_not_hold_is_refused(operator: Client, bad: str) -> None:
    journey = draft()
    steps = [{"kind": "set_field", "id": "a", "name": "n", "value": bad}]
    assert save(operator, journey, steps=steps) == ["There is a character in it that can't be stored."]
    asks = {"kind": "field", "name": "n", "operator": "eq", "values": [bad]}
    said = save(operator, journey, trigger={"kind": "all", "of": [asks]})
    assert said == ["There is a character in it that can't be stored."]
    fine = [{"kind": "set_field", "id": "a", "name": "n", "value": "a backslash: \\u0000"}]
    assert save(operator, journey, steps=fine) == []
