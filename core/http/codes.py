"""Every error code that a client can meet: its HTTP status, what happened, and what to do about it.

The one table of them: the OpenAPI description and docs/errors.md are made from it, and
tests/contract/test_codes.py holds it equal to what the code raises.
"""

from enum import StrEnum
from typing import Any, Self


class ErrorCode(StrEnum):
    """The `code` of an error body, or of an entry of a batch's `errors`.

    Each member: code, HTTP status, what happened, what to do, and the sentence that the service says in the
    usual case (with further keys of the body, where it has some). In a batch's `errors` there is no status.
    """

    status: int
    meaning: str
    remedy: str
    sentence: str
    more: dict[str, Any]

    def __new__(cls, code: str, *about: Any) -> Self:
        """A member, which compares and prints as its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status, member.meaning, member.remedy, member.sentence, *more = about
        member.more = more[0] if more else {}
        return member

    # The request as a whole
    UNAUTHORIZED = (
        "unauthorized",
        401,
        "The X-Api-Key header is missing or malformed, or its key is unknown, revoked or past its end date.",
        "Send a valid key. Repeating the request with the same key does not help.",
        "Missing or invalid X-Api-Key header.",
    )
    ACCOUNT_SUSPENDED = (
        "account_suspended",
        403,
        "The key is valid, but its account is suspended.",
        "Ask support. Every request is refused until the suspension ends.",
        "This account is suspended.",
    )
    FORBIDDEN = (
        "forbidden",
        403,
        "The key is valid, but it lacks the scope that the operation needs; `scope` names it.",
        "Use a key that has the scope. Repeating the request with the same key does not help.",
        "This API key lacks the scope contacts:read, which this request needs. Use a key that has it.",
        {"scope": "contacts:read"},
    )
    RATE_LIMITED = (
        "rate_limited",
        429,
        "The account sent more requests in this minute than its rate allows.",
        "Wait for the seconds that Retry-After names, then send the request again.",
        "More than 600 requests in a minute. Try again in 42 s.",
    )
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type",
        415,
        "The body is not declared to be JSON, or it is compressed.",
        "Send plain JSON with Content-Type: application/json.",
        "Content-Type must be application/json.",
    )
    PAYLOAD_TOO_LARGE = (
        "payload_too_large",
        413,
        "The body has more than 5,000,000 bytes, or a contact more than 4,000.",
        "Split the batch, or shorten the contact's custom_fields.",
        "The request body exceeds 5,000,000 bytes.",
    )
    INVALID_JSON = (
        "invalid_json",
        400,
        "The body is not JSON (RFC 8259, UTF-8), or not an object.",
        "Send one JSON object. The error says where reading stopped.",
        "The request body must be a JSON object.",
    )
    INVALID_PARAMETER = (
        "invalid_parameter",
        400,
        (
            "A parameter of the query is unknown here, given twice, or has a value that can't be used; or a"
            " header has such a value. `field` names it."
        ),
        "Correct the parameter, or leave it out.",
        "page must be a whole number from 1 to 1,000,000,000.",
        {"field": "page"},
    )
    INVALID_REQUEST = (
        "invalid_request",
        400,
        (
            "The request is no valid HTTP, is for another host, or has too many parameters. Also with 408: it"
            " took too long to arrive; and with 414 and 431: its target or its headers are too long."
        ),
        "Check the HTTP client, its proxy and the address that it calls.",
        "The request can't be used.",
    )
    NOT_FOUND = (
        "not_found",
        404,
        "There is no such path, or no such contact, job or list in this account.",
        "Check the path (no trailing slash) and the id. Objects of other accounts are answered the same way.",
        "Not found: this account has nothing with that id or number.",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        405,
        "The path exists, but not with this method.",
        "Use one of the methods that the Allow header names.",
        'Method "PATCH" not allowed.',
    )
    INTERNAL_ERROR = (
        "internal_error",
        500,
        (
            "The service failed in a way that was not foreseen. In a batch's errors: this contact could"
            " not be processed although it was accepted."
        ),
        (
            "Send the request again with the same Idempotency-Key; retry the job for contacts in its"
            " errors. If it persists, give support the answer's X-Request-Id."
        ),
        "An unexpected server error occurred.",
    )
    UNAVAILABLE = (
        "unavailable",
        503,
        (
            "The service can't take work safely now: its database is down, or too much work is waiting."
            " Nothing was accepted."
        ),
        "Wait for the seconds that Retry-After names, then send the request again.",
        "The service can't take this request at the moment. Nothing was accepted; send it again.",
    )
    # Batches, idempotency and jobs
    MISSING_CONTACTS = (
        "missing_contacts",
        400,
        "`contacts` is missing, null, empty, or not an array.",
        'Send {"contacts": [...]} with at least one contact.',
        "The contacts array was not provided, or is empty.",
    )
    TOO_MANY_CONTACTS = (
        "too_many_contacts",
        413,
        "The batch holds more than 1,000 contacts.",
        "Split it.",
        "1,001 contacts; a request holds 1,000 at most.",
    )
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency_key_reused",
        422,
        "The Idempotency-Key was used in the last 24 hours, for a request with another path or body.",
        "Use a new key for each new request, and the same key only to repeat the same request.",
        "This Idempotency-Key was used for another request already.",
    )
    NOT_RETRYABLE = (
        "not_retryable",
        409,
        "The job has not ended, was cancelled, or has no contact that failed as one that can run again.",
        "Nothing needs to be run again, or it is still running: see the job's `status`.",
        (
            "None of the job's contacts failed as internal_error, as provider_error or because the account"
            " could not be billed: nothing to retry."
        ),
    )
    NOT_CANCELLABLE = (
        "not_cancellable",
        409,
        "The job has ended.",
        "Nothing is left to be stopped: see the job's `status` and `summary`.",
        "The job has ended: it is completed.",
    )
    CANCELLED = (
        "cancelled",
        409,
        "The job of this single contact was cancelled before it took effect.",
        "Send the contact again if it is still wanted.",
        "The job was cancelled.",
    )
    LIST_EXISTS = (
        "list_exists",
        409,
        "The account has a sending list with this number already; `list_id` is its `id`.",
        "Use or change that list (PATCH /lists/<id>).",
        "The account has a list with this phone_number already.",
        {"list_id": 17},
    )
    # Paid validation (`use_validation`) and billing
    NO_BILLING_CONFIG = (
        "no_billing_config",
        402,
        "A contact asks for paid validation, and billing is not set up for the account.",
        "Have billing set up, or send the contacts without use_validation. The whole batch was refused.",
        "use_validation needs billing, which is not set up for this account.",
    )
    NO_PAYMENT_METHOD = (
        "no_payment_method",
        402,
        "A contact asks for paid validation, and the account has no usable payment method.",
        (
            "Register a payment method, or send the contacts without use_validation. The whole batch was"
            " refused."
        ),
        "use_validation needs a payment method, and this account has none.",
    )
    PAYMENT_FAILED = (
        "payment_failed",
        402,
        "A contact asks for paid validation, and the payment of an invoice failed.",
        (
            "Pay the invoice or register another card, or send the contacts without use_validation. The"
            " whole batch was refused."
        ),
        "The account's last payment failed; use_validation is off until one succeeds.",
    )
    SUSPENDED = (
        "suspended",
        402,
        "A contact asks for paid validation, which is suspended for the account.",
        "Ask support, or send the contacts without use_validation. The whole batch was refused.",
        "Billing is suspended for this account; use_validation is off.",
    )
    # A contact: in a batch's `errors`, or the answer to `POST /contacts`
    INVALID_CONTACT = (
        "invalid_contact",
        400,
        "The contact is not an object, or it is nested too deeply.",
        "Send an object with at least phone_number and list_number.",
        "Each contact must be an object",
    )
    MISSING_PHONE_NUMBER = (
        "missing_phone_number",
        400,
        "phone_number is absent, null or empty.",
        "Send it in E.164.",
        "phone_number is missing",
    )
    MISSING_LIST_NUMBER = (
        "missing_list_number",
        400,
        "list_number is absent, null or empty.",
        "Send the number of one of the account's sending lists (GET /lists) in E.164.",
        "list_number is missing",
    )
    INVALID_PHONE = (
        "invalid_phone",
        400,
        (
            "phone_number is not a string, not in E.164 (+, country code, number, nothing else), or no"
            " number that can exist."
        ),
        "Correct the number; it can't be reached as it is.",
        "phone_number is not a valid E.164 number",
    )
    INVALID_LIST_NUMBER = (
        "invalid_list_number",
        400,
        "list_number is not a string, or not in E.164.",
        "Send the number of one of the account's sending lists (GET /lists) in E.164.",
        "list_number is not a valid E.164 number",
    )
    INVALID_FIELD = (
        "invalid_field",
        400,
        "Another field has a wrong type or value; `field` names it.",
        'Correct the field. Types are strict: "true" and 1 are no booleans, null is not the same as absent.',
        "signup_date must be an ISO 8601 date and time",
        {"field": "signup_date"},
    )
    LIST_NOT_FOUND = (
        "list_not_found",
        404,
        "The account has no sending list with this number, or it was deleted.",
        "Use a number that GET /lists shows.",
        "No sending list with this list_number exists",
    )
    NOT_SENDABLE = (
        "not_sendable",
        422,
        (
            "The carrier says that the number is not in service or can't receive text messages, or it is"
            " VOIP and the account rejects those; `reason` says which."
        ),
        "Don't send it again: the contact can't be texted.",
        "Phone number failed carrier validation",
        {"reason": "not_in_service"},
    )
    VALIDATION_FAILED = (
        "validation_failed",
        422,
        (
            "Paid validation found the number invalid or unreachable; `validation` holds the result,"
            " which was charged if it is new."
        ),
        "Don't send it again: the contact can't be texted.",
        "Phone number failed validation: unreachable",
        {
            "validation": {
                "disposition": "unreachable",
                "valid": True,
                "line_type": "mobile",
                "carrier": "Sandbox Wireless",
                "ported": False,
                "on_dnc": False,
                "country": "US",
                "cost": 0.003,
                "cached": False,
            }
        },
    )
    PROVIDER_ERROR = (
        "provider_error",
        502,
        "The validation provider gave no answer, after every attempt. Nothing was charged.",
        "Retry the job, send the contact again later, or send it without use_validation.",
        "The validation provider could not be reached",
    )

    def body(self, sentence: str | None = None, **more: Any) -> dict[str, Any]:
        """An error body as the service says it: usually, or with another sentence and other keys."""
        return {"error": sentence or self.sentence, "code": str(self), **(more or self.more)}


IN_ENTRIES = (
    ErrorCode.INVALID_CONTACT,
    ErrorCode.PAYLOAD_TOO_LARGE,
    ErrorCode.MISSING_PHONE_NUMBER,
    ErrorCode.MISSING_LIST_NUMBER,
    ErrorCode.INVALID_PHONE,
    ErrorCode.INVALID_LIST_NUMBER,
    ErrorCode.INVALID_FIELD,
    ErrorCode.LIST_NOT_FOUND,
    ErrorCode.NOT_SENDABLE,
    ErrorCode.PROVIDER_ERROR,
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.INTERNAL_ERROR,
)
"""What one contact of a batch can fail with, in the order of the checks: the first match wins."""
EVERYWHERE = (
    ErrorCode.UNAUTHORIZED,
    ErrorCode.ACCOUNT_SUSPENDED,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.UNAVAILABLE,
)
"""What every request with a key can be answered with."""
BILLING = (
    ErrorCode.NO_BILLING_CONFIG,
    ErrorCode.NO_PAYMENT_METHOD,
    ErrorCode.PAYMENT_FAILED,
    ErrorCode.SUSPENDED,
)
"""Why an account may not be billed, the first that applies (billing.gate)."""
NOT_CHARGED = (ErrorCode.ACCOUNT_SUSPENDED, *BILLING)
"""What a contact with `use_validation` fails with if nothing may be charged any more when it is processed."""
OF_CONTACTS = (*IN_ENTRIES, *NOT_CHARGED)
"""All that an entry of a batch's `errors` may bear."""
