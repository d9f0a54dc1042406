"""Jobs and their slices, for people."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import ReadOnlyAdmin, worded
from ingestion.jobs.results import summary_of
from ingestion.models import BulkJob, BulkSlice, Incident


@admin.register(BulkJob)
class BulkJobAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "account",
        "status",
        "total",
        "processed",
        "success_count",
        "error_count",
        "created_at",
        "completed_at",
    )
    list_filter = ("status", "kind", "created_at")
    list_select_related = ("account",)
    search_fields = ("id__exact", "account__name", "request_id__exact")
    ordering = ("-created_at", "-id")  # there is an index of it
    fields = (
        *("id", "account", "kind", "status", "total", "processed", "success_count", "error_count"),
        *("created_at", "sent_at", "queue_slot", "started_at", "completed_at", "cancel_requested_at"),
        "whole_summary",
    )
    readonly_fields = ("id", "queue_slot", "whole_summary")
    queue_slot = worded("turn_over", "Queue slot", yes=("Released", ""), no=("Held", "info"))

    @admin.display(description="summary")
    def whole_summary(self, job: BulkJob) -> str:
        return (summary_of(job) or b"").decode()


@admin.register(BulkSlice)
class BulkSliceAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "lane", "status", "size", "attempts", "sent_at", "finished_at")
    list_filter = ("lane", "status")
    search_fields = ("job__id__exact",)
    exclude = ("payload",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkSlice]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.defer("payload", "results", "errors")


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    """What had to be mended. Few are normal (a deploy, a killed worker); many are not."""

    list_display = ("at", "kind", "count", "job", "slice_id")
    list_filter = ("kind",)
    search_fields = ("job__id__exact",)
    ordering = ("-id",)
