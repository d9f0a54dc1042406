"""Welcome Journeys in the admin: the builder, the enrollments, and the messages sent."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import TabularInline

from core.admin import ReadOnlyAdmin, TableAdmin
from core.codec import storable
from journeys import conditions
from journeys.builder import drafts, flow, forms, names, trial
from journeys.builder.drafts import TITLES, Fault
from journeys.builder.funnel import Funnel, funnel
from journeys.conditions import Person
from journeys.engine.advance import plan_of
from journeys.models import (
    Enrollment,
    EnrollmentStatus,
    Journey,
    JourneyVersion,
    OutboundMessage,
    Visit,
)
from journeys.steps import kind_of

_LONGEST_ID = 19
_FIELDS = ("account", "name", "status", "trigger", "steps", "seen")
_DRAFT_ID = re.compile(r"[A-Za-z0-9-]{1,40}")


@admin.register(Journey)
class JourneyAdmin(TableAdmin):
    """Made with an account and a name; then its page has the builder."""

    list_display = ("name", "account", "status", "steps", "created_at")
    list_filter = ("status",)
    list_select_related = ("account", "version")
    search_fields = ("name", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = ("account",)
    change_form_template = "journeys/change_form.html"

    class Media:
        js = ("journeys/drafts.js", "journeys/builder.js")
        css = {"all": ("journeys/builder.css",)}

    @admin.display(description="steps")
    def steps(self, journey: Journey) -> int:
        return len(journey.version.steps) if journey.version else 0

    def get_readonly_fields(self, request: HttpRequest, obj: Journey | None = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_fields(self, request: HttpRequest, obj: Journey | None = None) -> Any:
        if obj is None:
            return ("account", "name")
        if not self.has_change_permission(request, obj):
            return ("account", "name", "status")
        return (*_FIELDS, "empty_tags", "replaces")

    def get_form(self, request: HttpRequest, obj: Journey | None = None, *args: Any, **more: Any) -> Any:
        if obj is not None and self.has_change_permission(request, obj):
            more["form"] = forms.JourneyForm
        return super().get_form(request, obj, *args, **more)

    def has_delete_permission(self, request: HttpRequest, obj: Journey | None = None) -> bool:
        """Not once it has or had enrollments: archive it, its history stays."""
        if obj is not None and obj.enrollments.exists():
            return False
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed

    def get_actions(self, request: HttpRequest) -> Any:
        """Without `delete_selected`, which would not check whether the journeys have enrollments."""
        return {
            name: given for name, given in super().get_actions(request).items() if name != "delete_selected"
        }

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A journey's versions go with it, though a version can't be deleted by itself."""
        deletable, counts, needed, protected = super().get_deleted_objects(objs, request)
        return deletable, counts, needed - {JourneyVersion._meta.verbose_name}, protected

    def save_model(self, request: HttpRequest, obj: Journey, form: Any, change: Any) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        with transaction.atomic():
            obj.publish(
                form.cleaned_data["steps"], by=request.user if isinstance(request.user, User) else None
            )

    def response_add(self, request: HttpRequest, obj: Journey, *args: Any, **more: Any) -> HttpResponse:
        messages.success(request, "Journey created. Add a trigger and steps.")
        return HttpResponseRedirect(_page(obj))

    def response_change(self, request: HttpRequest, obj: Journey) -> HttpResponse:
        """Tells builder.js which draft is saved: it keeps each in the browser until then."""
        response: HttpResponse = super().response_change(request, obj)
        if _DRAFT_ID.fullmatch(draft := request.POST.get("draft", "")):
            response.set_cookie(
                "journey_saved", draft, max_age=600, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
            )
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        key = int(object_id) if object_id and object_id.isdecimal() and len(object_id) < _LONGEST_ID else 0
        journey = Journey.objects.select_related("account", "version").filter(pk=key).first()
        if journey:
            context |= _journey_context(journey, request)
        response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return response

    def get_urls(self) -> list[URLPattern]:
        def wrapped(view: Any, name: str) -> URLPattern:
            guarded = self.admin_site.admin_view(require_POST(_answering(view)))
            made: URLPattern = path(f"<int:object_id>/{name}/", guarded, name=f"journeys_journey_{name}")
            return made

        own = [wrapped(self.preview, "preview"), wrapped(self.trial, "trial")]
        return [*own, *super().get_urls()]

    def preview(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The flow chart and the problems of a draft, which is not saved."""
        journey, document = self._draft(request, object_id)
        lists, ids = dict(drafts.lists_of(journey.account)), drafts.ids_of(journey.account)
        draft = drafts.read_steps(document.get("steps"), ids)
        _, of_trigger = drafts.read_trigger(document.get("trigger"), ids)
        known = names.known_names(draft.entries, names.field_names(journey))
        warnings = names.warnings(names.unknown_tags(draft.entries, known), known)
        return JsonResponse(
            {
                "flow": flow.svg(flow.chart(draft.entries, lists, faults=draft.faults)),
                "problems": [_shown(fault) for fault in draft.faults[:_MOST_FAULTS]],
                "trigger_problems": [_shown(fault) for fault in of_trigger[:_MOST_FAULTS]],
                "warnings": [_shown(fault) for fault in warnings],
                "sizes": flow.sizes(draft.entries),
            }
        )

    def trial(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What would happen to a test contact with a draft, which is not saved."""
        journey, document = self._draft(request, object_id)
        contact = document.get("contact")
        given = {name: str(value) for name, value in contact.items()} if isinstance(contact, dict) else {}
        if not all(storable(text) for text in given.values()):
            raise BadRequest("Remove the character that can't be stored from the test contact.")
        form = forms.TrialForm(journey, given)
        ids = drafts.ids_of(journey.account)
        draft = drafts.read_steps(document.get("steps"), ids)
        group, of_trigger = drafts.read_trigger(document.get("trigger"), ids)
        problems = [str(fault) for fault in (*of_trigger, *draft.faults)][:_MOST_FAULTS]
        context: dict[str, Any] = {"form": form, "problems": problems}
        if form.is_valid() and not problems and draft.plan:
            joined = int(form.cleaned_data["joins"])
            person = Person(form.cleaned_data["fields_given"], {joined})
            sending_list = journey.account.sending_lists.get(pk=joined)
            known = {
                "phone_number": form.cleaned_data["phone_number"] or "+12025550199",
                "list_number": sending_list.phone_number,
                "list_name": sending_list.list_name,
                "brand_name": sending_list.brand_name,
            }
            context["matches"] = group is not None and conditions.begins(group, joined, person)
            context["where"] = form.where.key
            context["lines"] = trial.run(draft.plan, person, known, form.where, form.starts_at)
        return HttpResponse(render_to_string("journeys/trial.html", context, request))

    def _draft(self, request: HttpRequest, object_id: int) -> tuple[Journey, dict[str, Any]]:
        journey = Journey.objects.select_related("account").filter(pk=object_id).first()
        if journey is None:
            raise Http404
        if not self.has_change_permission(request, journey):
            raise PermissionDenied
        try:
            document = drafts.parse(request.body)
        except RequestDataTooBig as exc:
            raise BadRequest(f"Shorten the journey: {drafts.MOST_BYTES:,} bytes are allowed.") from exc
        except ValueError as exc:
            raise BadRequest(str(exc)) from exc
        if not isinstance(document, dict):
            raise BadRequest("The draft is not a JSON object. Reload the page and try again.")
        return journey, document


_MOST_FAULTS = 200
"""That an answer holds: a hundred steps may have thousands."""


def _answering(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view, which says in JSON why it refuses a request: builder.js shows it."""

    @wraps(view)
    def answer(request: HttpRequest, object_id: int) -> HttpResponse:
        try:
            return view(request, object_id)
        except BadRequest as exc:
            return JsonResponse({"error": str(exc)}, status=400)

    return answer


def _shown(fault: Fault) -> dict[str, Any]:
    return {"message": fault.message, "place": fault.place, "path": fault.path}


def _page(journey: Journey) -> str:
    return reverse("admin:journeys_journey_change", args=[journey.pk])


def _journey_context(journey: Journey, request: HttpRequest) -> dict[str, Any]:
    """What the page shows beside the form: what builder.js needs, and the funnel of a version."""
    with transaction.atomic():
        field_names = names.field_names(journey)
        asked = request.GET.get("version", "")
        versions = list(journey.versions.order_by("-number")[:20])
        shown = next((one for one in versions if str(one.number) == asked), journey.version)
        counted = funnel(journey, shown) if shown else None
    page = {
        "user": request.user.pk,
        "journey": journey.pk,
        "revision": journey.revision,
        "saved": forms.saved(journey),
        "is_sent": request.method == "POST",
        "most_bytes": drafts.MOST_BYTES,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "login": f"{reverse('admin:login')}?{urlencode({'next': _page(journey)})}",
    }
    context: dict[str, Any] = {
        "builder_options": forms.options(journey, field_names) | page,
        "trial_form": forms.TrialForm(journey),
        "journey_urls": {
            name: f"{_page(journey).removesuffix('change/')}{name}/" for name in ("preview", "trial")
        },
        "versions": versions,
    }
    if shown and counted:
        context |= _funnel_context(journey, shown, counted)
    return context


def _funnel_context(journey: Journey, version: JourneyVersion, counted: Funnel) -> dict[str, Any]:
    lists, entries = dict(drafts.lists_of(journey.account)), drafts.entries(version.steps)
    bars = [
        (entry.place, entry.title, stage, round(stage.share * 400))
        for entry in entries
        if (stage := counted.stages.get(entry.id))
    ]
    statuses = [(EnrollmentStatus(status).label, count) for status, count in sorted(counted.statuses.items())]
    return {
        "funnel_version": version,
        "funnel": counted,
        "funnel_bars": bars,
        "funnel_statuses": statuses,
        "funnel_flow": flow.svg(flow.chart(entries, lists, stages=counted.stages)),
    }


@admin.register(JourneyVersion)
class JourneyVersionAdmin(ReadOnlyAdmin):
    """The history of a journey's steps: each saved version, its author, and its time."""

    list_display = ("journey", "number", "created_by", "created_at")
    list_select_related = ("journey", "created_by")
    search_fields = ("journey__name",)
    ordering = ("-id",)


class VisitInline(TabularInline):
    """What an enrollment went through."""

    model = Visit
    extra = 0
    per_page = 50
    fields = ("number", "step_name", "note", "at")
    readonly_fields = fields
    ordering = ("number",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="step")
    def step_name(self, visit: Visit) -> str:
        plan = plan_of(visit.version_id)
        step = plan.by_id.get(visit.step)
        return f"{plan.number(step.id)} · {TITLES[kind_of(step)]}" if step else visit.step


class MessageInline(TabularInline):
    model = OutboundMessage
    extra = 0
    per_page = 50
    fields = ("text", "segments", "status", "error", "created_at", "sent_at")
    readonly_fields = fields
    ordering = ("number",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Enrollment)
class EnrollmentAdmin(ReadOnlyAdmin):
    list_display = ("journey", "list_contact", "status", "step", "due_at", "enrolled_at")
    list_filter = ("status",)
    list_select_related = ("journey", "list_contact__contact", "list_contact__sending_list")
    search_fields = ("list_contact__contact__phone_number__startswith", "journey__name")
    ordering = ("-id",)
    inlines = (VisitInline, MessageInline)


@admin.register(OutboundMessage)
class OutboundMessageAdmin(ReadOnlyAdmin):
    list_display = ("list_contact", "text", "segments", "status", "error", "due_at", "sent_at")
    list_filter = ("status", "gateway")
    list_select_related = ("list_contact__contact", "list_contact__sending_list")
    search_fields = ("list_contact__contact__phone_number__startswith", "gateway_id")
    ordering = ("-id",)
