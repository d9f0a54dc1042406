"""The journey page's form, and that of the trial."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.forms.fields import InvalidJSONInput
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import (
    CHECKBOX_CLASSES,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from contacts import phone
from contacts.carriers import offline
from journeys.builder import drafts, names
from journeys.builder.drafts import Entry, Fault
from journeys.models import Journey, JourneyStatus

_MOST_SHOWN = 50
"""Problems that are listed on the page; each step's own are at the step, too."""
_CONFIRM = "Correct it, add a fallback such as {{name|there}}, or confirm below that it may stay empty."


class BuilderWidget(forms.Textarea):
    """A text area that builder.js makes an editor of; without it, it is the JSON."""

    template_name = "journeys/builder_widget.html"

    def __init__(self, what: str) -> None:
        super().__init__({"data-builder": what, "rows": 12})


class _Escaping(json.JSONEncoder):
    """Shows a lone surrogate as its escape: a page can't hold one."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{**more, "ensure_ascii": True})


class DraftField(forms.JSONField):
    """JSON within the bounds of a draft; Django's own field raises on JSON that is too deep."""

    def __init__(self, what: str, label: str) -> None:
        super().__init__(required=False, encoder=_Escaping, widget=BuilderWidget(what), label=label)

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, InvalidJSONInput):
            return super().to_python(value)
        try:
            return drafts.parse(value) if value else None
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from exc

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return drafts.parse(data or "null")
        except ValueError:
            return InvalidJSONInput(data)


class ConfirmationWidget(forms.TextInput):
    """A box to tick, whose value is what is confirmed."""

    input_type = "checkbox"

    def __init__(self, what: str) -> None:
        super().__init__({"class": " ".join(CHECKBOX_CLASSES)})
        self.what = what

    def format_value(self, value: Any) -> str:
        return self.what


class ConfirmationField(forms.CharField):
    """Empty, or what the person has confirmed; hidden while there is nothing to confirm."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput)


class JourneyForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable at run time
    """A journey that exists: its account is known, and with it the lists that it can name."""

    trigger = DraftField("trigger", "Trigger")
    steps = DraftField("steps", "Steps")
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    """The revision that the page was made of."""
    empty_tags = ConfirmationField()
    """The merge tags that may go live though no contact has such a field: their digest."""
    replaces = ConfirmationField()
    """A later revision that this page may replace."""

    class Meta:
        model = Journey
        fields = ("name", "status", "trigger")
        help_texts = {
            "status": "Paused: no new enrollments; current ones continue. Archived: current enrollments stop."
        }

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        version = self.instance.version
        self.saved_steps: list[Any] = version.steps if version else []
        self.was_active = self.instance.status == JourneyStatus.ACTIVE
        self.initial["steps"] = self.saved_steps
        self.initial["seen"] = self.instance.revision

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        is_active = cleaned.get("status") == JourneyStatus.ACTIVE
        activates = is_active and "status" in self.changed_data
        # It can always be paused: what has become wrong by itself (a list was deleted) does not matter.
        if "trigger" in cleaned and (activates or cleaned["trigger"] != self.initial["trigger"]):
            self._check_trigger(cleaned, is_active=is_active)
        if "steps" in cleaned:
            given = cleaned["steps"] or []
            cleaned["steps"] = [drafts.tidied(step) for step in given] if isinstance(given, list) else given
            if activates or cleaned["steps"] != self.saved_steps:
                self._check_steps(cleaned, is_active=is_active)
        self._check_revision(cleaned)
        return cleaned

    def _check_trigger(self, cleaned: dict[str, Any], *, is_active: bool) -> None:
        group, faults = drafts.read_trigger(cleaned["trigger"], drafts.ids_of(self.instance.account))
        if group is None:
            cleaned["trigger"] = None
        self._refuse("trigger", faults)
        if is_active and group is None and not faults:
            self.add_error("trigger", "Add a condition to the trigger before you activate the journey.")

    def _check_steps(self, cleaned: dict[str, Any], *, is_active: bool) -> None:
        draft = drafts.read_steps(cleaned["steps"], drafts.ids_of(self.instance.account))
        self._refuse("steps", draft.faults)
        if is_active and not draft.faults:
            if not draft.entries:
                self.add_error("steps", "Add a step before you activate the journey.")
            self._check_tags(draft.entries, str(cleaned.get("empty_tags", "")))

    def _check_tags(self, entries: list[Entry], confirmed: str) -> None:
        """A merge tag that stays empty goes live only if that was confirmed, or it is live already."""
        known = names.known_names(entries, names.field_names(self.instance))
        live = names.unknown_tags(drafts.entries(self.saved_steps), known) if self.was_active else []
        accepted = {one.name for one in live if not one.has_fallback}
        empty = [
            one
            for one in names.unknown_tags(entries, known)
            if not one.has_fallback and one.name not in accepted
        ]
        digest = sha256("\n".join(sorted(one.name for one in empty)).encode()).hexdigest()
        if not empty or confirmed == digest:
            return
        self._refuse("steps", names.warnings(empty, known))
        self.add_error("steps", _CONFIRM)
        shown = ", ".join(one.tag for one in empty[: names.MOST_SHOWN])
        more = f" and {len(empty) - names.MOST_SHOWN:,} more" if len(empty) > names.MOST_SHOWN else ""
        self._ask("empty_tags", digest, "Go live anyway", f"These may stay empty in messages: {shown}{more}")

    def _refuse(self, field: str, faults: Sequence[Fault]) -> None:
        for fault in faults[:_MOST_SHOWN]:
            self.add_error(field, str(fault))
        if len(faults) > _MOST_SHOWN:
            self.add_error(field, f"There are {len(faults) - _MOST_SHOWN:,} more problems.")

    def _check_revision(self, cleaned: dict[str, Any]) -> None:
        # Locked: the admin saves in the same transaction.
        now = Journey.objects.select_for_update().values_list("revision", flat=True).get(pk=self.instance.pk)
        if cleaned.get("seen") == now or cleaned.get("replaces") == str(now):
            return
        self.add_error(
            None,
            format_html(
                "{} Your changes are on this page and not saved. "
                '<a href="?saved" target="_blank" class="underline">Open the saved journey in a new tab</a> '
                "to compare. "
                "To replace it with this page, confirm that below and save again.",
                self._saved_meanwhile(),
            ),
        )
        replaced = "What was saved meanwhile is replaced; its steps stay in Journey versions."
        self._ask("replaces", str(now), "Replace the saved journey", replaced)

    def _saved_meanwhile(self) -> str:
        """By which user and when, as the admin's log has it."""
        of_it = LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(Journey), object_id=str(self.instance.pk)
        )
        last = of_it.select_related("user").order_by("-action_time").first()
        if last is None:
            return "This journey was saved after you opened it."
        return f"{last.user} saved this journey at {last.action_time:%H:%M} UTC, after you opened it."

    def _ask(self, field: str, what: str, label: str, help_text: str) -> None:
        """Show the box of a ConfirmationField."""
        self.fields[field].widget = ConfirmationWidget(what)
        self[field].label, self[field].help_text = label, help_text


class TrialForm(forms.Form):
    """The test contact."""

    phone_number = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        max_length=32,
        help_text="With country code, such as +12025550199. Sets the time zone. Nothing is sent.",
    )
    time_zone = forms.ChoiceField(
        required=False,
        choices=[("", "From the phone number"), *((name, name) for name in sorted(available_timezones()))],
        widget=UnfoldAdminSelectWidget,
    )
    joins = forms.ChoiceField(label="Joins the list", widget=UnfoldAdminSelectWidget)
    start = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "2026-03-07 18:00"}),
        help_text="Contact's local time; empty: now.",
    )
    fields_given = forms.CharField(
        required=False,
        label="Custom fields",
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget({"rows": 3, "placeholder": "first_name = Jane"}),
        help_text="One per line: name = value",
    )

    def __init__(self, journey: Journey, given: Mapping[str, Any] | None = None) -> None:
        super().__init__(given, prefix="trial")
        self.lists = dict(drafts.lists_of(journey.account))
        choice = cast("forms.ChoiceField", self.fields["joins"])
        choice.choices = list(self.lists.items())

    def clean_phone_number(self) -> str:
        number: str = self.cleaned_data["phone_number"]
        if number and phone.parse(number) is None:
            raise forms.ValidationError(
                "Enter a valid phone number with its country code, such as +12025550199."
            )
        return number

    def clean_fields_given(self) -> dict[str, str]:
        given: dict[str, str] = {}
        for line in self.cleaned_data["fields_given"].splitlines():
            name, equals, value = line.partition("=")
            if line.strip() and not (equals and name.strip()):
                raise forms.ValidationError(f"Write “{line[:100]}” as name = value.")
            if name.strip():
                given[name.strip()] = value.strip()
        return given

    @property
    def where(self) -> ZoneInfo:
        """The contact's time zone."""
        number = phone.parse(self.cleaned_data["phone_number"]) if self.cleaned_data["phone_number"] else None
        by_number = offline.time_zone(number) if number else ""
        return ZoneInfo(self.cleaned_data["time_zone"] or by_number or settings.TRACKLY_TIME_ZONE)

    @property
    def starts_at(self) -> datetime:
        given: datetime | None = self.cleaned_data["start"]
        return given.replace(tzinfo=self.where) if given else timezone.now()


def options(journey: Journey, field_names: list[str]) -> dict[str, Any]:
    """What builder.js lets people choose from; deleted lists only where they are chosen already."""
    shown = dict(drafts.lists_of(journey.account))
    return {
        "lists": [{"id": pk, "name": name} for pk, name in shown.items()],
        "deleted": [pk for pk in sorted(drafts.ids_of(journey.account)) if pk not in shown],
        "fields": field_names,
        "kinds": [{"kind": kind, "name": name} for kind, name in drafts.TITLES.items()],
    }


def saved(journey: Journey) -> dict[str, Any]:
    """The journey as it is saved: by it builder.js knows what is not."""
    steps = journey.version.steps if journey.version else []
    return {"name": journey.name, "status": journey.status, "trigger": journey.trigger, "steps": steps}
