# Django's classes; the theme adds options, which are attributes, and actions on a row's page. Django's own
# stubs leave out the redirect.
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

class ModelAdmin(admin.ModelAdmin[Any]):
    list_disable_select_all: bool

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]: ...
    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse: ...

class TabularInline(admin.TabularInline[Any, Any]):
    per_page: int
