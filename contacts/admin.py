"""Lists, contacts and memberships, for people."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Subquery, Sum
from django.db.models.expressions import OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action, display

from contacts import lists, tally
from contacts.models import Contact, ListContact, ListStatus, ListTally, SendingList
from core.admin import ReadOnlyAdmin, TableAdmin, confirmed, worded
from lookups.models import EVERYBODY, Kind, Lookup


@admin.register(SendingList)
class SendingListAdmin(TableAdmin):
    """Deleted means the status: the API no longer finds the list, and its memberships stay."""

    list_display = ("phone_number", "list_name", "brand_name", "account", "state", "members", "created_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("phone_number", "list_name", "brand_name", "account__name")
    ordering = ("-id",)
    autocomplete_fields = ("account",)
    fields = ("account", "phone_number", "brand_name", "list_name", "status", "members", "created_at")
    readonly_fields = ("members", "created_at")
    actions_detail = ("restore",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SendingList]:
        found: QuerySet[SendingList] = super().get_queryset(request)
        tallies = ListTally.objects.filter(sending_list=OuterRef("pk")).values("sending_list")
        return found.annotate(tallied=Subquery(tallies.annotate(sum=Sum("members")).values("sum")))

    def get_readonly_fields(self, request: HttpRequest, obj: SendingList | None = None) -> Any:
        """A list stays with its account: the memberships are consent that was given to that one."""
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A deleted list is for looking, until it is restored."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not _is_deleted(obj)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        field = super().formfield_for_choice_field(db_field, request, **more)
        if field is not None and db_field.name == "status":
            field.choices = [choice for choice in ListStatus.choices if choice[0] != ListStatus.DELETED]
        return field

    @display(
        description="Status",
        ordering="status",
        label={
            ListStatus.ACTIVE.label: "success",
            ListStatus.PAUSED.label: "warning",
            ListStatus.DELETED.label: "danger",
        },
    )
    def state(self, shown: SendingList) -> str:
        return ListStatus(shown.status).label

    @admin.display(description="Members")
    def members(self, shown: Any) -> str:
        return f"{getattr(shown, 'tallied', None) or 0:,}"

    def has_restore_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        if not super().has_change_permission(request):
            return False
        return object_id is None or _is_deleted(self.get_object(request, unquote(str(object_id))))

    @action(description="Restore", url_path="restore", permissions=["restore"])
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        shown = self.get_object(request, unquote(str(object_id)))
        if shown is None:  # deleted for good since the permission was checked
            raise PermissionDenied
        if ask := confirmed(
            request,
            title="Restore list",
            question=f"Restore {_name(shown)}? It is active again at once: contacts can be added to it, and "
            "messages are sent from it.",
            facts=_figures(shown),
            back=self.page_of(shown),
        ):
            return ask
        try:
            lists.restore(shown)
        except lists.NumberTakenError as exc:
            messages.error(request, f"The list can't be restored: {exc}")
        else:
            self.log_change(request, shown, "Restored.")
            messages.success(request, f"{_name(shown)} is active again.")
        return HttpResponseRedirect(self.page_of(shown))

    def delete_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Django's page would load every membership to count it."""
        shown = self.get_object(request, unquote(object_id))
        if shown is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_delete_permission(request, shown):
            raise PermissionDenied
        if _is_deleted(shown):
            messages.info(request, f"{_name(shown)} is deleted already.")
            return HttpResponseRedirect(self.page_of(shown))
        if ask := confirmed(
            request,
            title="Delete list",
            question=f"Delete {_name(shown)}? The API answers list_not_found for its number from now on; "
            "queued messages are cancelled, and contacts on its journeys leave them. "
            "Memberships and opt-outs are kept. The number can become a new list.",
            facts=_figures(shown),
            back=self.page_of(shown),
            is_danger=True,
        ):
            return ask
        lists.delete(shown)
        self.log_change(request, shown, "Deleted: the status is “deleted”, its memberships are kept.")
        messages.success(request, f"{_name(shown)} was deleted. Its memberships are kept.")
        return HttpResponseRedirect(reverse("admin:contacts_sendinglist_changelist"))


def _is_deleted(shown: Any) -> bool:
    return isinstance(shown, SendingList) and shown.status == ListStatus.DELETED


def _name(shown: SendingList) -> str:
    return f"“{shown.list_name}” ({shown.phone_number})" if shown.list_name else shown.phone_number


def _figures(shown: SendingList) -> list[tuple[str, str]]:
    """What hangs on a list: its members by tally, and what refers to it."""
    counted = tally.of_lists([shown.pk])[shown.pk]
    members = f"{counted.members:,}, of them {counted.active:,} subscribed"
    uses = [(label, ", ".join(names) or "none") for label, names in lists.uses_of(shown).items()]
    return [("Account", str(shown.account)), ("Members", members), *uses]


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
    fields = (*list_display, "lookup")
    readonly_fields = ("can_receive", "lookup")
    can_receive = worded(
        "can_receive",
        "Can receive text messages",
        yes=("Can receive", "success"),
        no=("Can't receive", "danger"),
    )

    @admin.display(description="Carrier lookup")
    def lookup(self, contact: Contact) -> str:
        """Where the facts stand: how old they are, or when the carrier is asked again."""
        asked = Lookup.objects.filter(
            kind=Kind.CARRIER, scope=EVERYBODY, phone_number=contact.phone_number, retry_at__isnull=False
        ).first()
        if asked is not None:
            when = f"{asked.retry_at:%Y-%m-%d %H:%M:%S} UTC"
            return f"unanswered ({asked.failures} attempts); the next one is after {when}"
        return "answered" if contact.verified_at else "not asked yet"


@admin.register(ListContact)
class ListContactAdmin(ReadOnlyAdmin):
    list_display = ("contact", "sending_list", "signup_date", "signup_method", "unsubscribed_at")
    list_filter = ("signup_method",)
    list_select_related = ("contact", "sending_list")
    search_fields = ("contact__phone_number__startswith",)
    ordering = ("-id",)
