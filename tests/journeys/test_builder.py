"""The journey page of the admin: what it takes, what it refuses, and what it shows."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from accounts.models import Account
from contacts.models import SendingList
from journeys.models import Enrollment, Journey, OutboundMessage
from tests.journeys.support import enrolled, member, tick
from tests.support import joins, new_account, new_journey

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 7, 1, 16, tzinfo=UTC)
HELLO = {"kind": "message", "id": "s1", "text": "Hi {{first_name|there}}"}
VIP = {"kind": "field", "name": "vip", "operator": "exists", "values": []}


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def draft() -> Journey:
    account, sending_list = new_account()
    return new_journey(account, joins(sending_list), status="draft")


def page(journey: Journey, name: str = "change") -> str:
    return f"/admin/journeys/journey/{journey.pk}/{name}/"


def sent(journey: Journey, **changed: Any) -> dict[str, Any]:
    """What the page sends, with these fields changed."""
    given = {
        "name": journey.name,
        "status": journey.status,
        "trigger": journey.trigger,
        "steps": journey.version.steps if journey.version else [],
        "seen": Journey.objects.get(pk=journey.pk).revision,
        **changed,
    }
    return {
        name: json.dumps(value) if name in ("trigger", "steps") else value for name, value in given.items()
    }


def save(client: Client, journey: Journey, **changed: Any) -> list[str]:
    """Save the page with these fields changed; what it complains of."""
    answer = client.post(page(journey), sent(journey, **changed))
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


WAIT = {"kind": "wait", "id": "a", "amount": 1, "unit": "days"}
DAYS = "Step 1, Wait: enter a whole number of days from 1 to 30."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"steps": "no list"}, "Remove all steps and add them again: they can't be read."),
        (
            {"steps": [{"kind": "message", "id": "s1"}]},
            "Step 1, Send a message: enter the text of the message.",
        ),
        ({"steps": [{**WAIT, "amount": "x"}]}, DAYS),
        ({"steps": [{**WAIT, "amount": 0}]}, DAYS),
        ({"steps": [{**WAIT, "amount": 31}]}, DAYS),
        (
            {"steps": [HELLO, {**WAIT, "amount": 2.5, "unit": "hours"}]},
            "Step 2, Wait: enter a whole number of hours from 1 to 720.",
        ),
        (
            {"steps": [{"kind": "magic", "id": "a"}, HELLO, {**WAIT, "amount": None}]},
            "Step 3, Wait: enter a whole number of days from 1 to 30.",
        ),
        (
            {"steps": [{"kind": "magic", "id": "a"}]},
            "Step 1, Unknown step: remove this step and add it again: it can't be read.",
        ),
        ({"steps": [7]}, "Step 1, Unknown step: remove this step and add it again: it can't be read."),
        (
            {"steps": [HELLO, {**HELLO, "text": ""}]},
            "Step 2, Send a message: remove this step and add it again: it has the id of step 1.",
        ),
        ({"steps": [{**HELLO, "text": "{{"}]}, 'Step 1, Send a message: correct the merge tag at "{{"'),
        ({"steps": [{**HELLO, "next": "s1"}]}, "Step 1, Send a message: add a wait of at least 1 hour"),
        (
            {"steps": [HELLO] * 101},
            "Remove steps: the journey has 101, and 100 are allowed.",
        ),
        (
            {"trigger": {"kind": "all", "of": [{"kind": "list", "operator": "on", "lists": [0]}]}},
            "Trigger: choose another list: a chosen one is not a list of this account.",
        ),
        (
            {"trigger": {"kind": "all", "of": [{"kind": "happened", "event": "sent"}]}},
            "Trigger: check a field or a list: before the enrollment nothing has happened.",
        ),
        ({"trigger": {"kind": "field"}}, 'Trigger: choose "Match all" or "Match any" for the trigger.'),
        ({"trigger": [1]}, 'Trigger: choose "Match all" or "Match any" for the trigger.'),
        (
            {"trigger": {"kind": "all", "of": [VIP, {"kind": "any", "of": [VIP, {**VIP, "name": ""}]}]}},
            'Trigger: row 3: enter a "Field name" of 1 to 200 characters.',
        ),
        ({"status": "active", "steps": []}, "Add a step before you activate the journey."),
        (
            {"status": "active", "steps": [HELLO], "trigger": None},
            "Add a condition to the trigger before you activate the journey.",
        ),
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
        assert stale.startswith("operator saved this journey at ")
    assert Journey.objects.get().status == "paused"


def test_who_saves_an_older_page_keeps_the_work_and_may_replace_the_other(operator: Client) -> None:
    journey = draft()
    seen = Journey.objects.get().revision
    assert save(operator, journey, steps=[HELLO]) == []
    mine = {"steps": [{**HELLO, "text": "mine"}], "seen": seen}
    assert save(operator, journey, **mine, replaces=str(seen)) != []  # what was confirmed is another revision
    answer = operator.post(page(journey), sent(journey, **mine))
    shown = answer.content.decode()
    assert "mine" in shown
    assert f'type="checkbox" name="replaces" value="{seen + 1}"' in shown
    assert "Replace the saved journey" in shown
    assert save(operator, journey, **mine, replaces=str(seen + 1)) == []
    journey.refresh_from_db()
    assert journey.version is not None
    assert journey.version.steps == mine["steps"]


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
    journey = new_journey(account, {"kind": "any", "of": [*joins(first)["of"], VIP]}, status="draft")
    for joined, greeted in ((first, True), (second, False)):
        contact = {"trial-joins": joined.pk, "trial-fields_given": "vip = yes"}
        answer = ask(operator, journey, "trial", steps=[HELLO], trigger=journey.trigger, contact=contact)
        assert ("The trigger matches this contact." in answer.content.decode()) is greeted


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
    ("document", "said"),
    [
        ("[" * 100_000, "Remove the innermost group: groups may be nested 5 levels deep."),
        ('{"steps": ' + "[" * 200 + "]" * 200 + "}", "Remove the innermost group"),
        ("[]", "The draft is not a JSON object."),
        ("{", "The draft is not valid JSON."),
        ('{"steps": NaN}', "The draft is not valid JSON."),
        ('{"a": "' + "x" * 1_000_000 + '"}', "it takes 1,000,009 bytes, and 1,000,000 are allowed."),
        ('{"a": "' + "x" * 3_000_000 + '"}', "1,000,000 bytes are allowed."),
    ],
)
def test_helpers_refuse_what_is_no_draft_and_say_why(operator: Client, document: str, said: str) -> None:
    for name in ("preview", "trial"):
        answer = operator.post(page(draft(), name), document, content_type="application/json")
        assert answer.status_code == 400
        assert said in answer.json()["error"]


@pytest.mark.parametrize("bad", ["\ud800", "\x00"])
def test_a_trial_refuses_a_contact_that_can_not_be_stored(operator: Client, bad: str) -> None:
    answer = ask(operator, draft(), "trial", contact={"a": bad})
    assert answer.status_code == 400
    assert answer.json()["error"] == "Remove the character that can't be stored from the test contact."


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
    days = "Enter a whole number of days from 1 to 30."
    assert answer["problems"] == [{"message": days, "place": 2, "path": "amount"}]
    assert answer["sizes"] == {"1": "GSM-7, 1 segment"}


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
    assert "The trigger matches this contact." in shown
    assert "America/Phoenix" in shown
    assert "held until 08:00: quiet hours" in shown
    assert "Hi &lt;i&gt;Jane&lt;/i&gt;" in shown
    assert "Mon 9 Mar 2026, 08:00" in shown
    assert "The journey ends: unsubscribed." in shown
    assert not Enrollment.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        ({"trial-phone_number": "123"}, "Enter a valid phone number with its country code"),
        ({"trial-fields_given": "nonsense"}, "Write “nonsense” as name = value."),
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
    again = 'Step 1, Set a field: enter "Value" again: it has a character that can\'t be stored.'
    assert save(operator, journey, steps=steps) == [again]
    asks = {"kind": "field", "name": "n", "operator": "eq", "values": [bad]}
    said = save(operator, journey, trigger={"kind": "all", "of": [asks]})
    assert said == ['Trigger: enter "Value" again: it has a character that can\'t be stored.']
    fine = [{"kind": "set_field", "id": "a", "name": "n", "value": "a backslash: \\u0000"}]
    assert save(operator, journey, steps=fine) == []


def tagged(text: str) -> list[dict[str, Any]]:
    return [{**HELLO, "text": text}]


def with_contacts(journey: Journey, *names: str) -> Journey:
    fields: dict[str, Any] = dict.fromkeys(names, "x")
    member(journey.account.sending_lists.get(), NOON, **fields)
    return journey


MISTYPED = (
    "Step 1, Send a message: {{firstname}} is on none of your latest contacts; did you mean {{first_name}}?"
)


def test_a_mistyped_tag_goes_live_only_when_that_is_confirmed(operator: Client) -> None:
    journey = with_contacts(draft(), "first_name")
    steps = tagged("Hi {{firstname}}")
    assert save(operator, journey, steps=steps) == []  # a draft may have it
    journey.refresh_from_db()
    told, how = save(operator, journey, status="active")
    assert told == MISTYPED
    assert how.startswith("Correct it, add a fallback such as {{name|there}}, or confirm below")
    answer = operator.post(page(journey), sent(journey, status="active"))
    box = re.search(r'type="checkbox" name="empty_tags" value="([0-9a-f]{64})"', answer.content.decode())
    assert box
    assert "These may stay empty in messages: {{firstname}}" in answer.content.decode()
    another = tagged("Hi {{firstname}} {{plna}}")
    assert len(save(operator, journey, steps=another, status="active", empty_tags=box[1])) == 3
    assert save(operator, journey, status="active", empty_tags=box[1]) == []
    journey.refresh_from_db()
    assert journey.status == "active"
    # What is live already is not asked about again; what comes to it is.
    assert save(operator, journey, steps=tagged("Hello {{firstname}}")) == []
    journey.refresh_from_db()
    [other, _] = save(operator, journey, steps=tagged("Hello {{firstname}} {{plna}}"))
    assert "{{plna}}" in other


@pytest.mark.parametrize(
    "text",
    [
        "Hi {{first_name}}",
        "Hi {{ first_name }}, {{list_name}} {{brand_name}} {{phone_number}} {{list_number}}",
        "Hi {{firstname|there}}",
        "Hi {{firstname|}}",
        "Hi {{stage}}",
        "{{{{firstname}}",
    ],
)
def test_what_is_known_or_has_a_fallback_goes_live_at_once(operator: Client, text: str) -> None:
    journey = with_contacts(draft(), "first_name")
    steps = [*tagged(text), {"kind": "set_field", "id": "s2", "name": "stage", "value": "x"}]
    assert save(operator, journey, steps=steps, status="active") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{first_name}}", []),
        ("{{firstname}}", ["{{firstname}} is on none of your latest contacts; did you mean {{first_name}}?"]),
        (
            "{{First Name}}",
            ["{{First Name}} is on none of your latest contacts; did you mean {{first_name}}?"],
        ),
        (
            "{{fist_name|you}}",
            ["{{fist_name}} is on none of your latest contacts; did you mean {{first_name}}?"],
        ),
        (
            "{{zzz|you}}",
            ["{{zzz}} is on none of your latest contacts, so its fallback is always sent. Check the name."],
        ),
        (
            "{{zzz|you}} {{zzz}}",
            ["{{zzz}} is on none of your latest contacts. Check the name, or add a fallback: {{zzz|there}}."],
        ),
    ],
)
def test_the_preview_warns_of_names_that_no_contact_has(operator: Client, text: str, said: list[str]) -> None:
    journey = with_contacts(draft(), "first_name", "plan")
    answer = ask(operator, journey, "preview", steps=tagged(text), trigger=None).json()
    assert [warning["message"] for warning in answer["warnings"]] == said
    assert answer["problems"] == []


def test_another_account_s_names_are_not_known(operator: Client) -> None:
    other = Account.objects.create(name="Other")
    theirs = SendingList.objects.create(account=other, phone_number="+18005550009")
    member(theirs, NOON, secret_name="x")
    journey = draft()
    answer = ask(operator, journey, "preview", steps=tagged("{{secret_nam}}"), trigger=None).json()
    assert "secret_name}}?" not in answer["warnings"][0]["message"]


def test_a_draft_s_id_comes_back_once_it_is_saved(operator: Client) -> None:
    journey = draft()
    answer = operator.post(page(journey), sent(journey, draft="a1b2"))
    assert answer.cookies["journey_saved"].value == "a1b2"
    for strange in ("", "a b", "x" * 41, "a;b"):
        saved = operator.post(page(journey), sent(journey, draft=strange))
        assert (saved.status_code, "journey_saved" in saved.cookies) == (302, False)
    refused = operator.post(page(journey), sent(journey, draft="a1b2", steps="none"))
    assert "journey_saved" not in refused.cookies


# --- What a hostile or clumsy person sends ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("[" * 100_000, "groups may be nested 5 levels deep"),
        ('[{"a":' * 200 + "1" + "}]" * 200, "groups may be nested 5 levels deep"),
        ("9" * 5_000, "be read."),
        ("NaN", "The draft is not valid JSON."),
        ("1e999", "be read."),
        ("{", "The draft is not valid JSON."),
        ('"' + "x" * 1_000_000 + '"', "it takes 1,000,002 bytes, and 1,000,000 are allowed."),
        (json.dumps([{**HELLO, "\ud800<script>": 1}]), "it has an unknown part."),
        (json.dumps([{**HELLO, "<script>": 1}]), 'it has an unknown part "<script>".'),
        (json.dumps([{**HELLO, "text": "{{" + "<b>" * 5_000}]), "and 10,000 are allowed."),
        (json.dumps([HELLO] * 10_000), "the journey has 10,000, and 100 are allowed."),
    ],
)
def test_a_save_refuses_what_is_out_of_bounds_and_shows_it_again(
    operator: Client, raw: str, said: str
) -> None:
    journey = draft()
    answer = operator.post(page(journey), {**sent(journey), "steps": raw})
    assert answer.status_code == 200
    [message, *_] = answer.context["adminform"].form.errors["steps"]
    assert said in message
    assert "<script>" not in answer.content.decode().replace("&lt;", "")
    assert operator.post(page(journey), {**sent(journey), "trigger": raw}).status_code == 200
    assert journey.versions.count() == 1


def test_problems_by_the_hundred_are_told_in_part(operator: Client) -> None:
    steps = [{"kind": "wait", "id": f"s{n}", "amount": 0, "unit": "days"} for n in range(100)]
    told = save(operator, draft(), steps=steps)
    assert len(told) == 51
    assert told[-1] == "There are 50 more problems."


def test_a_trial_of_a_loop_stops_after_five_hundred_lines(operator: Client) -> None:
    """It would else be a page of 70,000 messages."""
    journey = draft()
    messages = [{**HELLO, "id": f"m{n}", "text": "x" * 1_600} for n in range(98)]
    steps = [*messages, {"kind": "wait", "id": "w", "amount": 1, "unit": "hours", "next": "m0"}]
    contact = {"trial-joins": joins_test(journey)["lists"][0]}
    answer = ask(operator, journey, "trial", steps=steps, trigger=journey.trigger, contact=contact)
    shown = answer.content.decode()
    assert shown.count("<li>") == 501
    assert "The trial stops after 500 lines." in shown


def test_a_trial_takes_so_many_fields(operator: Client) -> None:
    contact = {"trial-fields_given": "\n".join(f"f{n} = x" for n in range(2_000))}
    answer = ask(operator, draft(), "trial", steps=[HELLO], trigger=None, contact=contact)
    assert "Custom fields: Ensure this value has at most 10000 characters" in answer.content.decode()


INJECTED = "</text><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


def test_nothing_that_is_written_becomes_markup(operator: Client) -> None:
    account, sending_list = new_account()
    SendingList.objects.filter(pk=sending_list.pk).update(list_name=INJECTED, brand_name=INJECTED)
    fields: dict[str, Any] = {INJECTED: INJECTED}
    member(sending_list, NOON, **fields)
    sending_list.refresh_from_db()
    test = {"kind": "field", "name": INJECTED, "operator": "eq", "values": [INJECTED]}
    steps: list[dict[str, Any]] = [
        {"kind": "message", "id": "a", "text": INJECTED + "{{brand_name}}{{<b>x</b>}}"},
        {"kind": "set_field", "id": "b", "name": INJECTED, "value": INJECTED},
        {"kind": "condition", "id": "c", "test": {"kind": "all", "of": [test, *joins(sending_list)["of"]]}},
        {"kind": "exit", "id": "d"},
    ]
    journey = new_journey(account, joins(sending_list), *steps, name=INJECTED)
    enrolled(member(sending_list, NOON), NOON)
    tick(NOON)
    contact = {"trial-joins": sending_list.pk, "trial-fields_given": f"x = {INJECTED}"}
    faulty = [*steps, {"kind": INJECTED, "id": INJECTED}, {"kind": "wait", "id": "e", INJECTED: 1}]
    shown = [
        operator.get(page(journey)).content.decode(),
        operator.post(page(journey), sent(journey, steps=faulty)).content.decode(),
        ask(operator, journey, "preview", steps=steps, trigger=journey.trigger).json()["flow"],
        ask(operator, journey, "preview", steps=faulty, trigger=journey.trigger).json()["flow"],
        ask(
            operator, journey, "trial", steps=steps, trigger=journey.trigger, contact=contact
        ).content.decode(),
        ask(
            operator, journey, "trial", steps=faulty, trigger=journey.trigger, contact=contact
        ).content.decode(),
    ]
    for text in shown:
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>x" not in text


def test_another_account_s_list_is_none(operator: Client) -> None:
    other = Account.objects.create(name="Other")
    theirs = SendingList.objects.create(account=other, phone_number="+18005550009", list_name="Secret")
    journey = draft()
    for document in (joins(theirs), {"kind": "all", "of": [{"kind": "any", "of": joins(theirs)["of"]}]}):
        [said] = save(operator, journey, trigger=document)
        assert said.endswith("choose another list: a chosen one is not a list of this account.")
    condition = {"kind": "condition", "id": "c", "test": joins(theirs)}
    answer = ask(operator, journey, "preview", steps=[condition], trigger=None).json()
    assert answer["problems"][0]["path"] == "test.of.0.lists"
    assert "Secret" not in answer["flow"]
    contact = {"trial-joins": theirs.pk}
    tried = ask(operator, journey, "trial", steps=[HELLO], trigger=None, contact=contact)
    assert "Select a valid choice" in tried.content.decode()


@pytest.mark.parametrize("name", ["preview", "trial", "change"])
def test_a_post_without_the_token_is_refused(name: str) -> None:
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(User.objects.create_superuser("operator"))
    journey = draft()
    assert guarded.post(page(journey, name), "{}", content_type="application/json").status_code == 403


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_journey"))
    client.force_login(viewer)
    journey = draft()
    assert client.post(page(journey), sent(journey, name="mine", status="active")).status_code == 403
    journey.refresh_from_db()
    assert (journey.name, journey.status) == ("Welcome", "draft")


@pytest.mark.django_db(transaction=True)
def test_of_two_saves_at_the_same_time_one_is_asked(operator: Client) -> None:
    journey = draft()
    texts = ["one", "two"]
    pages = [sent(journey, steps=tagged(text)) for text in texts]

    def send(given: dict[str, Any]) -> int:
        try:
            other = Client()
            other.cookies = operator.cookies
            return int(other.post(page(journey), given).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(send, pages))
    assert sorted(statuses) == [200, 302]
    journey.refresh_from_db()
    assert journey.version is not None
    assert journey.version.steps == tagged(texts[statuses.index(302)])
    assert (journey.revision, journey.versions.count()) == (2, 2)
