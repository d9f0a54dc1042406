"""Billing states, results of paid validation and the ledger, for people."""

from django.contrib import admin
from unfold.admin import TabularInline

from billing.models import BillingConfig, Charge, PaymentMethod, Validation
from trackly.api.admin import ReadOnlyAdmin, TableAdmin


class PaymentMethodInline(TabularInline):  # type: ignore[misc] # unfold ships no types
    model = PaymentMethod
    extra = 0
    readonly_fields = ("created_at",)


@admin.register(BillingConfig)
class BillingConfigAdmin(TableAdmin):
    list_display = ("account", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("account__name",)
    autocomplete_fields = ("account",)
    readonly_fields = ("created_at",)
    inlines = (PaymentMethodInline,)


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    list_display = ("phone_number", "account", "disposition", "line_type", "ported", "on_dnc", "created_at")
    list_filter = ("disposition",)
    list_select_related = ("account",)
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)


@admin.register(Charge)
class ChargeAdmin(ReadOnlyAdmin):
    list_display = ("account", "validation", "dollars", "created_at")
    list_select_related = ("account", "validation")
    search_fields = ("validation__phone_number__startswith",)
    ordering = ("-id",)

    @admin.display(ordering="micro_dollars")
    def dollars(self, charge: Charge) -> str:
        return str(charge)
