"""What the API's bodies look like, and what its operations answer; the views refer to it by name."""

import msgspec
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from contacts import fields
from contacts.models import MAX_NAME_CHARACTERS
from contacts.payload import MAX_CONTACT_BYTES
from core.http.codes import BILLING, OF_CONTACTS, ErrorCode
from lookups.line import NOT_SENDABLE_REASONS
from trackly.api.examples import EXAMPLES
from trackly.api.export import COLUMNS
from trackly.api.openapi import PAGE_PARAMETERS, RETRY_AFTER, SECONDS, Schema, answers, header, operation, ref

_E164: Schema = {"type": "string", **fields.E164}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MONTH: Schema = {"type": "string", "pattern": "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$", "examples": ["2026-11"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}


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


_JOB_KINDS = ["contacts.bulk", "contacts.single"]


def _page_of(name: str, entry: str) -> Schema:
    return _object({name: {"type": "array", "items": ref(entry)}, "pagination": ref("Pagination")})


_COUNTS: dict[str, Schema] = {"success_count": _COUNT, "error_count": _COUNT}
_CREATED: dict[str, Schema] = {
    "contacts_created": _COUNT,
    "list_contacts_created": _COUNT,
    "journeys_enrolled": _COUNT,
}
_WARNINGS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_CARRIER: dict[str, Schema] = {
    "carrier": {"type": "string", "description": "Empty: unknown."},
    "line_type": ref("LineType"),
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
    "signup_method": ref("SignupMethod"),
    "custom_fields": ref("CustomFields"),
}
_JOB: dict[str, Schema] = {
    "job_id": {"type": "string", "format": "uuid"},
    "kind": {
        "type": "string",
        "description": "What the job does: `contacts.bulk` or `contacts.single`. Kinds may be added.",
        "x-extensible-enum": _JOB_KINDS,
        "examples": ["contacts.bulk"],
    },
    "status": ref("JobStatus"),
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
    "status": ref("ListStatus"),
    "contact_count": {**_COUNT, "description": "All members, subscribed or not."},
    "created_at": _MOMENT,
}

_LIST_NAMES: dict[str, Schema] = {
    name: {"type": "string", "maxLength": MAX_NAME_CHARACTERS} for name in ("brand_name", "list_name")
}
_SUCCESS: Schema = {"type": "boolean", "description": "Always true.", "examples": [True]}


def _words(description: str, *words: str) -> Schema:
    """One of these words, and of no others."""
    return {"type": "string", "enum": list(words), "description": description}


def _contact_properties() -> dict[str, Schema]:
    """A contact's fields, as contacts.fields has them."""
    _, schemas = msgspec.json.schema_components([fields.Fields])
    properties: dict[str, Schema] = schemas["Fields"]["properties"]
    for schema in properties.values():
        if "anyOf" in schema:  # whose types are what generated clients go by
            del schema["type"]
    return properties


SCHEMAS: dict[str, Schema] = {
    "JobStatus": _words(
        "The last three are final.", "queued", "processing", "completed", "failed", "cancelled"
    ),
    "JobKind": _words("What a job does.", *_JOB_KINDS),
    "ListStatus": _words(
        "Contacts of a paused list are sent nothing. `deleted` is in no answer but that to the change that"
        " deletes the list.",
        *("active", "paused", "deleted"),
    ),
    "LiveListStatus": _words("The state of a list that is not deleted.", "active", "paused"),
    "LineType": _words("What kind of line the number is.", "CELL PHONE", "VOIP", "LANDLINE", "UNKNOWN"),
    "SignupMethod": _words("How the contact came to the list.", "api", "csv", "admin"),
    "Outcome": _words("What became of a contact of a job.", "created", "updated", "unchanged", "failed"),
    "Disposition": _words(
        "What paid validation makes of a number: `invalid` and `unreachable` are rejected.",
        *("ok", "risky", "unknown", "unreachable", "invalid"),
    ),
    "ContactErrorCode": _words("What a contact of a job failed with.", *map(str, OF_CONTACTS)),
    "CustomFields": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "description": "Values by name.",
        "examples": [{"first_name": "Jane"}],
    },
    "Contact": {
        "type": "object",
        "required": ["phone_number", "list_number"],
        "description": f"At most {MAX_CONTACT_BYTES:,} bytes as sent. Unknown fields are ignored.",
        "properties": {**_contact_properties(), "custom_fields": ref("CustomFields")},
    },
    "BulkRequest": {
        "type": "object",
        "required": ["contacts"],
        "properties": {
            "contacts": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": ref("Contact"),
                "description": "An item that does not fit is an entry of the summary's errors and changes"
                " nothing for the others.",
            }
        },
    },
    "Validation": _object(
        {
            "disposition": ref("Disposition"),
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
        "type": "string",
        "x-extensible-enum": NOT_SENDABLE_REASONS,
        "description": "Why a number is `not_sendable`. More may be added.",
        "examples": ["landline"],
    },
    "ContactError": _object(
        {
            "index": {**_COUNT, "description": "Position in the request's array."},
            "phone_number": {"description": "As sent; left out where absent."},
            "code": {
                "type": "string",
                "description": "Why the contact failed. Codes may be added.",
                "x-extensible-enum": list(OF_CONTACTS),
                "examples": [ErrorCode.NOT_SENDABLE],
            },
            "error": {"type": "string", "description": "The same in a sentence for people."},
            "field": {
                "type": "string",
                "description": "The field that is meant.",
                "examples": ["signup_date"],
            },
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
            "dry_run": {"type": "boolean", "description": "Only of a dry run, and always true there."},
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
            "outcome": ref("Outcome"),
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
            "success": _SUCCESS,
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
    "Unsubscribed": _object({"success": _SUCCESS, "unsubscribed": {"type": "boolean"}}),
    "SendingList": _object(_LIST),
    "NewList": {
        "type": "object",
        "required": ["phone_number"],
        "additionalProperties": False,
        "properties": {
            "phone_number": _E164,
            **_LIST_NAMES,
            "status": {**ref("LiveListStatus"), "default": "active"},
        },
    },
    "ListChange": {
        "type": "object",
        "additionalProperties": False,
        "properties": {**_LIST_NAMES, "status": ref("ListStatus")},
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
    "Index": _object(
        {
            "name": {"type": "string"},
            "version": {"type": "string", "description": "The API's version, as in its paths."},
            "documentation": {"type": "string", "format": "uri-reference", "description": "A page to read."},
            "openapi": {"type": "string", "format": "uri-reference", "description": "This description."},
        }
    ),
    "ContactPage": _page_of("contacts", "ContactEntry"),
    "JobPage": _page_of("jobs", "JobEntry"),
    "ResultPage": _page_of("results", "Result"),
    "ListPage": _page_of("lists", "SendingList"),
}

_WAIT = [
    OpenApiParameter(
        "Prefer",
        str,
        OpenApiParameter.HEADER,
        description="How long the answer may wait for the result (RFC 7240): `respond-async` (202 at once) or"
        " `wait=N` (up to N seconds). By default up to the server's maximum, 30 s.",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        OpenApiParameter.HEADER,
        description="Makes it safe to send the request again: the same key with the same body is answered"
        " with the first job, for 24 hours. 1 to 255 visible characters; use a new one (a UUID) for each"
        " request.",
    ),
    header("Preference-Applied", "What of `Prefer` was applied.", 200, 201, 202),
    header("Location", "The job: `/api/v2/jobs/<job_id>`.", 200, 201, 202),
    RETRY_AFTER,
]
_BODY = (ErrorCode.INVALID_JSON, ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
_NO_LIST = ErrorCode.LIST_NOT_FOUND.body("No sending list with this list_number exists.")
_JOB_ID = OpenApiParameter("job_id", _JOB["job_id"], OpenApiParameter.PATH, description="The job's `job_id`.")
_ACCEPTED = OpenApiResponse(ref("Accepted"), "Accepted and durable; the work goes on.")
_LIST_NUMBER = OpenApiParameter("list_number", _E164, description="Only contacts of this list.")

bulk = operation(
    operation_id="bulk_create_contacts",
    summary="Create or update up to 1,000 contacts",
    description="The request is accepted once its contacts are durable; from then on each takes effect"
    " exactly once. The answer waits for the summary, unless `Prefer` says otherwise or the wait runs"
    " out: then it is 202, and `Location` is the job to poll. One bad contact changes nothing for the"
    " others: it is an entry of `errors` with its index and a code.",
    request={"application/json": ref("BulkRequest")},
    parameters=[
        *_WAIT,
        OpenApiParameter(
            "dry_run", bool, description="Say what would happen; nothing is written or charged."
        ),
    ],
    responses=answers(
        {200: OpenApiResponse(ref("Summary"), "Processed."), 202: _ACCEPTED},
        *(*_BODY, ErrorCode.MISSING_CONTACTS, ErrorCode.TOO_MANY_CONTACTS, *BILLING),
        ErrorCode.INVALID_PARAMETER.body("dry_run must be true or false.", field="dry_run"),
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ),
    examples=[
        OpenApiExample("Three contacts", EXAMPLES["bulk_request"], request_only=True),
        OpenApiExample("The summary", EXAMPLES["bulk_response"], response_only=True, status_codes=["200"]),
    ],
)
single = operation(
    operation_id="create_contact",
    summary="Create or update one contact",
    description="The same rules as for a batch, and the same processing; what a batch says in `errors` is"
    " an error answer here.",
    request={"application/json": ref("Contact")},
    parameters=_WAIT,
    responses=answers(
        {
            201: OpenApiResponse(ref("SingleResult"), "New on the list."),
            200: OpenApiResponse(ref("SingleResult"), "It was on the list."),
            202: _ACCEPTED,
        },
        *(ErrorCode.INVALID_JSON, ErrorCode.UNSUPPORTED_MEDIA_TYPE, *BILLING),
        ErrorCode.INVALID_PARAMETER.body(
            "Idempotency-Key must be 1 to 255 visible characters.", field="Idempotency-Key"
        ),
        *(ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.CANCELLED),
        ErrorCode.INVALID_CONTACT.body("The contact is nested too deeply"),
        ErrorCode.PAYLOAD_TOO_LARGE.body("The contact exceeds 4,000 bytes"),
        *(ErrorCode.MISSING_PHONE_NUMBER, ErrorCode.MISSING_LIST_NUMBER, ErrorCode.INVALID_PHONE),
        *(ErrorCode.INVALID_LIST_NUMBER, ErrorCode.INVALID_FIELD, ErrorCode.LIST_NOT_FOUND),
        *(ErrorCode.NOT_SENDABLE, ErrorCode.VALIDATION_FAILED, ErrorCode.PROVIDER_ERROR),
    ),
    examples=[OpenApiExample("A contact", EXAMPLES["bulk_request"]["contacts"][0], request_only=True)],
)
contacts = operation(
    operation_id="list_contacts",
    summary="Contacts of the account's lists, newest signup first",
    description="An entry for each list that a contact is on.",
    parameters=[
        _LIST_NUMBER,
        OpenApiParameter("active", bool, description="Only subscribed contacts, or only unsubscribed ones."),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers(
        {200: OpenApiResponse(ref("ContactPage"), "A page.")}, ErrorCode.INVALID_PARAMETER, _NO_LIST
    ),
)
unsubscribe = operation(
    operation_id="unsubscribe",
    summary="Unsubscribe a contact from a list",
    description="The contact stays on the list as unsubscribed, also if it is sent again. The answer is"
    " the same whether or not the account knows the number; `unsubscribed` says whether something"
    " changed. The two numbers may also be sent as a JSON object.",
    parameters=[
        OpenApiParameter("phone_number", _E164, required=True, description="The contact's number."),
        OpenApiParameter("list_number", _E164, required=True, description="The list's number."),
        RETRY_AFTER,
    ],
    responses=answers(
        {200: OpenApiResponse(ref("Unsubscribed"), "The contact is not subscribed now.")},
        *_BODY,
        ErrorCode.MISSING_PHONE_NUMBER.body("phone_number is missing."),
        ErrorCode.MISSING_LIST_NUMBER.body("list_number is missing."),
        ErrorCode.INVALID_PHONE.body("phone_number is not a valid E.164 number."),
        ErrorCode.INVALID_LIST_NUMBER.body("list_number is not a valid E.164 number."),
        ErrorCode.INVALID_PARAMETER.body(
            "verbose is an unknown query parameter; known here: list_number, phone_number.", field="verbose"
        ),
    ),
)
contact = operation(
    operation_id="get_contact",
    summary="A contact and its memberships",
    description="What is known of the number, and its memberships on this account's lists.",
    parameters=[
        OpenApiParameter("phone_number", _E164, OpenApiParameter.PATH, description="The contact's number."),
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(ref("ContactProfile"), "The contact.")}, ErrorCode.NOT_FOUND),
)
lists = operation(
    operation_id="list_lists",
    summary="The account's sending lists",
    description="In the order in which they were made.",
    parameters=[
        OpenApiParameter("status", ref("LiveListStatus"), description="Only lists in this state."),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(ref("ListPage"), "A page.")}, ErrorCode.INVALID_PARAMETER),
)
_LIST_ID = OpenApiParameter(
    "list_id",
    {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    OpenApiParameter.PATH,
    description="The list's `id`.",
)
one_list = operation(
    operation_id="get_list",
    summary="A sending list",
    description="With the number of its members.",
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers({200: OpenApiResponse(ref("SendingList"), "The list.")}, ErrorCode.NOT_FOUND),
)
create_list = operation(
    operation_id="create_list",
    summary="Create a sending list",
    request={"application/json": ref("NewList")},
    description="An account has one list with a number, besides deleted ones.",
    parameters=[header("Location", "The list: `/api/v2/lists/<id>`.", 201), RETRY_AFTER],
    responses=answers(
        {201: OpenApiResponse(ref("SendingList"), "The list, which can be used at once.")},
        *_BODY,
        ErrorCode.MISSING_PHONE_NUMBER.body("phone_number is missing."),
        ErrorCode.INVALID_PHONE.body("phone_number is not a valid E.164 number."),
        ErrorCode.INVALID_FIELD.body("status must be one of active, paused.", field="status"),
        ErrorCode.LIST_EXISTS,
    ),
)
change_list = operation(
    operation_id="change_list",
    summary="Rename, pause, resume or delete a sending list",
    description="What is not named stays as it is. Only an administrator can bring back a deleted list.",
    request={"application/json": ref("ListChange")},
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers(
        {200: OpenApiResponse(ref("SendingList"), "The list, as it is now.")},
        *_BODY,
        ErrorCode.INVALID_FIELD.body("status must be one of active, paused, deleted.", field="status"),
        ErrorCode.NOT_FOUND,
    ),
)
list_contacts_csv = operation(
    operation_id="export_list_contacts",
    summary="A list's members as CSV, newest signup first",
    description=f"Columns: `{'`, `'.join(COLUMNS)}`; `custom_fields` as JSON. Text that a spreadsheet would "
    "take for a formula starts with `'`.",
    parameters=[_LIST_ID, RETRY_AFTER],
    responses=answers(
        {(200, "text/csv"): OpenApiResponse({"type": "string"}, "RFC 4180, with a line of headers.")},
        ErrorCode.NOT_FOUND,
    ),
)
usage = operation(
    operation_id="get_usage",
    summary="What the account's paid validations of a month come to",
    description="From the ledger, so it is exact at any time.",
    parameters=[
        OpenApiParameter("month", _MONTH, description="A month of UTC; by default this one."),
        RETRY_AFTER,
    ],
    responses=answers(
        {200: OpenApiResponse(ref("Usage"), "The month's usage.")},
        ErrorCode.INVALID_PARAMETER.body("month must be written YYYY-MM.", field="month"),
    ),
)
jobs = operation(
    operation_id="list_jobs",
    summary="The account's jobs, newest first",
    description="Without their summaries, which are with the single job.",
    parameters=[
        OpenApiParameter("status", ref("JobStatus"), description="Only jobs in this state."),
        OpenApiParameter("kind", ref("JobKind"), description="Only jobs of this kind."),
        OpenApiParameter("created_after", _MOMENT, description="Created then, or later."),
        OpenApiParameter("created_before", _MOMENT, description="Created earlier than then."),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers({200: OpenApiResponse(ref("JobPage"), "A page.")}, ErrorCode.INVALID_PARAMETER),
)
job = operation(
    operation_id="get_job",
    summary="A job: its state, progress and summary",
    description="To be polled until `status` is final: `completed`; `failed`, where some contacts could"
    " not be processed after every attempt and can be retried; or `cancelled`.",
    parameters=[
        _JOB_ID,
        header(
            "Retry-After", "While it runs: seconds after which to ask again.", 200, 429, 503, schema=SECONDS
        ),
    ],
    responses=answers({200: OpenApiResponse(ref("Job"), "The job.")}, ErrorCode.NOT_FOUND),
)
job_results = operation(
    operation_id="list_job_results",
    summary="What became of each contact of a job, by index",
    description="Contacts that were not processed yet are missing.",
    parameters=[
        _JOB_ID,
        OpenApiParameter("outcome", ref("Outcome"), description="Only contacts that this became of."),
        OpenApiParameter(
            "code", ref("ContactErrorCode"), description="Only contacts that failed with this code."
        ),
        *PAGE_PARAMETERS,
        RETRY_AFTER,
    ],
    responses=answers(
        {200: OpenApiResponse(ref("ResultPage"), "A page.")}, ErrorCode.INVALID_PARAMETER, ErrorCode.NOT_FOUND
    ),
)
job_errors = operation(
    operation_id="get_job_errors",
    summary="The failed contacts of a job, as CSV",
    description="Ready to be mended and sent again: index, code, error, field, then the contact as it was"
    " sent.",
    parameters=[_JOB_ID, RETRY_AFTER],
    responses=answers(
        {(200, "text/csv"): OpenApiResponse({"type": "string"}, "RFC 4180, with a line of headers.")},
        ErrorCode.NOT_FOUND,
    ),
)
job_retry = operation(
    operation_id="retry_job",
    summary="Run again what failed",
    description="Contacts that failed as `internal_error`, as `provider_error` or because the account could"
    " not be billed run again; what took effect stays.",
    request=None,
    parameters=[_JOB_ID, RETRY_AFTER, header("Location", "The job: `/api/v2/jobs/<job_id>`.", 202)],
    responses=answers({202: _ACCEPTED}, *BILLING, ErrorCode.NOT_FOUND, ErrorCode.NOT_RETRYABLE),
)
job_cancel = operation(
    operation_id="cancel_job",
    summary="Stop what has not started",
    description="What was processed stays, and the summary says how much. The job may go on for a moment"
    " with what is under way; then its status is `cancelled`.",
    request=None,
    parameters=[
        _JOB_ID,
        header(
            "Retry-After", "While it runs: seconds after which to ask again.", 200, 429, 503, schema=SECONDS
        ),
    ],
    responses=answers(
        {200: OpenApiResponse(ref("Job"), "The job, as it is now.")},
        *(ErrorCode.NOT_FOUND, ErrorCode.NOT_CANCELLABLE),
    ),
)
