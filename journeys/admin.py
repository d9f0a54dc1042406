"""Welcome Journeys and who is on them, for people."""

from django.contrib import admin

from journeys.models import Enrollment, Journey
from trackly.api.admin import ReadOnlyAdmin, TableAdmin


@admin.register(Journey)
class JourneyAdmin(TableAdmin):
    list_display = ("name", "account", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("name", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = ("created_at",)


@admin.register(Enrollment)
class EnrollmentAdmin(ReadOnlyAdmin):
    list_display = ("journey", "list_contact", "status", "enrolled_at")
    list_filter = ("status",)
    list_select_related = ("journey", "list_contact__contact", "list_contact__sending_list")
    search_fields = ("list_contact__contact__phone_number__startswith", "journey__name")
    ordering = ("-id",)
