"""Accounts and their keys, for people."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.decorators import action, display

from trackly.accounts import operators  # noqa: F401 - their pages
from trackly.accounts.closing import belongings, close, resume, suspend
from trackly.accounts.keys import create_key
from trackly.accounts.models import Account, ApiKey
from trackly.api.admin import TableAdmin, confirmed, reason, worded


@admin.register(Account)
class AccountAdmin(TableAdmin):
    """An account that something belongs to is closed, not deleted: its jobs and ledger are records."""

    list_display = ("name", "id", "state", "voip", "requests_per_minute", "created_at")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter), "rejects_voip")
    search_fields = ("name", "id__exact")
    ordering = ("-id",)
    fields = ("name", "rejects_voip", "requests_per_minute", "state", "suspended_at", "created_at")
    readonly_fields = ("state", "suspended_at", "created_at")
    actions_detail = ("suspend", "resume", "close")
    voip = worded("rejects_voip", "VOIP numbers", yes=("Rejected", "info"), no=("Accepted", ""))

    @display(  # type: ignore[untyped-decorator] # unfold ships no types
        description="State", ordering="suspended_at", label={"Active": "success", "Suspended": "danger"}
    )
    def state(self, account: Account) -> str:
        return "Suspended" if account.suspended_at else "Active"

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return super().get_fields(request, obj) if obj else ("name", "rejects_voip", "requests_per_minute")

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Suspend or resume, whichever there is to do."""
        account = self.get_object(request, unquote(str(object_id)))
        other = "resume" if account is None or account.suspended_at is None else "suspend"
        offered = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.method.original_function_name != other]

    def why_kept(self, obj: Account) -> str:
        if not (kept := belongings(obj)):
            return ""
        return f"This account can't be deleted: {', '.join(kept)} belong to it. Close it instead."

    @action(  # type: ignore[untyped-decorator]
        description="Suspend", url_path="suspend", permissions=["change"], icon="block"
    )
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.asked_about(request, object_id)
        if ask := confirmed(
            request,
            title="Suspend account",
            question=f"Suspend {account.name} from now on? All requests with its keys are answered 403 "
            "account_suspended. Its journeys and messages wait until it is resumed; messages that wait for a "
            "week are cancelled. Batches that were accepted are still processed.",
            back=self.page_of(account),
            button="Suspend",
            is_danger=True,
            asks_reason=True,
        ):
            return ask
        if suspend(account.pk):
            self.log_change(request, account, f"Suspended: {reason(request)}")
        messages.success(request, f"{account.name} is suspended.")
        return HttpResponseRedirect(self.page_of(account))

    @action(  # type: ignore[untyped-decorator]
        description="Resume", url_path="resume", permissions=["change"], icon="play_arrow"
    )
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.asked_about(request, object_id)
        if ask := confirmed(
            request,
            title="Resume account",
            question=f"End the suspension of {account.name}? Its keys work again, but for revoked ones; its "
            "journeys and waiting messages continue.",
            back=self.page_of(account),
            button="Resume",
            asks_reason=True,
        ):
            return ask
        if resume(account.pk):
            self.log_change(request, account, f"Resumed: {reason(request)}")
        messages.success(request, f"{account.name} is active.")
        return HttpResponseRedirect(self.page_of(account))

    @action(  # type: ignore[untyped-decorator]
        description="Close account", url_path="close", permissions=["change"], icon="lock"
    )
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.asked_about(request, object_id)
        working = ApiKey.objects.filter(account=account, revoked_at=None).count()
        if ask := confirmed(
            request,
            title="Close account",
            question=f"Close {account.name}? It is suspended and its API keys are revoked, which can't be "
            "undone. Everything that belongs to it is kept.",
            facts=[
                ("API keys", f"{working} to be revoked"),
                ("Journeys", "wait; their messages are cancelled after a week"),
                ("Kept", ", ".join(belongings(account)) or "nothing belongs to it"),
            ],
            back=self.page_of(account),
            is_danger=True,
            asks_reason=True,
        ):
            return ask
        revoked = close(account.pk)
        self.log_change(request, account, f"Closed: {reason(request)} ({revoked} API keys revoked)")
        messages.success(request, f"{account.name} is closed: suspended, {revoked} API keys revoked.")
        return HttpResponseRedirect(self.page_of(account))


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
