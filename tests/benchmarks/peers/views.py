"""The peers' views: one that queues a task per contact, and two that write within the request."""

from typing import Any

import tablib
from celery import chord
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import account_of
from accounts.models import Account
from accounts.scopes import Scope
from contacts import phone
from contacts.carriers import offline_facts
from contacts.models import Contact, ListContact, SendingList
from core import codec
from ingestion.models import BulkJob
from journeys.models import Enrollment, Journey, JourneyStatus
from tests.benchmarks.peers import resources, tasks


class PeerView(APIView):
    scopes = {"POST": Scope.CONTACTS_WRITE}
    schema = None  # no part of the API's description, which is made before the web server forks
    parser_classes = [JSONParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = DefaultContentNegotiation


def _sent(request: Request) -> list[dict[str, Any]]:
    data: Any = request.data
    contacts: list[dict[str, Any]] = data["contacts"]
    return contacts


def _lists(account: Account) -> dict[str, int]:
    return dict(SendingList.objects.filter(account=account).values_list("phone_number", "pk"))


def _journeys(account: Account) -> list[tuple[int, int]]:
    """Id and version of the active ones; the benchmark's greet whoever joins."""
    active = Journey.objects.filter(account=account, status=JourneyStatus.ACTIVE, version__isnull=False)
    return [(journey.pk, journey.version_id or 0) for journey in active]


class LiteralView(PeerView):
    """A job, and a chord of one task per contact."""

    def post(self, request: Request) -> Response:
        account, sent = account_of(request), _sent(request)
        job = BulkJob.objects.create(account=account, total=len(sent))
        lists, journeys, accepted_at = _lists(account), _journeys(account), job.created_at.isoformat()
        header = [
            tasks.one_contact.s(index, contact, lists.get(contact["list_number"]), journeys, accepted_at)
            for index, contact in enumerate(sent)
        ]
        chord(header)(tasks.add_up.s(str(job.pk)))
        return Response({"job_id": str(job.pk)}, status=202)


class ContactSerializer(serializers.Serializer[Any]):
    phone_number = serializers.CharField(max_length=16)
    list_number = serializers.CharField(max_length=16)
    use_journeys = serializers.BooleanField(default=False)
    signup_date = serializers.DateTimeField(required=False)
    ip_address = serializers.IPAddressField(required=False)
    url = serializers.URLField(required=False, max_length=2_048)
    custom_fields = serializers.DictField(default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        number = phone.parse(attrs["phone_number"])
        if number is None:
            raise serializers.ValidationError("phone_number is not a valid E.164 number")
        return {**attrs, "facts": offline_facts(number)}


class OrmView(PeerView):
    """A serializer, `bulk_create` with `update_conflicts`, and no queue."""

    @transaction.atomic
    def post(self, request: Request) -> Response:
        account, now = account_of(request), timezone.now()
        serializer = ContactSerializer(data=_sent(request), many=True)
        serializer.is_valid(raise_exception=True)
        lists, journeys = _lists(account), _journeys(account)
        checked = sorted(serializer.validated_data, key=lambda one: str(one["phone_number"]))
        rows = Contact.objects.bulk_create(
            [
                Contact(
                    phone_number=one["phone_number"],
                    carrier=one["facts"].carrier,
                    line_type=one["facts"].line_type,
                    time_zone=one["facts"].time_zone,
                    can_receive=one["facts"].can_receive,
                    verified_at=now,
                )
                for one in checked
            ],
            update_conflicts=True,
            unique_fields=["phone_number"],
            update_fields=["carrier", "line_type", "time_zone", "can_receive", "verified_at"],
        )
        members = ListContact.objects.bulk_create(
            [
                ListContact(
                    contact=row,
                    sending_list_id=lists[one["list_number"]],
                    signup_date=one.get("signup_date", now),
                    ip_address=one.get("ip_address"),
                    url=one.get("url", ""),
                    custom_fields=one["custom_fields"],
                )
                for row, one in zip(rows, checked, strict=True)
            ],
            update_conflicts=True,
            unique_fields=["contact", "sending_list"],
            update_fields=["ip_address", "url", "custom_fields", "updated_at"],
        )
        Enrollment.objects.bulk_create(
            [
                Enrollment(journey_id=journey_id, version_id=version_id, list_contact=member)
                for member, one in zip(members, checked, strict=True)
                for journey_id, version_id in (journeys if one["use_journeys"] else ())
            ],
            ignore_conflicts=True,
        )
        return Response({"success_count": len(rows)})


class ImportExportView(PeerView):
    """django-import-export in bulk mode: a resource per table."""

    @transaction.atomic
    def post(self, request: Request) -> Response:
        account, sent, now = account_of(request), _sent(request), timezone.now()
        lists, journeys = _lists(account), _journeys(account)
        numbers = {one["phone_number"]: phone.parse(one["phone_number"]) for one in sent}
        facts = {text: offline_facts(number) for text, number in numbers.items() if number is not None}
        _import(
            resources.ContactResource(),
            (
                (text, known.carrier, str(known.line_type), known.time_zone, known.can_receive, now)
                for text, known in sorted(facts.items())
            ),
        )
        found = Contact.objects.filter(phone_number__in=list(facts))
        ids = dict(found.values_list("phone_number", "pk"))
        _import(
            resources.MembershipResource(),
            (
                (
                    ids[one["phone_number"]],
                    lists[one["list_number"]],
                    parse_datetime(one["signup_date"]) if "signup_date" in one else now,
                    one.get("ip_address"),
                    one.get("url", ""),
                    codec.dumps(one.get("custom_fields", {})),
                )
                for one in sent
                if one["phone_number"] in ids
            ),
        )
        enrolling = [ids[one["phone_number"]] for one in sent if one.get("use_journeys")]
        members = ListContact.objects.filter(contact__in=enrolling, sending_list__in=lists.values())
        _import(
            resources.EnrollmentResource(),
            (
                (journey_id, version_id, member)
                for member in members.values_list("pk", flat=True)
                for journey_id, version_id in journeys
            ),
        )
        return Response({"success_count": len(ids)})


def _import(resource: Any, rows: Any) -> None:
    data = tablib.Dataset(*rows, headers=resource.Meta.fields)
    resource.import_data(data, raise_errors=True, use_transactions=False)  # the request is one
