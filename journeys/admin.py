"""Welcome Journeys for people: a builder, who is on them, and what was sent."""

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import TabularInline

from journeys import conditions
from journeys.builder import drafts, flow, forms, trial
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
from trackly import sql
from trackly.api.admin import ReadOnlyAdmin, TableAdmin

# Names that the account's newest memberships have: what a marketer is likely to ask for.
_FIELD_NAMES = """
SELECT DISTINCT jsonb_object_keys(newest.custom_fields) AS name
FROM (
    SELECT id FROM contacts_sendinglist WHERE account_id = %(account)s ORDER BY id DESC LIMIT 20
) AS list CROSS JOIN LATERAL (
    SELECT custom_fields FROM contacts_listcontact
    WHERE sending_list_id = list.id ORDER BY signup_date DESC, id DESC LIMIT 50
) AS newest
ORDER BY name LIMIT 50
"""


_LONGEST_ID = 19


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
        js = ("journeys/builder.js",)
        css = {"all": ("journeys/builder.css",)}

    @admin.display(description="steps")
    def steps(self, journey: Journey) -> int:
        return len(journey.version.steps) if journey.version else 0

    def get_readonly_fields(self, request: HttpRequest, obj: Journey | None = None) -> Any:  # noqa: ARG002
        return self.readonly_fields if obj else ()

    def get_fields(self, request: HttpRequest, obj: Journey | None = None) -> Any:
        if obj is None:
            return ("account", "name")
        if not self.has_change_permission(request, obj):
            return ("account", "name", "status")
        return ("account", "name", "status", "trigger", "steps", "seen")

    def get_form(self, request: HttpRequest, obj: Journey | None = None, *args: Any, **more: Any) -> Any:
        if obj is not None and self.has_change_permission(request, obj):
            more["form"] = forms.JourneyForm
        return super().get_form(request, obj, *args, **more)

    def has_delete_permission(self, request: HttpRequest, obj: Journey | None = None) -> bool:
        """Not once somebody is or was on it: archive it, its history stays."""
        if obj is not None and obj.enrollments.exists():
            return False
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed

    def get_actions(self, request: HttpRequest) -> Any:
        """Deleting many at once would ask nobody whether they have enrollments."""
        return {
            name: given for name, given in super().get_actions(request).items() if name != "delete_selected"
        }

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A journey's versions go with it, though nobody deletes one by itself."""
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

    def response_add(self, request: HttpRequest, obj: Journey, *args: Any, **more: Any) -> HttpResponse:  # noqa: ARG002
        messages.success(request, "Made. Now say whom it greets, and what happens.")
        return HttpResponseRedirect(_page(obj))

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
            guarded = self.admin_site.admin_view(require_POST(view))
            made: URLPattern = path(f"<int:object_id>/{name}/", guarded, name=f"journeys_journey_{name}")
            return made

        own = [wrapped(self.preview, "preview"), wrapped(self.trial, "trial")]
        return [*own, *super().get_urls()]

    def preview(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The flow chart and the problems of a draft, which is not saved."""
        journey, document = self._draft(request, object_id)
        names, ids = dict(drafts.lists_of(journey.account)), drafts.ids_of(journey.account)
        plan, found = drafts.read_steps(document.get("steps"), ids)
        _, of_trigger = drafts.read_trigger(document.get("trigger"), ids)
        chart = flow.chart(plan, names, problems={problem.step for problem in found})
        return JsonResponse(
            {
                "flow": flow.svg(chart),
                "problems": [vars(problem) for problem in found],
                "trigger_problems": of_trigger,
                "sizes": flow.sizes(plan),
            }
        )

    def trial(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What would happen to a test contact with a draft, which is not saved."""
        journey, document = self._draft(request, object_id)
        contact = document.get("contact")
        given_contact = {n: str(value) for n, value in contact.items()} if isinstance(contact, dict) else {}
        form = forms.TrialForm(journey, given_contact)
        ids = drafts.ids_of(journey.account)
        plan, found = drafts.read_steps(document.get("steps"), ids)
        group, of_trigger = drafts.read_trigger(document.get("trigger"), ids)
        context: dict[str, Any] = {"form": form, "problems": [*of_trigger, *(one.message for one in found)]}
        if form.is_valid() and not context["problems"]:
            given, joined = form.cleaned_data["fields_given"], int(form.cleaned_data["joins"])
            person = Person(given, {joined})
            sending_list = journey.account.sending_lists.get(pk=joined)
            known = {
                "phone_number": form.cleaned_data["phone_number"] or "+12025550199",
                "list_number": sending_list.phone_number,
                "list_name": sending_list.list_name,
                "brand_name": sending_list.brand_name,
            }
            context["greets"] = group is not None and conditions.begins(group, joined, person)
            context["where"] = form.where.key
            context["lines"] = trial.run(plan, person, known, form.where, form.starts_at)
        return HttpResponse(render_to_string("journeys/trial.html", context, request))

    def _draft(self, request: HttpRequest, object_id: int) -> tuple[Journey, dict[str, Any]]:
        journey = Journey.objects.select_related("account").filter(pk=object_id).first()
        if journey is None:
            raise Http404
        if not self.has_change_permission(request, journey):
            raise PermissionDenied
        try:
            document = json.loads(request.body)
        except (ValueError, RecursionError) as exc:
            raise BadRequest("The body must be JSON.") from exc
        if not isinstance(document, dict) or not drafts.is_storable(document.get("contact")):
            raise BadRequest("The body must be an object, of text that can be stored.")
        return journey, document


def _page(journey: Journey) -> str:
    return reverse("admin:journeys_journey_change", args=[journey.pk])


def _journey_context(journey: Journey, request: HttpRequest) -> dict[str, Any]:
    """What the page shows beside the form: what builder.js needs, and the funnel of a version."""
    with transaction.atomic():
        names = [row["name"] for row in sql.rows(_FIELD_NAMES, {"account": journey.account_id})]
        asked = request.GET.get("version", "")
        versions = list(journey.versions.order_by("-number")[:20])
        shown = next((one for one in versions if str(one.number) == asked), journey.version)
        counted = funnel(journey, shown) if shown else None
    context: dict[str, Any] = {
        "builder_options": forms.options(journey, names),
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
    names = dict(drafts.lists_of(journey.account))
    bars = [
        (place, flow.title(step), counted.stages[step.id], round(counted.stages[step.id].share * 400))
        for place, step in enumerate(version.plan.steps, 1)
    ]
    statuses = [(EnrollmentStatus(status).label, count) for status, count in sorted(counted.statuses.items())]
    return {
        "funnel_version": version,
        "funnel": counted,
        "funnel_bars": bars,
        "funnel_statuses": statuses,
        "funnel_flow": flow.svg(flow.chart(version.plan, names, stages=counted.stages)),
    }


@admin.register(JourneyVersion)
class JourneyVersionAdmin(ReadOnlyAdmin):
    """Who saved which steps, and when."""

    list_display = ("journey", "number", "created_by", "created_at")
    list_select_related = ("journey", "created_by")
    search_fields = ("journey__name",)
    ordering = ("-id",)


class VisitInline(TabularInline):  # type: ignore[misc] # unfold ships no types
    """What an enrollment went through."""

    model = Visit
    extra = 0
    per_page = 50
    fields = ("number", "step_name", "note", "at")
    readonly_fields = fields
    ordering = ("number",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    @admin.display(description="step")
    def step_name(self, visit: Visit) -> str:
        plan = plan_of(visit.version_id)
        step = plan.by_id.get(visit.step)
        return f"{plan.number(step.id)} · {flow.title(step)}" if step else visit.step


class MessageInline(TabularInline):  # type: ignore[misc] # unfold ships no types
    model = OutboundMessage
    extra = 0
    per_page = 50
    fields = ("text", "segments", "status", "error", "created_at", "sent_at")
    readonly_fields = fields
    ordering = ("number",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
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
