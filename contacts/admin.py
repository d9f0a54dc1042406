"""Lists, contacts and memberships, for people."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest

from contacts.models import Contact, ListContact, SendingList
from trackly.api.admin import ReadOnlyAdmin, TableAdmin
from trackly.lookups.models import Kind, Lookup


@admin.register(SendingList)
class SendingListAdmin(TableAdmin):
    list_display = ("phone_number", "list_name", "brand_name", "account", "status", "members", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("phone_number", "list_name", "brand_name", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = ("members", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SendingList]:
        found: QuerySet[SendingList] = super().get_queryset(request)
        return found.annotate(tallied=Sum("tallies__members"))

    @admin.display(ordering="tallied")
    def members(self, shown: Any) -> int:
        return shown.tallied or 0


@admin.register(Contact)
class ContactAdmin(ReadOnlyAdmin):
    list_display = (
        "phone_number",
        "line_type",
        "carrier",
        "time_zone",
        "can_receive",
        "verified_at",
        "created_at",
    )
    list_filter = ("line_type", "can_receive")
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)
    readonly_fields = ("look_up",)

    @admin.display(description="carrier look-up")
    def look_up(self, contact: Contact) -> str:
        """Where the facts stand: how old they are, or when the carrier is asked again."""
        asked = Lookup.objects.filter(
            kind=Kind.CARRIER, phone_number=contact.phone_number, retry_at__isnull=False
        ).first()
        if asked is not None:
            when = f"{asked.retry_at:%Y-%m-%d %H:%M:%S} UTC"
            return f"nobody answered ({asked.failures} times); asked again after {when}"
        return "answered" if contact.verified_at else "not asked yet"


@admin.register(ListContact)
class ListContactAdmin(ReadOnlyAdmin):
    list_display = ("contact", "sending_list", "signup_date", "signup_method", "unsubscribed_at")
    list_filter = ("signup_method",)
    list_select_related = ("contact", "sending_list")
    search_fields = ("contact__phone_number__startswith",)
    ordering = ("-id",)
