"""Accounts and their keys, for people."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from trackly.accounts.forms import ApiKeyForm, RotateForm
from trackly.accounts.keys import NotRotatable, create_key, rotate_key
from trackly.accounts.models import Account, ApiKey, KeyState
from trackly.accounts.scopes import all_scopes
from trackly.api.admin import ReadOnlyAdmin, TableAdmin, confirmed

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who did what in the admin."""

    list_display = ("action_time", "user", "content_type", "object_repr", "change_message")
    list_filter = ("content_type",)
    list_select_related = ("user", "content_type")
    search_fields = ("user__username", "object_repr", "change_message")
    ordering = ("-id",)


@admin.register(Account)
class AccountAdmin(TableAdmin):
    list_display = ("name", "id", "suspended_at", "rejects_voip", "requests_per_minute", "created_at")
    list_filter = ("rejects_voip",)
    search_fields = ("name",)
    readonly_fields = ("created_at",)


_STATE_COLORS = {
    KeyState.ACTIVE: "success",
    KeyState.EXPIRES: "warning",
    KeyState.EXPIRED: "danger",
    KeyState.REVOKED: "danger",
}


@admin.register(ApiKey)
class ApiKeyAdmin(TableAdmin):
    """A key is shown once, right after it was made; later pages know its first characters only."""

    form = ApiKeyForm
    list_display = ("hint", "name", "account", "colored_state", "scope_names", "last_used_at", "created_at")
    list_select_related = ("account",)
    search_fields = ("name", "hint", "account__name")
    autocomplete_fields = ("account",)
    add_fieldsets = ((None, {"fields": ("account", "name", "scopes", "expires_at")}),)
    fields = (
        *("account", "name", "hint", "state", "scopes", "expires_at", "replaces", "replaced_by"),
        *("created_at", "last_used_at", "revoked_at"),
    )
    readonly_fields = (
        *("hint", "state", "replaces", "replaced_by", "created_at", "last_used_at", "revoked_at"),
    )
    actions_detail = ("rotate", "revoke")

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:  # noqa: ARG002
        if obj is None:
            return self.readonly_fields
        fixed = ("name", "scopes", "expires_at") if obj.revoked_at else ()
        return (*self.readonly_fields, "account", *fixed)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        state = key.state(timezone.now())
        return f"expires {key.expires_at:%Y-%m-%d %H:%M} UTC" if state == KeyState.EXPIRES else state.value

    @display(description="State", label=_STATE_COLORS)  # type: ignore[untyped-decorator]
    def colored_state(self, key: ApiKey) -> tuple[KeyState, str]:
        return key.state(timezone.now()), self.state(key)

    @admin.display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        return "all" if set(key.scopes) == set(all_scopes()) else ", ".join(key.scopes)

    @admin.display(description="Replaced by")
    def replaced_by(self, key: ApiKey) -> str:
        return ", ".join(map(str, key.successors.order_by("pk"))) or "-"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, key = create_key(obj.account, name=obj.name, scopes=obj.scopes, expires_at=obj.expires_at)
        obj.pk, obj.digest, obj.hint, obj.created_at = made.pk, made.digest, made.hint, made.created_at
        _show_once(request, key)

    @action(  # type: ignore[untyped-decorator]
        description="Rotate", url_path="rotate", permissions=["change"]
    )
    def rotate(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Make a successor with the same scopes; the old key works on for a while."""
        form = RotateForm(request.POST or None)
        if not form.is_valid():
            key = get_object_or_404(ApiKey, pk=object_id)
            shown = {"title": f"Rotate {key}", "form": form, "back": _page(object_id)}
            context = {**admin.site.each_context(request), **shown}
            return TemplateResponse(request, "accounts/rotate.html", context)
        overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
        try:
            made, new_key = rotate_key(object_id, overlap=overlap, expires_at=form.cleaned_data["expires_at"])
        except NotRotatable as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(_page(object_id))
        old = ApiKey.objects.get(pk=object_id)
        self.log_change(request, old, f"Rotated; the successor is {made.hint}….")
        self.log_addition(request, made, f"Created as the successor of {old.hint}….")
        _show_once(request, new_key)
        messages.info(request, f"The old key {old.hint}… works until {old.expires_at:%Y-%m-%d %H:%M} UTC.")
        return HttpResponseRedirect(_page(made.pk))

    @action(  # type: ignore[untyped-decorator]
        description="Revoke", url_path="revoke", permissions=["change"]
    )
    def revoke(self, request: HttpRequest, object_id: int) -> HttpResponse:
        key = get_object_or_404(ApiKey, pk=object_id)
        if key.revoked_at is not None:
            messages.info(request, "This key is revoked already.")
            return HttpResponseRedirect(_page(object_id))
        used = (
            f"It was last used at {key.last_used_at:%Y-%m-%d %H:%M} UTC."
            if key.last_used_at
            else "It was never used."
        )
        question = f"Answer all requests with {key} 401 from now on? This can't be undone. {used}"
        if ask := confirmed(request, title="Revoke", question=question, back=_page(object_id)):
            return ask
        ApiKey.objects.filter(pk=object_id, revoked_at=None).update(revoked_at=timezone.now())
        self.log_change(request, key, "Revoked.")
        messages.success(request, "Revoked: requests with this key are answered 401 from now on.")
        return HttpResponseRedirect(_page(object_id))


def _show_once(request: HttpRequest, key: str) -> None:
    messages.warning(request, f"Copy this key now; it won't be shown again: {key}")


def _page(object_id: int) -> str:
    return reverse("admin:accounts_apikey_change", args=[object_id])
