"""Accounts and their keys, for people."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display

from accounts import operators  # noqa: F401 - their pages
from accounts.closing import belongings, close, resume, suspend
from accounts.forms import ApiKeyForm, RotateForm
from accounts.keys import NotRotatable, create_key, rotate_key
from accounts.models import Account, ApiKey, KeyState
from accounts.scopes import all_scopes
from core.admin import TableAdmin, confirmed, reason, worded


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

    @display(description="State", ordering="suspended_at", label={"Active": "success", "Suspended": "danger"})
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

    @action(description="Suspend", url_path="suspend", permissions=["change"], icon="block")
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

    @action(description="Resume", url_path="resume", permissions=["change"], icon="play_arrow")
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

    @action(description="Close account", url_path="close", permissions=["change"], icon="lock")
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

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return self.readonly_fields
        fixed = ("name", "scopes", "expires_at") if obj.revoked_at else ()
        return (*self.readonly_fields, "account", *fixed)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        state = key.state(timezone.now())
        return f"expires {key.expires_at:%Y-%m-%d %H:%M} UTC" if state == KeyState.EXPIRES else state.value

    @display(description="State", label=_STATE_COLORS)
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

    @action(description="Rotate", url_path="rotate", permissions=["change"])
    def rotate(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Make a successor with the same scopes; the old key works on for a while."""
        key = self.asked_about(request, object_id)
        form = RotateForm(request.POST or None)
        if not form.is_valid():
            shown = {"title": f"Rotate {key}", "form": form, "back": _page(key.pk)}
            context = {**admin.site.each_context(request), **shown}
            return TemplateResponse(request, "accounts/rotate.html", context)
        overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
        try:
            made, new_key = rotate_key(key.pk, overlap=overlap, expires_at=form.cleaned_data["expires_at"])
        except NotRotatable as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(_page(key.pk))
        old = ApiKey.objects.get(pk=key.pk)
        self.log_change(request, old, f"Rotated; the successor is {made.hint}….")
        self.log_addition(request, made, f"Created as the successor of {old.hint}….")
        _show_once(request, new_key)
        messages.info(request, f"The old key {old.hint}… works until {old.expires_at:%Y-%m-%d %H:%M} UTC.")
        return HttpResponseRedirect(_page(made.pk))

    @action(description="Revoke", url_path="revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, object_id: int) -> HttpResponse:
        key = self.asked_about(request, object_id)
        if key.revoked_at is not None:
            messages.info(request, "This key is revoked already.")
            return HttpResponseRedirect(_page(key.pk))
        used = (
            f"It was last used at {key.last_used_at:%Y-%m-%d %H:%M} UTC."
            if key.last_used_at
            else "It was never used."
        )
        question = f"Answer all requests with {key} 401 from now on? This can't be undone. {used}"
        if ask := confirmed(request, title="Revoke", question=question, back=_page(key.pk)):
            return ask
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.log_change(request, key, "Revoked.")
        messages.success(request, "Revoked: requests with this key are answered 401 from now on.")
        return HttpResponseRedirect(_page(key.pk))


def _show_once(request: HttpRequest, key: str) -> None:
    messages.warning(request, f"Copy this key now; it won't be shown again: {key}")


def _page(object_id: int) -> str:
    return reverse("admin:accounts_apikey_change", args=[object_id])
