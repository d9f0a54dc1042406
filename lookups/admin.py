"""What was asked of providers, for people."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Account
from core.admin import ReadOnlyAdmin
from lookups.models import EVERYBODY, Kind, Lookup


@admin.register(Lookup)
class LookupAdmin(ReadOnlyAdmin):
    list_display = ("phone_number", "kind", "answered_at", "failures", "retry_at", "error")
    list_filter = ("kind", ("retry_at", admin.EmptyFieldListFilter))
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)
    actions = ("retry",)

    @admin.action(description="Retry unanswered lookups", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Lookup]) -> None:
        waiting = list(chosen.filter(retry_at__isnull=False))
        count = chosen.filter(retry_at__isnull=False).update(retry_at=timezone.now())
        for lookup in waiting:
            self.log_change(request, lookup, "Retried.")
        self.message_user(request, f"{count} of these will be retried within seconds.", messages.SUCCESS)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lookup], search_term: str
    ) -> tuple[QuerySet[Lookup], bool]:
        """By the index of `lookup_once`, which begins with kind and scope: all of both are named."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        if search_term.strip():
            scopes = [EVERYBODY, *Account.objects.values_list("pk", flat=True)]
            found = found.filter(kind__in=Kind.values, scope__in=scopes)
        return found, duplicates

    def has_retry_permission(self, request: HttpRequest) -> bool:
        allowed: bool = request.user.has_perm("lookups.change_lookup")
        return allowed
