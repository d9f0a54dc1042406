"""What the admin pages share: lists of large tables, deletions that say why not, questions before actions."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextInputWidget

M = TypeVar("M", bound=Model)

LIST_SECONDS = 5
"""The database's time for one page of a list. A filter that few rows of millions match may need more."""
_QUERY_CANCELED = "57014"


class ReasonForm(forms.Form):
    """Why an operator does something; it goes to the log."""

    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        error_messages={"required": "Enter a reason."},
    )


def confirmed(
    request: HttpRequest,
    *,
    title: str,
    question: str,
    back: str,
    facts: Iterable[tuple[str, Any]] = (),
    table: Mapping[str, Any] | None = None,
    button: str = "",
    is_danger: bool = False,
    asks_reason: bool = False,
    bears: Mapping[str, str] | None = None,
) -> HttpResponse | None:
    """A page that asks first; None once it was answered (with a reason, if it asks for one: `reason`).

    An action that is a link would else be done by whatever follows links. The answer is a POST with the
    fields of the request that is asked about, so an action on a list's chosen rows comes back with them.
    `facts` are pairs of label and value; `table` is unfold's: headers and rows. `bears`: ask, whatever the
    request says; the answer bears these fields, too.
    """
    own = {"csrfmiddlewaretoken", "confirmed", *(["reason"] if asks_reason else [])}
    carried = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in own
        for value in values
        if isinstance(value, str)
    ]
    answered = request.method == "POST" and ("confirmed" in request.POST or not carried) and not bears
    form = ReasonForm(request.POST if answered else None) if asks_reason else None
    if answered and (form is None or form.is_valid()):
        return None
    new = dict(bears or {})
    context = {
        **admin.site.each_context(request),
        "title": title,
        "question": question,
        "back": back,
        "facts": list(facts),
        "table": table,
        "button": button or title,
        "variant": "danger" if is_danger else "primary",
        "form": form,
        "carried": [*(pair for pair in carried if pair[0] not in new), *new.items()],
    }
    return TemplateResponse(request, "confirm.html", context)


def reason(request: HttpRequest) -> str:
    """The reason that was given on a page of `confirmed`."""
    return request.POST["reason"].strip()


def worded(
    field: str, description: str, *, yes: tuple[str, str], no: tuple[str, str]
) -> Callable[[Any, Any], str]:
    """A column for a boolean, in words: unfold's icon is green for true, which is not always good news.

    `yes`, `no`: the words, and the label's colour (`success`, `warning`, `danger`, `info`; empty: none).
    """
    colours = {words: colour for words, colour in (yes, no) if colour}

    @display(description=description, label=colours or True)
    def words(_: Any, shown: Any) -> str:
        return (yes if getattr(shown, field) else no)[0]

    words.__name__ = field
    found: Callable[[Any, Any], str] = words
    return found


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # not subscriptable at run time
    """Counts no further than MOST rows: to count a table of millions takes longer than to show a page of it.

    Rows beyond are reached by a search or a filter.
    """

    MOST = 5_000
    template_name = "pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[: self.MOST + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.MOST)

    @property
    def bound(self) -> str:
        return f"{self.MOST:,}"

    @property
    def has_more(self) -> bool:
        """Whether there are rows that were not counted."""
        return self._counted > self.MOST


class BoundedChangeList(ChangeList):
    """Says how many rows a search found only where they were all counted."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        is_all = not (self.query or self.has_active_filters)
        if is_all or self.paginator.has_more:
            self.full_result_count = self.result_count  # the theme shows a count that differs


class TableAdmin(ModelAdmin):
    """A page for a table that may be large: nothing that is done here walks all of it.

    Lists count up to a bound and end after LIST_SECONDS; related rows are searched first, by indexes of
    their own; rows are deleted one at a time, and what has to stay says why at once (`why_kept`), while
    Django's own page would first load everything that points at it.
    """

    show_full_result_count = False
    list_per_page = 50
    paginator = BoundedPaginator
    list_disable_select_all = True

    MATCHES = 1_000
    """Related rows that a search goes on with."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method == "POST":
            return super().changelist_view(request, extra_context)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LIST_SECONDS}s"])
                response = super().changelist_view(request, extra_context)
                if isinstance(response, SimpleTemplateResponse):
                    response.render()  # here, while the limit holds
                return response
        except DataError:
            messages.error(request, "This filter can't be applied: its value is not one of the field's.")
            return HttpResponseRedirect(request.path if request.GET else reverse("admin:index"))
        except OperationalError as exc:
            if getattr(exc.__cause__, "sqlstate", None) != _QUERY_CANCELED:
                raise
        messages.error(
            request, f"The search took longer than {LIST_SECONDS} seconds. Narrow it, or use one filter less."
        )
        return HttpResponseRedirect(request.path if request.GET else reverse("admin:index"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that match in any search field.

        Django's own search joins the related tables and compares their columns with OR: no index serves it.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        conditions = [self._matching(request, self.model, name, term) for name in self.search_fields]
        found = Q()
        for condition in conditions:
            found |= condition
        return (queryset.filter(found) if found else queryset.none()), False

    def _matching(self, request: HttpRequest, model: type[Model], path: str, term: str) -> Q:
        """The rows of `model` that a search field matches; an empty Q: none."""
        name, _, rest = path.partition(LOOKUP_SEP)
        field: Any = model._meta.get_field(name)
        if not field.is_relation:
            lookup = rest or "icontains"
            if lookup != "exact":
                return Q(**{f"{name}__{lookup}": term})
            try:
                return Q(**{name: field.clean(term, None)})
            except ValidationError:
                return Q()
        of_related = self._matching(request, field.related_model, rest, term)
        if not of_related:
            return Q()
        related = field.related_model._base_manager.filter(of_related)
        keys = list(related.values_list("pk", flat=True)[: self.MATCHES + 1])
        if len(keys) > self.MATCHES:
            messages.warning(
                request,
                f"More than {self.MATCHES:,} {field.related_model._meta.verbose_name_plural} match "
                f'"{term}"; not all of them are searched. Enter more of it.',
            )
        return Q(**{f"{name}__in": keys[: self.MATCHES]}) if keys else Q()

    def get_actions(self, request: HttpRequest) -> Any:
        """Without `delete_selected`, which asks no row whether it may go, and loads all that hangs on it."""
        offered = super().get_actions(request)
        return {name: given for name, given in offered.items() if name != "delete_selected"}

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **more: Any) -> Any:
        """Actions are for the rows that were chosen, never for all that a filter matches."""
        if request.POST.get("select_across") == "1":
            messages.error(request, "Choose the rows one by one, or page by page.")
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **more)

    def why_kept(self, obj: Any) -> str:
        """Why a row can't be deleted, and what to do instead; empty: it can."""
        return ""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Model) and self.why_kept(obj))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        obj = self.get_object(request, unquote(object_id))
        if obj is not None and super().has_delete_permission(request, obj) and (why := self.why_kept(obj)):
            messages.error(request, why)
            return HttpResponseRedirect(self.page_of(obj))
        return super().delete_view(request, object_id, extra_context)

    def page_of(self, obj: Model) -> str:
        """The URL of a row's page."""
        opts = self.model._meta
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[obj.pk])

    def asked_about(self, request: HttpRequest, object_id: Any) -> Any:
        """The row that an action is about. Raises PermissionDenied if it may not be changed, or is gone."""
        obj = self.get_object(request, unquote(str(object_id)))
        if obj is None or not self.has_change_permission(request, obj):
            raise PermissionDenied
        return obj


class LabelledInline(TabularInline):
    """Rows in a table, each field with a name of its own: for a screen reader the column's is not one."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **more)
        if field is not None:
            name = str(db_field.verbose_name).capitalize()
            for part in getattr(field.widget, "widgets", [field.widget]):
                kind = part.attrs.get("placeholder", "")  # a date and a time are two fields
                part.attrs["aria-label"] = f"{name}: {kind.lower()}" if kind else name
        return field


class ReadOnlyAdmin(TableAdmin):
    """A read-only page for what the machine writes. It has one sort order: no other has an index."""

    sortable_by = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
