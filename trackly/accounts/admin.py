"""Accounts and their keys, for people."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from trackly.accounts.keys import create_key
from trackly.accounts.models import Account, ApiKey
from trackly.api.admin import ReadOnlyAdmin, TableAdmin

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


@admin.register(ApiKey)
class ApiKeyAdmin(TableAdmin):
    """A key is shown once, right after it was made; later pages know its first characters only."""

    list_display = ("hint", "name", "account", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("account",)
    search_fields = ("name", "hint", "account__name")
    autocomplete_fields = ("account",)
    fields = ("account", "name", "hint", "created_at", "last_used_at", "revoked_at")
    readonly_fields = ("hint", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:  # noqa: ARG002
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, key = create_key(obj.account, name=obj.name)
        obj.pk, obj.digest, obj.hint, obj.created_at = made.pk, made.digest, made.hint, made.created_at
        messages.warning(request, f"The key, which is never shown again: {key}")

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        chosen = list(queryset.filter(revoked_at=None))
        revoked = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        for key in chosen:
            self.log_change(request, key, "Revoked.")
        messages.success(request, f"{revoked} revoked; requests with them are answered 401 from now on.")
