"""The journey page's form, and that of the trial."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.conf import settings
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from contacts import phone
from contacts.carriers import offline
from journeys.builder import drafts
from journeys.builder.flow import KINDS
from journeys.models import Journey, JourneyStatus

_STALE = "Somebody has saved this journey meanwhile. Reload the page, and make your changes again."


class BuilderWidget(forms.Textarea):
    """A text area that builder.js makes an editor of; without it, it is the JSON."""

    template_name = "journeys/builder_widget.html"

    def __init__(self, what: str) -> None:
        super().__init__({"data-builder": what, "rows": 12})


class _Escaping(json.JSONEncoder):
    """Shows a lone surrogate as its escape: a page can't hold one."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{**more, "ensure_ascii": True})


class JourneyForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable at run time
    """A journey that exists: its account is known, and with it the lists that it can name."""

    trigger = forms.JSONField(
        required=False, encoder=_Escaping, widget=BuilderWidget("trigger"), label="Who is greeted"
    )
    steps = forms.JSONField(
        required=False, encoder=_Escaping, widget=BuilderWidget("steps"), label="What happens"
    )
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    """The revision that the page was made of."""

    class Meta:
        model = Journey
        fields = ("name", "status", "trigger")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        version = self.instance.version
        self.initial["steps"] = version.steps if version else []
        self.initial["seen"] = self.instance.revision

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = cleaned.get("steps") or []
        cleaned["steps"] = [drafts.tidied(step) for step in given] if isinstance(given, list) else given
        is_active = cleaned.get("status") == JourneyStatus.ACTIVE
        # It can always be paused: what has become wrong by itself (a list was deleted) does not matter.
        if cleaned.get("trigger") != self.initial["trigger"] or (is_active and "status" in self.changed_data):
            self._check_trigger(cleaned, is_active=is_active)
        if cleaned["steps"] != self.initial["steps"] or (is_active and "status" in self.changed_data):
            self._check_steps(cleaned, is_active=is_active)
        # Locked: the admin saves in the same transaction.
        now = Journey.objects.select_for_update().values_list("revision", flat=True).get(pk=self.instance.pk)
        if cleaned.get("seen") != now:
            self.add_error(None, _STALE)
        return cleaned

    def _check_trigger(self, cleaned: dict[str, Any], *, is_active: bool) -> None:
        group, found = drafts.read_trigger(cleaned.get("trigger"), drafts.ids_of(self.instance.account))
        if group is None:
            cleaned["trigger"] = None
        if found:
            self.add_error("trigger", found)
        elif is_active and group is None:
            self.add_error("trigger", "An active journey needs a condition: whom does it greet?")

    def _check_steps(self, cleaned: dict[str, Any], *, is_active: bool) -> None:
        plan, problems = drafts.read_steps(cleaned["steps"], drafts.ids_of(self.instance.account))
        numbers = {step.id: f"Step {place}: " for place, step in enumerate(plan.steps, 1)}
        for problem in problems:
            self.add_error("steps", numbers.get(problem.step, "") + problem.message)
        if is_active and not plan.steps and not problems:
            self.add_error("steps", "An active journey needs a step.")


class TrialForm(forms.Form):
    """The test contact."""

    phone_number = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="E.164; its time zone is taken. Nothing is sent to it.",
    )
    time_zone = forms.ChoiceField(
        required=False,
        choices=[("", "by the number"), *((name, name) for name in sorted(available_timezones()))],
        widget=UnfoldAdminSelectWidget,
    )
    joins = forms.ChoiceField(label="Joins the list", widget=UnfoldAdminSelectWidget)
    start = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "2026-03-07 18:00"}),
        help_text="Where the contact is; empty: now.",
    )
    fields_given = forms.CharField(
        required=False,
        label="Custom fields",
        widget=UnfoldAdminTextareaWidget({"rows": 3, "placeholder": "first_name = Jane"}),
        help_text="One a line: name = value",
    )

    def __init__(self, journey: Journey, given: Mapping[str, Any] | None = None) -> None:
        super().__init__(given, prefix="trial")
        self.lists = dict(drafts.lists_of(journey.account))
        choice = self.fields["joins"]
        assert isinstance(choice, forms.ChoiceField)  # noqa: S101 - it stands above
        choice.choices = list(self.lists.items())

    def clean_phone_number(self) -> str:
        number: str = self.cleaned_data["phone_number"]
        if number and phone.parse(number) is None:
            raise forms.ValidationError("That is no valid number in E.164.")
        return number

    def clean_fields_given(self) -> dict[str, str]:
        given: dict[str, str] = {}
        for line in self.cleaned_data["fields_given"].splitlines():
            name, equals, value = line.partition("=")
            if line.strip() and not (equals and name.strip()):
                raise forms.ValidationError(f"“{line}” is not: name = value")
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
        "kinds": [{"kind": kind, "name": name} for kind, name in KINDS.items()],
    }
