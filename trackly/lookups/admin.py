"""What was asked of providers, for people."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from trackly.api.admin import ReadOnlyAdmin
from trackly.lookups.models import Lookup


@admin.register(Lookup)
class LookupAdmin(ReadOnlyAdmin):
    list_display = ("phone_number", "kind", "answered_at", "failures", "retry_at", "error")
    list_filter = ("kind", ("retry_at", admin.EmptyFieldListFilter))
    search_fields = ("phone_number__startswith",)
    ordering = ("-id",)
    actions = ("ask_again_now",)

    @admin.action(description="Ask again now what nobody answered", permissions=["ask_again"])
    def ask_again_now(self, request: HttpRequest, chosen: QuerySet[Lookup]) -> None:
        waiting = list(chosen.filter(retry_at__isnull=False))
        count = chosen.filter(retry_at__isnull=False).update(retry_at=timezone.now())
        for lookup in waiting:
            self.log_change(request, lookup, "Asked again.")
        self.message_user(request, f"{count} of these will be asked about within seconds.", messages.SUCCESS)

    def has_ask_again_permission(self, request: HttpRequest) -> bool:
        allowed: bool = request.user.has_perm("lookups.change_lookup")
        return allowed
