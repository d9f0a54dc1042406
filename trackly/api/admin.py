"""What the admin pages share."""

from typing import Any, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

M = TypeVar("M", bound=Model)


def confirmed(request: HttpRequest, *, title: str, question: str, back: str) -> HttpResponse | None:
    """A page that asks first; None once it was answered.

    An action that is a link would else be done by whatever follows links, or makes a person follow one.
    """
    if request.method == "POST":
        return None
    context = {**admin.site.each_context(request), "title": title, "question": question, "back": back}
    return TemplateResponse(request, "confirm.html", context)


class TableAdmin(ModelAdmin):  # type: ignore[misc] # unfold ships no types
    """A page for a table that may be large: no full counts, small pages."""

    show_full_result_count = False
    list_per_page = 50


class ReadOnlyAdmin(TableAdmin):
    """A page for what the machine writes: people look, nobody edits."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False
