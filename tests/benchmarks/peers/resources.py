"""django-import-export's resources, in bulk mode, tuned: no diffs, no names, no look-ups row by row."""

from typing import Any

from import_export import resources
from import_export.fields import Field
from import_export.instance_loaders import BaseInstanceLoader
from import_export.results import RowResult
from import_export.widgets import IntegerWidget

from contacts.models import Contact, ListContact
from journeys.models import Enrollment


class _AllAtOnce(BaseInstanceLoader):  # type: ignore[misc] # it ships no types
    """Reads the rows that are there already by one statement; the package's own does so for one id column."""

    def __init__(self, resource: Any, dataset: Any = None) -> None:
        super().__init__(resource, dataset)
        names = resource.get_import_id_fields()
        self._names = names
        among = {f"{name}__in": {resource.fields[name].clean(row) for row in dataset.dict} for name in names}
        self._found = {
            tuple(getattr(row, name) for name in names): row for row in self.get_queryset().filter(**among)
        }

    def get_queryset(self) -> Any:
        return self.resource.get_queryset()

    def get_instance(self, row: Any) -> Any:
        return self._found.get(tuple(self.resource.fields[name].clean(row) for name in self._names))


class _Quiet(RowResult):  # type: ignore[misc]
    """Without each row's name for its report: ours asks for the contact and the list."""

    def add_instance_info(self, instance: Any) -> None:
        self.object_id = instance.pk


class _Resource(resources.ModelResource):  # type: ignore[misc]
    @classmethod
    def get_row_result_class(cls) -> type[RowResult]:
        return _Quiet

    def after_import(self, dataset: Any, result: Any, **kwargs: Any) -> None:
        """Leave the ids' sequence alone: the package sets it back, and imports at once would collide."""


class _Bulk:
    use_bulk = True
    batch_size = 1_000
    skip_diff = True
    skip_html_diff = True
    report_skipped = False
    instance_loader_class = _AllAtOnce


def _id(name: str) -> Any:
    return Field(attribute=name, column_name=name, widget=IntegerWidget())


class ContactResource(_Resource):
    class Meta(_Bulk):
        model = Contact
        import_id_fields = ["phone_number"]
        fields = ("phone_number", "carrier", "line_type", "time_zone", "can_receive", "verified_at")


class MembershipResource(_Resource):
    contact_id, sending_list_id = _id("contact_id"), _id("sending_list_id")

    class Meta(_Bulk):
        model = ListContact
        import_id_fields = ["contact_id", "sending_list_id"]
        fields = ("contact_id", "sending_list_id", "signup_date", "ip_address", "url", "custom_fields")


class EnrollmentResource(_Resource):
    journey_id, version_id, list_contact_id = _id("journey_id"), _id("version_id"), _id("list_contact_id")

    class Meta(_Bulk):
        model = Enrollment
        import_id_fields = ["journey_id", "list_contact_id"]
        fields = ("journey_id", "version_id", "list_contact_id")
