"""Billing states, results of paid validation, the ledger and invoices, for people."""

import json
import secrets
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display

from billing import gate, invoices, ledger, months, payments, usage
from billing.forms import AdjustmentForm
from billing.models import (
    BillingConfig,
    BillingStatus,
    Disposition,
    Invoice,
    LedgerEntry,
    PaymentMethod,
    StripeEvent,
    Validation,
    dollars,
    in_cents,
)
from core.admin import LabelledInline, ReadOnlyAdmin, TableAdmin, confirmed, reason, worded

MONTHS_SHOWN = 12


class PaymentMethodInline(LabelledInline):
    """One that is of no use any more is detached, not deleted: Stripe may still speak of it."""

    model = PaymentMethod
    extra = 0
    can_delete = False
    readonly_fields = ("stripe_id", "created_at")


class RefusalFilter(admin.SimpleListFilter):
    """By what the API answers."""

    title = "paid validation"
    parameter_name = "refusal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        reasons = [(code, why.label) for code, why in gate.REASONS.items() if code != gate.NO_CONFIG]
        return [("none", _ALLOWED), *reasons]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(refusal=None if value == "none" else value)


_ALLOWED = "Allowed"


@admin.register(BillingConfig)
class BillingConfigAdmin(TableAdmin):
    list_display = ("account", "paid_validation", "created_at")
    list_filter = (RefusalFilter,)
    list_select_related = ("account",)
    search_fields = ("account__name",)
    ordering = ("-id",)
    autocomplete_fields = ("account",)
    fields = ("account", "paid_validation", "answer", "remedy", "status", "stripe_customer_id", "created_at")
    readonly_fields = ("paid_validation", "answer", "remedy", "stripe_customer_id", "created_at")
    inlines = (PaymentMethodInline,)
    actions_detail = ("set_up_payment", "suspend", "resume")
    change_form_outer_after_template = "billing/usage.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BillingConfig]:
        return gate.with_refusal(super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: BillingConfig | None = None) -> Any:
        """What the API answers, and not the stored state, which is one part of it."""
        if obj is None:
            return ("account", "status")
        return [name for name in super().get_fields(request, obj) if name != "status"]

    def get_readonly_fields(self, request: HttpRequest, obj: BillingConfig | None = None) -> Any:
        """States have actions: a form that has stood open would undo what a webhook did meanwhile."""
        return (*self.readonly_fields, "account", "status") if obj else self.readonly_fields

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Suspend what is not suspended, resume what is not active."""
        config = self.get_object(request, unquote(str(object_id)))
        done = {BillingStatus.ACTIVE: "resume", BillingStatus.SUSPENDED: "suspend"}
        nothing_to_do = done.get(config.status) if config else None
        offered = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.method.original_function_name != nothing_to_do]

    @display(
        description="Paid validation",
        label={_ALLOWED: "success"} | {why.label: "danger" for why in gate.REASONS.values()},
    )
    def paid_validation(self, config: Any) -> str:
        return _ALLOWED if config.refusal is None else gate.REASONS[config.refusal].label

    @admin.display(description="Requests with use_validation")
    def answer(self, config: Any) -> str:
        if config.refusal is None:
            return "are accepted"
        return f"are answered 402 {config.refusal}: “{gate.REASONS[config.refusal].message}”"

    @admin.display(description="What to do")
    def remedy(self, config: Any) -> str:
        return "nothing" if config.refusal is None else gate.REASONS[config.refusal].remedy

    def why_kept(self, obj: BillingConfig) -> str:
        """Not once there is a customer at Stripe, or something owed."""
        if obj.stripe_customer_id:
            return "This billing can't be deleted: there is a customer of it at Stripe. Suspend it instead."
        if LedgerEntry.objects.filter(account=obj.account_id).exists():
            return "This billing can't be deleted: its account has ledger entries. Suspend it instead."
        return ""

    @action(description="Suspend", url_path="suspend", permissions=["change"])
    def suspend(self, request: HttpRequest, object_id: int) -> HttpResponse:
        config = self.asked_about(request, object_id)
        if ask := confirmed(
            request,
            title="Suspend paid validation",
            question=f"Suspend paid validation for {config.account}? Its requests with use_validation are "
            "answered 402 from now on. Invoices are still made and collected.",
            back=_page(object_id),
            button="Suspend",
            is_danger=True,
            asks_reason=True,
        ):
            return ask
        BillingConfig.objects.filter(pk=object_id).update(status=BillingStatus.SUSPENDED)
        self.log_change(request, config, f"Suspended: {reason(request)}")
        messages.success(request, "Suspended: requests with use_validation are answered 402 from now on.")
        return _back_to(object_id)

    @action(description="Resume", url_path="resume", permissions=["change"])
    def resume(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """End a suspension, or a failed payment that no invoice is behind."""
        config = self.asked_about(request, object_id)
        if ask := confirmed(
            request,
            title="Resume paid validation",
            question=f"Resume paid validation for {config.account}? Ends a suspension. A failed payment ends "
            "with its invoice; it ends here only if no invoice has failed.",
            back=_page(object_id),
            button="Resume",
            asks_reason=True,
        ):
            return ask
        with transaction.atomic():
            invoices.follow(config.account_id, resume=True)
        self.log_change(request, config, f"Resumed: {reason(request)}")
        code = gate.refusal(config.account)
        if code is None:
            messages.success(request, "Requests with use_validation are accepted.")
        else:
            messages.warning(request, f"{gate.REASONS[code].message} {gate.REASONS[code].remedy}")
        return _back_to(object_id)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        config = self.get_object(request, unquote(object_id)) if object_id else None
        context = {**(extra_context or {}), **(_usage(config.account_id) if config else {})}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return response

    @action(description="Create payment-method link", url_path="set-up-payment", permissions=["change"])
    def set_up_payment(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A link to Stripe for the customer; card data never comes here."""
        config = self.asked_about(request, object_id)
        if ask := confirmed(
            request,
            title="Create payment-method link",
            question=f"Create a link with which {config.account} can give Stripe a card? A customer is "
            "created at Stripe if there is none.",
            back=_page(object_id),
            button="Create link",
        ):
            return ask
        back = request.build_absolute_uri(reverse("payment-method-registered"))
        try:
            url = payments.setup_url(config, return_to=back, once=secrets.token_hex(8))
        except payments.PaymentsError as exc:
            messages.error(request, f"Stripe gave no link: {exc}")
        else:
            self.log_change(request, config, "Created a payment-method link.")
            messages.success(request, f"Send this link to the customer: {url}")
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
            "headers": ["Month", "Validations", "Cached (free)", "Cost"],
            "rows": [
                [f"{m.month:%Y-%m}", m.validations, m.cached, dollars(m.micro_dollars)]
                for m in reversed(shown)
            ],
        },
    }


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    list_display = (
        *("phone_number", "account", "result", "line_type", "do_not_call", "porting", "created_at"),
    )
    list_filter = ("disposition",)
    list_select_related = ("account",)
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)
    fields = (
        *("phone_number", "account", "result", "number", "line_type", "carrier", "do_not_call"),
        *("porting", "country", "created_at"),
    )
    readonly_fields = ("result", "number", "do_not_call", "porting")
    number = worded("valid", "Number", yes=("Valid", "success"), no=("Invalid", "danger"))
    do_not_call = worded("on_dnc", "Do-not-call list", yes=("Listed", "danger"), no=("Not listed", ""))
    porting = worded("ported", "Ported", yes=("Ported", "info"), no=("Not ported", ""))

    @display(
        description="Disposition",
        ordering="disposition",
        label={
            Disposition.OK.label: "success",
            Disposition.RISKY.label: "warning",
            Disposition.UNREACHABLE.label: "danger",
            Disposition.INVALID.label: "danger",
        },
    )
    def result(self, validation: Validation) -> str:
        return Disposition(validation.disposition).label


_SALT = "billing.adjustment"
_ANSWERED_WITHIN = timedelta(hours=1)
_REFUNDS_AT_ONCE = 50


@admin.register(LedgerEntry)
class LedgerEntryAdmin(TableAdmin):
    """Append-only: what is wrong is taken back by another entry, so each entry is asked about first."""

    form = AdjustmentForm
    list_display = ("account", "kind", "amount", "validation", "reason", "created_by", "created_at")
    list_filter = ("kind",)
    list_select_related = ("account", "validation", "created_by")
    search_fields = ("validation__phone_number__startswith", "account__name")
    sortable_by = ()
    ordering = ("-id",)
    autocomplete_fields = ("account",)
    actions = ("refund",)

    def get_fields(self, request: HttpRequest, obj: LedgerEntry | None = None) -> Any:
        if obj is None:
            return ("account", "amount", "reason")
        return ("account", "kind", "amount", "validation", "reverses", "reason", "created_by", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: LedgerEntry | None = None) -> Any:
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Ask before an adjustment is booked: the form, how it will stand in the ledger, then the entry."""
        if request.method == "POST" and self.has_add_permission(request):
            form = cast("AdjustmentForm", self.get_form(request)(request.POST))
            if form.is_valid():
                return self._book(request, form)
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def _book(self, request: HttpRequest, form: AdjustmentForm) -> HttpResponse:
        account, amount, why = (form.cleaned_data[name] for name in ("account", "amount", "reason"))
        after = _asked_after(request, [account.pk, amount, why])
        bears = {}
        if after is None:
            after = ledger.last_entry()
            bears["asked"] = signing.dumps([account.pk, amount, why, after], salt=_SALT)
        month = months.month_of(timezone.now())
        so_far = usage.of_months(account.pk, [month])[0].micro_dollars
        if ask := confirmed(
            request,
            title="Book adjustment",
            question="Book this adjustment? It can't be changed or deleted afterwards, only adjusted again.",
            facts=[
                ("Account", f"{account} (id {account.pk})"),
                ("Amount", f"{dollars(amount)} ({'owes more' if amount > 0 else 'owes less'})"),
                ("Reason", why),
                (f"Total of {month:%B %Y}", f"{dollars(so_far)} → {dollars(so_far + amount)}"),
            ],
            back=reverse("admin:billing_ledgerentry_add"),
            bears=bears,
        ):
            return ask
        try:
            entry = ledger.adjust(account.pk, amount, reason=why, by=_user(request), after=after)
        except ValueError as exc:
            messages.warning(request, str(exc))
        else:
            self.log_addition(request, entry, f"Adjustment of {entry}: {why}")
            messages.success(request, f"Booked: {entry} for {account}.")
        return HttpResponseRedirect(reverse("admin:billing_ledgerentry_changelist"))

    @admin.display(description="Amount")
    def amount(self, entry: LedgerEntry) -> str:
        return str(entry)

    @admin.action(description="Refund", permissions=["add"])
    def refund(self, request: HttpRequest, chosen: QuerySet[LedgerEntry]) -> HttpResponse | None:
        entries = list(chosen.select_related("account", "validation", "refund")[: _REFUNDS_AT_ONCE + 1])
        if len(entries) > _REFUNDS_AT_ONCE:
            messages.error(request, f"Choose at most {_REFUNDS_AT_ONCE} entries.")
            return None
        refundable = [entry for entry in entries if not ledger.why_not_refundable(entry)]
        for entry in entries:
            if why := ledger.why_not_refundable(entry):
                messages.error(request, f"{_described(entry)}: {why}")
        if not refundable:
            return None
        if ask := confirmed(request, **_question_of(refundable), asks_reason=True):
            return ask
        for entry in refundable:
            try:
                ledger.refund(entry, reason=reason(request), by=_user(request))
            except ValueError as exc:
                messages.error(request, f"{_described(entry)}: {exc}")
            else:
                self.log_change(request, entry, f"Refunded: {reason(request)}")
                messages.success(request, f"{_described(entry)}: refunded.")
        return None


def _described(entry: LedgerEntry) -> str:
    return f"{entry}, {entry.created_at:%Y-%m-%d}"


def _question_of(entries: list[LedgerEntry]) -> dict[str, Any]:
    """The page that asks about refunds: each, and what the months of their accounts come to then."""
    month = months.month_of(timezone.now())
    accounts = {entry.account_id: entry.account for entry in entries}
    facts = []
    for account_id, account in accounts.items():
        so_far = usage.of_months(account_id, [month])[0].micro_dollars
        back = sum(entry.micro_dollars for entry in entries if entry.account_id == account_id)
        facts.append((str(account), f"{month:%B %Y}: {dollars(so_far)} → {dollars(so_far - back)}"))
    total = dollars(sum(entry.micro_dollars for entry in entries))
    charges = "this charge" if len(entries) == 1 else f"these {len(entries)} charges"
    return {
        "title": "Refund",
        "question": f"Refund {charges}, {total} altogether? A refund can't be taken back.",
        "facts": facts,
        "table": {
            "headers": ["Account", "Number", "Charged", "Refund", "Date"],
            "rows": [
                [
                    str(entry.account),
                    entry.validation.phone_number if entry.validation else "-",
                    str(entry),
                    dollars(-entry.micro_dollars),
                    f"{entry.created_at:%Y-%m-%d}",
                ]
                for entry in entries
            ],
        },
        "back": reverse("admin:billing_ledgerentry_changelist"),
        "button": f"Refund {total}",
    }


def _asked_after(request: HttpRequest, adjustment: list[Any]) -> int | None:
    """The newest entry when this very adjustment was asked about; None: it was not, or long ago."""
    try:
        *asked, after = signing.loads(request.POST.get("asked", ""), salt=_SALT, max_age=_ANSWERED_WITHIN)
    except signing.BadSignature:
        return None
    return after if asked == adjustment else None


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied  # the admin site has refused anonymous requests before
    return request.user


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ("account", "month", "status", "collected", "next_attempt_at", "paid_at", "stripe_id")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("account__name", "stripe_id__startswith")
    ordering = ("-id",)
    fields = (
        *(
            "account",
            "month",
            "status",
            "months_ledger",
            "carried",
            "collected",
            "reference",
            "stripe_id",
            "replaced_id",
        ),
        *("tried_at", "next_attempt_at", "created_at", "paid_at"),
    )
    readonly_fields = ("months_ledger", "carried", "collected")

    @admin.display(description="The month's ledger")
    def months_ledger(self, invoice: Invoice) -> str:
        return dollars(invoice.micro_dollars)

    @admin.display(description="Carried in from the invoice before")
    def carried(self, invoice: Invoice) -> str:
        return dollars(invoice.carried_in)

    @admin.display(description="Collected, or paid back (-)")
    def collected(self, invoice: Invoice) -> str:
        return in_cents(invoice.cents)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    list_display = ("stripe_id", "type", "object_id", "created_at", "received_at")
    search_fields = ("stripe_id__startswith", "object_id__startswith")
    ordering = ("-id",)
