"""Forms of the admin's pages about API keys."""

from datetime import datetime

from django import forms
from django.utils import timezone
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
)

from accounts.keys import OVERLAP
from accounts.models import ApiKey
from accounts.scopes import Scope, all_scopes

_LONGEST_OVERLAP_HOURS = 24 * 90


def require_future(moment: datetime | None) -> datetime | None:
    """An end date as given. Raises ValidationError for one that has passed."""
    if moment is not None and moment <= timezone.now():
        raise forms.ValidationError("This end date has passed. To end a key now, revoke it.")
    return moment


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable when it runs
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        initial=all_scopes,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Requests that need another scope are answered 403 forbidden.",
    )

    class Meta:
        model = ApiKey
        fields = ("account", "name", "scopes", "expires_at")

    def clean_expires_at(self) -> datetime | None:
        given: datetime | None = self.cleaned_data["expires_at"]
        return require_future(given) if "expires_at" in self.changed_data else given


class _MomentInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__({"class": " ".join(INPUT_CLASSES)}, format="%Y-%m-%dT%H:%M")


class RotateForm(forms.Form):
    """How long the old key still works, and when its successor ends."""

    overlap_hours = forms.IntegerField(
        label="Hours for which the old key still works",
        min_value=0,
        max_value=_LONGEST_OVERLAP_HOURS,
        initial=int(OVERLAP.total_seconds() // 3600),
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Until then both keys work. An earlier end date of the old key stays as it is.",
    )
    expires_at = forms.DateTimeField(
        label="End date of the new key (UTC)",
        required=False,
        widget=_MomentInput,
        help_text="Empty: never.",
    )

    def clean_expires_at(self) -> datetime | None:
        return require_future(self.cleaned_data["expires_at"])
