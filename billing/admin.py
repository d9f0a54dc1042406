"""Billing states, results of paid validation, the ledger and invoices, for people."""

import json
import secrets
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import action

from billing import invoices, ledger, months, payments, usage
from billing.models import (
    MOST_MICRO_DOLLARS,
    BillingConfig,
    BillingStatus,
    EntryKind,
    Invoice,
    LedgerEntry,
    PaymentMethod,
    StripeEvent,
    Validation,
    dollars,
)
from trackly.api.admin import ReadOnlyAdmin, TableAdmin, confirmed

MONTHS_SHOWN = 12


class PaymentMethodInline(TabularInline):  # type: ignore[misc] # unfold ships no types
    """One that is of no use any more is detached, not deleted: Stripe may still speak of it."""

    model = PaymentMethod
    extra = 0
    can_delete = False
    readonly_fields = ("stripe_id", "created_at")


@admin.register(BillingConfig)
class BillingConfigAdmin(TableAdmin):
    list_display = ("account", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("account__name",)
    autocomplete_fields = ("account",)
    fields = ("account", "status", "stripe_customer_id", "created_at")
    readonly_fields = ("stripe_customer_id", "created_at")
    inlines = (PaymentMethodInline,)
    actions_detail = ("set_up_payment", "suspend", "resume")
    change_form_outer_after_template = "billing/usage.html"

    def get_readonly_fields(self, request: HttpRequest, obj: BillingConfig | None = None) -> Any:  # noqa: ARG002
        """States have actions: a form that has stood open would undo what a webhook did meanwhile."""
        return (*self.readonly_fields, "account", "status") if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: BillingConfig | None = None) -> bool:
        """Not once there is a customer at Stripe, or something owed."""
        if obj and (obj.stripe_customer_id or LedgerEntry.objects.filter(account=obj.account_id).exists()):
            return False
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed

    @action(  # type: ignore[untyped-decorator]
        description="Suspend", url_path="suspend", permissions=["change"]
    )
    def suspend(self, request: HttpRequest, object_id: int) -> HttpResponse:
        ask = confirmed(
            request,
            title="Suspend",
            question="Answer this account's requests for paid validation 402 from now on?",
            back=_page(object_id),
        )
        if ask:
            return ask
        BillingConfig.objects.filter(pk=object_id).update(status=BillingStatus.SUSPENDED)
        self.log_change(request, BillingConfig.objects.get(pk=object_id), "Suspended.")
        messages.success(request, "Suspended: requests for paid validation are answered 402 from now on.")
        return _back_to(object_id)

    @action(  # type: ignore[untyped-decorator]
        description="Resume", url_path="resume", permissions=["change"]
    )
    def resume(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """End a suspension, or a failed payment that no invoice is behind."""
        question = "End the suspension of this account, or a failed payment that no invoice is behind?"
        if ask := confirmed(request, title="Resume", question=question, back=_page(object_id)):
            return ask
        config = BillingConfig.objects.get(pk=object_id)
        with transaction.atomic():
            invoices.follow(config.account_id, resume=True)
        config.refresh_from_db()
        self.log_change(request, config, "Resumed.")
        messages.success(request, f"The state is: {config.get_status_display()}.")
        return _back_to(object_id)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        config = BillingConfig.objects.filter(pk=object_id).first() if object_id else None
        context = {**(extra_context or {}), **(_usage(config.account_id) if config else {})}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return response

    @action(  # type: ignore[untyped-decorator]
        description="Link to give a card", url_path="set-up-payment", permissions=["change"]
    )
    def set_up_payment(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A link to Stripe for the customer; card data never comes here."""
        question = "Make a customer at Stripe, if there is none, and a link for him to give a card?"
        if ask := confirmed(request, title="Make a link", question=question, back=_page(object_id)):
            return ask
        config = BillingConfig.objects.select_related("account").get(pk=object_id)
        back = request.build_absolute_uri(reverse("payment-method-registered"))
        try:
            url = payments.setup_url(config, return_to=back, once=secrets.token_hex(8))
        except payments.PaymentsError as exc:
            messages.error(request, f"Stripe gave no link: {exc}")
        else:
            self.log_change(request, config, "Made a link to give a card.")
            messages.success(request, f"For the customer, to give Stripe a card: {url}")
        return _back_to(object_id)


def _page(object_id: int) -> str:
    return reverse("admin:billing_billingconfig_change", args=[object_id])


def _back_to(object_id: int) -> HttpResponse:
    return HttpResponseRedirect(_page(object_id))


def _usage(account_id: int) -> dict[str, Any]:
    """A chart and a table of the last twelve months."""
    shown = usage.of_months(account_id, months.last(MONTHS_SHOWN, months.month_of(timezone.now())))
    labels = [f"{month.month:%Y-%m}" for month in shown]
    series = {"label": "Dollars", "data": [month.micro_dollars / 1_000_000 for month in shown]}
    return {
        "chart": json.dumps({"labels": labels, "datasets": [series]}),
        "usage": {
            "headers": ["Month", "Validations", "From memory", "Cost"],
            "rows": [
                [f"{m.month:%Y-%m}", m.validations, m.cached, dollars(m.micro_dollars)]
                for m in reversed(shown)
            ],
        },
    }


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    list_display = ("phone_number", "account", "disposition", "line_type", "ported", "on_dnc", "created_at")
    list_filter = ("disposition",)
    list_select_related = ("account",)
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable at run time
    """What is written by hand: an amount up or down, and why."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("reason"):
            self.add_error("reason", "Say why.")
        if abs(cleaned.get("micro_dollars") or 0) > MOST_MICRO_DOLLARS:
            self.add_error("micro_dollars", f"More than {dollars(MOST_MICRO_DOLLARS)} is a slip.")
        if cleaned.get("micro_dollars") == 0:
            self.add_error("micro_dollars", "An adjustment of nothing is none.")
        return cleaned


@admin.register(LedgerEntry)
class LedgerEntryAdmin(TableAdmin):
    """Append-only: what is wrong is taken back by another entry."""

    form = AdjustmentForm
    list_display = ("account", "kind", "amount", "validation", "reason", "created_by", "created_at")
    list_filter = ("kind",)
    list_select_related = ("account", "validation", "created_by")
    search_fields = ("validation__phone_number__startswith", "account__name")
    ordering = ("-id",)
    fields = ("account", "micro_dollars", "reason")
    autocomplete_fields = ("account",)
    actions = ("refund",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def save_model(self, request: HttpRequest, obj: LedgerEntry, form: Any, change: Any) -> None:
        obj.kind, obj.created_by = EntryKind.ADJUSTMENT, _user(request)
        super().save_model(request, obj, form, change)

    @admin.display(ordering="micro_dollars")
    def amount(self, entry: LedgerEntry) -> str:
        return str(entry)

    @admin.action(description="Refund", permissions=["add"])
    def refund(self, request: HttpRequest, chosen: QuerySet[LedgerEntry]) -> None:
        for entry in chosen:
            try:
                ledger.refund(entry, reason="By hand, in the admin", by=_user(request))
            except ValueError as exc:
                messages.error(request, f"{entry}, {entry.created_at:%Y-%m-%d}: {exc}")
            else:
                self.log_change(request, entry, "Refunded.")
                messages.success(request, f"{entry}, {entry.created_at:%Y-%m-%d}: refunded.")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets nobody else in
    return request.user


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ("account", "month", "status", "dollars", "next_attempt_at", "paid_at", "stripe_id")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("account__name", "stripe_id")
    ordering = ("-month", "-id")

    @admin.display(ordering="cents")
    def dollars(self, invoice: Invoice) -> str:
        return f"${invoice.cents / 100:.2f}"


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    list_display = ("stripe_id", "type", "object_id", "created_at", "received_at")
    search_fields = ("stripe_id", "object_id")
    ordering = ("-id",)
