"""The admin's own users: users and groups, their action log, and their logins (django-axes)."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.db.models.deletion import PROTECT
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.closing import referring
from core.admin import ReadOnlyAdmin, TableAdmin, confirmed, worded

for model in (User, Group, AccessAttempt, AccessLog, AccessFailureLog):
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, TableAdmin):  # type: ignore[type-arg] # not subscriptable at run time
    """A user with a history is deactivated, not deleted: the history would go with the user."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "state", "rights", "last_login")

    RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
    """What gives rights in the admin."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may change users is no superuser by that: a superuser's password would make that person one."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and _may_touch(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Rights are a superuser's to give: anybody else could give all of them to themselves."""
        shown = super().get_readonly_fields(request, obj)
        return shown if _is_superuser(request) else (*shown, *self.RIGHTS)

    @display(description="State", label={"Active": "success", "Deactivated": "danger"})
    def state(self, user: User) -> str:
        return "Active" if user.is_active else "Deactivated"

    @admin.display(description="Rights")
    def rights(self, user: User) -> str:
        if user.is_superuser:
            return "superuser"
        return "staff" if user.is_staff else "no admin access"

    def why_kept(self, obj: User) -> str:
        protecting = [
            field.model._base_manager.filter(**{field.name: obj})
            for field in referring(User)
            if field.remote_field.on_delete is PROTECT or field.model is LogEntry
        ]
        kept = [str(rows.model._meta.verbose_name_plural) for rows in protecting if rows.exists()]
        if not kept:
            return ""
        return (
            f"{obj} can't be deleted: {' and '.join(kept)} name this user. Clear “Active” instead: the user "
            "can't log in then, and the history stays."
        )


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, TableAdmin):
    """What a group may do is a superuser's to say: anybody else could widen a group of their own."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, user: Any) -> bool:
    """Whether a user's account is one that this user may change or delete, if users at all.

    Not one with more rights: its password would give them.
    """
    if _is_superuser(request) or not isinstance(user, User) or user == request.user:
        return True
    return not user.is_superuser and user.get_all_permissions() <= request.user.get_all_permissions()


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What was done in the admin, and by which user."""

    list_display = ("action_time", "user", "content_type", "object_repr", "change_message")
    list_filter = ("content_type",)
    list_select_related = ("user", "content_type")
    search_fields = ("user__username", "object_repr", "change_message")
    ordering = ("-id",)


@admin.register(AccessAttempt)
class AccessAttemptAdmin(ReadOnlyAdmin):
    """Failed logins that count towards a lock-out; unlocking one forgets them."""

    list_display = ("username", "ip_address", "state", "failures_since_start", "attempt_time", "user_agent")
    search_fields = ("username", "ip_address__exact")
    ordering = ("-id",)
    fields = (
        *("username", "ip_address", "state", "failures_since_start", "attempt_time"),
        *("user_agent", "path_info"),
    )
    readonly_fields = ("state",)
    actions = ("unlock",)

    @display(description="State", label={"Locked out": "danger"})
    def state(self, attempt: AccessAttempt) -> str:
        is_locked = attempt.failures_since_start >= settings.AXES_FAILURE_LIMIT
        return "Locked out" if is_locked else "Counting"

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        allowed: bool = request.user.has_perm("axes.delete_accessattempt")
        return allowed

    @admin.action(description="Unlock", permissions=["unlock"])
    def unlock(self, request: HttpRequest, chosen: QuerySet[AccessAttempt]) -> HttpResponse | None:
        rows = list(chosen)
        if ask := confirmed(
            request,
            title="Unlock logins",
            question="Forget these failed logins, so that these users can try again at once?",
            table={
                "headers": ["Username", "IP address", "Failed logins"],
                "rows": [[row.username, row.ip_address, row.failures_since_start] for row in rows],
            },
            back=reverse("admin:axes_accessattempt_changelist"),
            button="Unlock",
        ):
            return ask
        for row in rows:
            self.log_deletions(request, chosen.filter(pk=row.pk))
        chosen.delete()
        messages.success(request, f"{len(rows)} unlocked.")
        return None


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin):
    list_display = ("attempt_time", "username", "ip_address", "logout_time", "user_agent")
    search_fields = ("username__startswith", "ip_address__exact")
    ordering = ("-id",)
    fields = ("attempt_time", "logout_time", "username", "ip_address", "user_agent", "path_info")


@admin.register(AccessFailureLog)
class AccessFailureLogAdmin(ReadOnlyAdmin):
    list_display = ("attempt_time", "username", "ip_address", "outcome", "user_agent")
    search_fields = ("username__startswith", "ip_address__exact")
    ordering = ("-id",)
    fields = ("attempt_time", "username", "ip_address", "outcome", "user_agent", "path_info")
    readonly_fields = ("outcome",)
    outcome = worded("locked_out", "Outcome", yes=("Locked out", "danger"), no=("Refused", "warning"))
