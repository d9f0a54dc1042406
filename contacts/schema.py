"""What the API's bodies look like, and what its operations answer; the views refer to it by name."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from contacts.export import COLUMNS
from contacts.models import MAX_NAME_CHARACTERS
from contacts.payload import MAX_CONTACT_BYTES, MAX_URL_CHARACTERS
from trackly.api.examples import EXAMPLES
from trackly.api.schema import PAGE_PARAMETERS, RETRY_AFTER, Schema, answers, header, operation, ref
from trackly.lookups.line import NOT_SENDABLE_REASONS

_E164: Schema = {"type": "string", "pattern": r"^\+[1-9][0-9]{1,14}$", "examples": ["+14155559876"]}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MONTH: Schema = {"type": "string", "pattern": "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$", "examples": ["2026-11"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
CODES = [
    *("invalid_contact", "payload_too_large", "missing_phone_number", "missing_list_number", "invalid_phone"),
    *("invalid_list_number", "invalid_field", "list_not_found", "not_sendable", "provider_error"),
    *("validation_failed", "internal_error"),
]


def _object(properties: dict[str, Schema], *optional: str, description: str = "") -> Schema:
    """An object that has all of these properties but the optional ones, and may have more."""
    schema: Schema = {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }
    return {**schema, "description": description} if description else schema


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_OUTCOMES = ["created", "updated", "unchanged", "failed"]
_JOB_KINDS = ["contacts.bulk", "contacts.single"]
_JOB_STATUSES = ["queued", "processing", "completed", "failed", "cancelled"]
_COUNTS: dict[str, Schema] = {"success_count": _COUNT, "error_count": _COUNT}
_CREATED: dict[str, Schema] = {
    "contacts_created": _COUNT,
    "list_contacts_created": _COUNT,
    "journeys_enrolled": _COUNT,
}
_WARNINGS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_CARRIER: dict[str, Schema] = {
    "carrier": {"type": "string", "description": "Empty: unknown."},
    "line_type": {"enum": ["CELL PHONE", "VOIP", "LANDLINE", "UNKNOWN"]},
    "timezone": {"type": "string", "description": "IANA name; empty: unknown."},
    "is_valid": {
        "type": "boolean",
        "description": "In service and able to take a text message, as far as known.",
    },
}
_MEMBERSHIP: dict[str, Schema] = {
    "list_number": _E164,
    "active": {"type": "boolean", "description": "False: unsubscribed."},
    "signup_date": _MOMENT,
    "signup_method": {"enum": ["api", "csv", "admin"]},
    "custom_fields": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
}
_JOB: dict[str, Schema] = {
    "job_id": {"type": "string", "format": "uuid"},
    "kind": {"enum": _JOB_KINDS},
    "status": {"enum": _JOB_STATUSES},
    "total": _COUNT,
    "processed": _COUNT,
    "progress": {"type": "number", "minimum": 0, "maximum": 1, "description": "Never falls."},
    **_COUNTS,
    "created_at": _MOMENT,
    "started_at": _nullable(_MOMENT),
    "completed_at": _nullable(_MOMENT),
    "results_url": {"type": "string", "format": "uri-reference"},
    "errors_url": {
        "type": "string",
        "format": "uri-reference",
        "description": "Only where something failed: the failed contacts as CSV.",
    },
}
_LIST: dict[str, Schema] = {
    "id": {"type": "integer"},
    "phone_number": _E164,
    "brand_name": {"type": "string"},
    "list_name": {"type": "string"},
    "status": {
        "enum": ["active", "paused", "deleted"],
        "description": "`deleted` only as the answer to the change that deletes it.",
    },
    "contact_count": {**_COUNT, "description": "All members, subscribed or not."},
    "created_at": _MOMENT,
}

_LIST_NAMES: dict[str, Schema] = {
    name: {"type": "string", "maxLength": MAX_NAME_CHARACTERS} for name in ("brand_name", "list_name")
}

SCHEMAS: dict[str, Schema] = {
    "Contact": {
        "type": "object",
        "required": ["phone_number", "list_number"],
        "description": f"At most {MAX_CONTACT_BYTES:,} bytes as sent. Unknown fields are ignored.",
        "properties": {
            "phone_number": _E164,
            "list_number": {**_E164, "description": "The number of one of the account's sending lists."},
            "use_journeys": {
                "type": "boolean",
                "default": False,
                "description": "Enroll in matching journeys.",
            },
            "skip_journey_if_exists": {"type": "boolean", "default": True},
            "use_validation": {"type": "boolean", "default": False, "description": "Paid validation."},
            "signup_date": {
                "type": "string",
                "anyOf": [{"format": "date-time"}, {"format": "date"}],
                "description": "ISO 8601; without an offset: UTC.",
            },
            "ip_address": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
            "url": {
                "type": "string",
                "format": "uri",
                "maxLength": MAX_URL_CHARACTERS,
                "pattern": "^https?://",
            },
            "custom_fields": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "replace_custom_fields": {"type": "boolean", "default": False},
        },
    },
    "BulkRequest": {
        "type": "object",
        "required": ["contacts"],
        "properties": {
            "contacts": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                # An item that is no Contact is an entry of the summary's errors, not a refusal.
                "items": {"anyOf": [ref("Contact"), {}]},
            }
        },
    },
    "Validation": _object(
        {
            "disposition": {"enum": ["ok", "risky", "unknown", "unreachable", "invalid"]},
            "valid": {"type": "boolean"},
            "line_type": {"type": "string"},
            "carrier": {"type": "string"},
            "ported": {"type": "boolean"},
            "on_dnc": {"type": "boolean"},
            "country": {"type": "string"},
            "cost": {"type": "number", "minimum": 0, "description": "Dollars."},
            "cached": {"type": "boolean", "description": "The account had paid for it before."},
        }
    ),
    "NotSendableReason": {
        "enum": NOT_SENDABLE_REASONS,
        "description": "Why a number is `not_sendable`. More may be added.",
    },
    "ContactError": _object(
        {
            "index": {**_COUNT, "description": "Position in the request's array."},
            "phone_number": {"description": "As sent; left out where absent."},
            "code": {"enum": CODES},
            "error": {"type": "string"},
            "field": {"type": "string"},
            "reason": ref("NotSendableReason"),
            "validation": ref("Validation"),
        },
        *("phone_number", "field", "reason", "validation"),
    ),
    "Summary": _object(
        {
            **_COUNTS,
            "errors": {"type": "array", "items": ref("ContactError"), "description": "Sorted by index."},
            **_CREATED,
            "warnings": _WARNINGS,
            "dry_run": {"const": True, "description": "Only of a dry run."},
            "cancelled_count": {
                **_COUNT,
                "description": "Contacts of a cancelled job that were not processed.",
            },
        },
        *("warnings", "dry_run", "cancelled_count"),
    ),
    "Accepted": _object(
        {
            "job_id": _JOB["job_id"],
            "status": _JOB["status"],
            "status_url": {"type": "string", "format": "uri-reference"},
            "total": _COUNT,
        }
    ),
    "JobEntry": _object(_JOB, "errors_url"),
    "Job": _object(
        {**_JOB, "summary": _nullable(ref("Summary"))},
        "errors_url",
        description="While it runs, summary is null.",
    ),
    "Result": _object(
        {
            "index": _COUNT,
            "phone_number": {"description": "As sent; left out where absent."},
            "list_number": {"description": "As sent; left out where absent."},
            "outcome": {"enum": _OUTCOMES},
            "contact_id": {"type": ["integer", "null"]},
            "list_contact_id": {"type": ["integer", "null"]},
            "journeys_enrolled": _COUNT,
            "validation": ref("Validation"),
            "error": ref("ContactError"),
        },
        *("phone_number", "list_number", "validation", "error"),
    ),
    "SingleResult": _object(
        {
            "success": {"const": True},
            "contact_id": {"type": "integer"},
            "list_contact_id": {"type": "integer"},
            "is_new_contact": {"type": "boolean"},
            "is_new_list_contact": {"type": "boolean"},
            "journeys_enrolled": _COUNT,
            "validation": ref("Validation"),
            "warnings": _WARNINGS,
        },
        *("validation", "warnings"),
    ),
    "ContactEntry": _object({"phone_number": _E164, **_MEMBERSHIP, **_CARRIER}),
    "Membership": _object(_MEMBERSHIP),
    "ContactProfile": _object(
        {
            "phone_number": _E164,
            **_CARRIER,
            "memberships": {"type": "array", "items": ref("Membership"), "minItems": 1},
            "validation": _nullable(ref("Validation")),
        }
    ),
    "Unsubscribed": _object({"success": {"const": True}, "unsubscribed": {"type": "boolean"}}),
    "List": _object(_LIST),
    "NewList": {
        "type": "object",
        "required": ["phone_number"],
        "additionalProperties": False,
        "properties": {
            "phone_number": _E164,
            **_LIST_NAMES,
            "status": {"enum": ["active", "paused"], "default": "active"},
        },
    },
    "ListChange": {
        "type": "object",
        "additionalProperties": False,
        "properties": {**_LIST_NAMES, "status": {"enum": ["active", "paused", "deleted"]}},
    },
    "Usage": _object(
        {
            "month": _MONTH,
            "validations": {**_COUNT, "description": "Results that were paid for."},
            "cached": {**_COUNT, "description": "Results that were known already, and cost nothing."},
            "cost": {
                "type": "string",
                "pattern": r"^-?[0-9]+\.[0-9]{6}$",
                "description": "In dollars; refunds and adjustments are in it.",
                "examples": ["0.120000"],
            },
        }
    ),
}


def _page_of(name: str, entry: str) -> Schema:
    return _object({name: {"type": "array", "items": ref(entry)}, "pagination": ref("Pagination")})


_WAIT = [
    OpenApiParameter(
        "Prefer",
        str,
        OpenApiParameter.HEADER,
        description="RFC 7240: `respond-async` (202 at once) or `wait=N` (up to N seconds).",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        OpenApiParameter.HEADER,
        description="The same key with the same body is answered with the first job, for 24 hours.",
    ),
    header("Preference-Applied", "What of `Prefer` was applied.", 200, 201, 202),
    header("Location", "The job: `/api/v2/jobs/<job_id>`.", 200, 201, 202),
    RETRY_AFTER,
]
_ACCEPTED = OpenApiResponse(ref("Accepted"), "Accepted and durable; the work goes on.")
_LIST_NUMBER = OpenApiParameter("list_number", _E164)

bulk = operation(
    operation_id="bulk_create_contacts",
    summary="Create or update up to 1,000 contacts",
    description="Waits for the summary, unless `Prefer` says otherwise. "
    "One bad contact changes nothing for the others.",
    request={"application/json": ref("BulkRequest")},
    parameters=[
        *_WAIT,
        OpenApiParameter(
            "dry_run", bool, description="Say what would happen; nothing is written or charged."
        ),
    ],
    responses=answers(
        {200: OpenApiResponse(ref("Summary"), "Processed."), 202: _ACCEPTED}, 400, 402, 413, 415, 422
    ),
    examples=[
        OpenApiExample("Three contacts", EXAMPLES["bulk_request"], request_only=True),
        OpenApiExample("The summary", EXAMPLES["bulk_response"], response_only=True, status_codes=["200"]),
    ],
)
single = operation(
    operation_id="create_contact",
    summary="Create or update one contact",
    request={"application/json": ref("Contact")},
    parameters=_WAIT,
    responses=answers(
        {
            201: OpenApiResponse(ref("SingleResult"), "New on the list."),
            200: OpenApiResponse(ref("SingleResult"), "It was on the list."),
            202: _ACCEPTED,
        },
        *(400, 402, 404, 409, 413, 415, 422, 502),
    ),
    examples=[OpenApiExample("A contact", EXAMPLES["bulk_request"]["contacts"][0], request_only=True)],
)
contacts = operation(
    operation_id="list_contacts",
    summary="Contacts of the account's lists, newest signup first",
    parameters=[_LIST_NUMBER, OpenApiParameter("active", bool), *PAGE_PARAMETERS, RETRY_AFTER],
    responses=answers({200: OpenApiResponse(_page_of("contacts", "ContactEntry"))}, 400, 404),
)
unsubscribe = operation(
    operation_id="unsubscribe",
    summary="Unsubscribe a contact from a list",
    description="The two numbers may also be sent as a JSON object.",
    parameters=[
        OpenApiParameter("phone_number", _E164, required=True),
        OpenApiParameter("list_number", _E164, required=True),
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(ref("Unsubscribed"))}, 400, 413, 415),
)
contact = operation(
    operation_id="get_contact",
    summary="A contact and its memberships",
    parameters=[OpenApiParameter("phone_number", _E164, OpenApiParameter.PATH), RETRY_AFTER],
    responses=answers({200: OpenApiResponse(ref("ContactProfile"))}, 404),
)
lists = operation(
    operation_id="list_lists",
    summary="The account's sending lists",
    parameters=[
        OpenApiParameter("status", {"type": "string", "enum": ["active", "paused"]}),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(_page_of("lists", "List"))}, 400),
)
_LIST_ID = OpenApiParameter(
    "list_id", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, OpenApiParameter.PATH
)
one_list = operation(
    operation_id="get_list",
    summary="A sending list",
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers({200: OpenApiResponse(ref("List"))}, 404),
)
create_list = operation(
    operation_id="create_list",
    summary="Create a sending list",
    request={"application/json": ref("NewList")},
    parameters=[header("Location", "The list: `/api/v2/lists/<id>`.", 201), RETRY_AFTER],
    responses=answers({201: OpenApiResponse(ref("List"))}, 400, 409, 413, 415),
)
change_list = operation(
    operation_id="change_list",
    summary="Rename, pause, resume or delete a sending list",
    description="What is not named stays as it is. Only an administrator can bring back a deleted list.",
    request={"application/json": ref("ListChange")},
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers({200: OpenApiResponse(ref("List"))}, 400, 404, 413, 415),
)
list_contacts_csv = operation(
    operation_id="export_list_contacts",
    summary="A list's members as CSV, newest signup first",
    description=f"Columns: `{'`, `'.join(COLUMNS)}`; `custom_fields` as JSON. Text that a spreadsheet would "
    "take for a formula starts with `'`.",
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers({(200, "text/csv"): OpenApiResponse({"type": "string"}, "RFC 4180")}, 404),
)
usage = operation(
    operation_id="get_usage",
    summary="What the account's paid validations of a month come to",
    parameters=[
        OpenApiParameter("month", _MONTH, description="A month of UTC; by default this one."),
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(ref("Usage"))}, 400),
)
jobs = operation(
    operation_id="list_jobs",
    summary="The account's jobs, newest first",
    parameters=[
        OpenApiParameter("status", {"type": "string", "enum": _JOB_STATUSES}),
        OpenApiParameter("kind", {"type": "string", "enum": _JOB_KINDS}),
        OpenApiParameter("created_after", _MOMENT, description="Created then, or later."),
        OpenApiParameter("created_before", _MOMENT, description="Created earlier than then."),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(_page_of("jobs", "JobEntry"))}, 400),
)
job = operation(
    operation_id="get_job",
    summary="A job",
    parameters=[header("Retry-After", "While it runs: seconds after which to ask again.", 200, 429, 503)],
    responses=answers({200: OpenApiResponse(ref("Job"))}, 404),
)
job_results = operation(
    operation_id="list_job_results",
    summary="What became of each contact of a job, by index",
    parameters=[
        OpenApiParameter("outcome", {"type": "string", "enum": _OUTCOMES}),
        OpenApiParameter("code", {"type": "string", "enum": CODES}, description="Failed with that code."),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(_page_of("results", "Result"))}, 400, 404),
)
job_errors = operation(
    operation_id="get_job_errors",
    summary="The failed contacts of a job, as CSV",
    parameters=[RETRY_AFTER],
    responses=answers({(200, "text/csv"): OpenApiResponse({"type": "string"}, "RFC 4180")}, 404),
)
job_retry = operation(
    operation_id="retry_job",
    summary="Run again what failed",
    request=None,
    parameters=[RETRY_AFTER],
    responses=answers({202: _ACCEPTED}, 402, 404, 409),
)
job_cancel = operation(
    operation_id="cancel_job",
    summary="Stop what has not started",
    request=None,
    parameters=[RETRY_AFTER],
    responses=answers({200: OpenApiResponse(ref("Job"))}, 404, 409),
)
