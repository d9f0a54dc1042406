"""What became of each contact of a job: for `GET /jobs/<id>/results`, errors.csv and the single endpoint."""

import csv
from collections.abc import Iterator
from typing import Any

from contacts import payload
from contacts.bulk.accept import unpack
from contacts.bulk.models import BulkJob, BulkSlice, SliceStatus
from trackly.api import json

_FIELDS = (
    "phone_number",
    "list_number",
    "use_journeys",
    "skip_journey_if_exists",
    "use_validation",
    "signup_date",
    "ip_address",
    "url",
    "custom_fields",
    "replace_custom_fields",
)


def outcomes(job: BulkJob) -> list[dict[str, Any]]:
    """The contacts that have an outcome so far, by index (contract, "GET /jobs/<job_id>")."""
    found = []
    for part in job.slices.filter(finished_at__isnull=False).defer("payload", "lists"):
        if part.status == SliceStatus.CANCELLED:
            continue
        errors = _errors(part)
        for index, outcome, contact_id, list_contact_id, enrolled, *validation in json.loads(
            part.results.encode()
        ):
            row = {
                "index": index,
                "outcome": outcome,
                "contact_id": contact_id,
                "list_contact_id": list_contact_id,
                "journeys_enrolled": enrolled,
            }
            if validation:
                row["validation"] = validation[0]
            if index in errors:
                row["error"] = errors[index]
            found.append(row)
    return sorted(found, key=lambda row: row["index"])


def _errors(part: BulkSlice) -> dict[int, dict[str, Any]]:
    return {entry["index"]: entry for entry in json.loads(part.errors.encode())}


class _Echo:
    """A file that csv writes to and that gives each line back."""

    def write(self, line: str) -> str:
        return line


def errors_csv(job: BulkJob) -> Iterator[str]:
    """The failed contacts as CSV (RFC 4180), line by line: index, code, error, field, the contact as sent.

    Text that a spreadsheet would take for a formula starts with `'` (OWASP, "CSV injection").
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(("index", "code", "error", "field", *_FIELDS))
    failed: list[tuple[int, bytes, dict[str, Any]]] = []
    for part in job.slices.exclude(errors="[]").defer("results", "lists"):
        errors = _errors(part)
        failed += [(index, raw, errors[index]) for index, raw in unpack(part.payload) if index in errors]
    for index, raw, error in sorted(failed, key=lambda row: row[0]):
        about = (index, error["code"], error["error"], error.get("field", ""))
        yield writer.writerow((*about, *(_cell(value) for value in _as_sent(raw))))


def _as_sent(raw: bytes) -> list[Any]:
    readable = len(raw) <= payload.MAX_CONTACT_BYTES and not payload.is_too_deep(raw)
    value = payload.decode(raw) if readable else None
    return [value.get(name, "") for name in _FIELDS] if isinstance(value, dict) else [""] * len(_FIELDS)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    is_number = text.startswith("+") and text[1:].isdigit()
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} and not is_number else text
