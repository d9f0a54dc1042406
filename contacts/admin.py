"""Lists, contacts and memberships, for people."""

from django.contrib import admin

from contacts.models import Contact, ListContact, SendingList
from trackly.api.admin import ReadOnlyAdmin, TableAdmin


@admin.register(SendingList)
class SendingListAdmin(TableAdmin):
    list_display = ("phone_number", "list_name", "brand_name", "account", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("phone_number", "list_name", "brand_name", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = ("created_at",)


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


@admin.register(ListContact)
class ListContactAdmin(ReadOnlyAdmin):
    list_display = ("contact", "sending_list", "signup_date", "signup_method", "unsubscribed_at")
    list_filter = ("signup_method",)
    list_select_related = ("contact", "sending_list")
    search_fields = ("contact__phone_number__startswith",)
    ordering = ("-id",)
