"""What became of each contact of a job: for `GET /jobs/<id>/results`, errors.csv and the single endpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

from contacts import payload
from contacts.fields import NAMES
from core import codec
from core.http.spreadsheet import cell, line_writer
from ingestion.batch import unpack
from ingestion.models import BulkJob, BulkSlice, SliceStatus
from ingestion.pipeline.entries import IN_PAYLOAD, numbers_as_sent

_LEFT_OUT = codec.dumps({"phone_number": IN_PAYLOAD})[1:-1]


def outcomes(job: BulkJob, *, outcome: str | None = None, code: str | None = None) -> list[dict[str, Any]]:
    """The contacts that have an outcome so far, by index (contract, "GET /jobs/<job_id>").

    `outcome`, `code`: only those with that outcome, or that failed with that code. A contact that runs again
    has the outcome of the first run until the second one ends, as it has in the job's counts.
    """
    found = []
    for part in job.slices.exclude(status=SliceStatus.CANCELLED).defer("payload", "lists"):
        errors = _errors(part)
        for index, became, contact_id, list_contact_id, enrolled, *validation in codec.loads(
            part.results.encode()
        ):
            error = errors.get(index)
            if (outcome and became != outcome) or (code and (error is None or error["code"] != code)):
                continue
            row = {
                "index": index,
                "outcome": became,
                "contact_id": contact_id,
                "list_contact_id": list_contact_id,
                "journeys_enrolled": enrolled,
            }
            if validation:
                row["validation"] = validation[0]
            if error is not None:
                row["error"] = error
            found.append(row)
    return sorted(found, key=lambda row: row["index"])


def with_numbers(job: BulkJob, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `outcomes`, each with its contact's `phone_number` and `list_number`, as they were sent.

    Only the contacts of these rows are read: a page's.
    """
    numbers = _numbers(job, {row["index"] for row in rows})
    for row in rows:
        _restore(row.get("error", {}), numbers)
    return [{"index": row["index"], **numbers.get(row["index"], {}), **row} for row in rows]


def summary_of(job: BulkJob) -> bytes | None:
    """The job's summary as JSON, as it is answered; None for a job that has not ended."""
    if _LEFT_OUT not in job.summary:
        return job.summary.encode() or None
    summary = codec.loads(job.summary.encode())
    left_out = {entry["index"] for entry in summary["errors"] if entry.get("phone_number") == IN_PAYLOAD}
    numbers = _numbers(job, left_out)
    for entry in summary["errors"]:
        _restore(entry, numbers)
    return codec.dumps(summary).encode()


def _restore(entry: dict[str, Any], numbers: dict[int, dict[str, Any]]) -> None:
    """Put the number back into an entry of `errors` that left it out."""
    if entry.get("phone_number") == IN_PAYLOAD:
        entry |= {"phone_number": numbers.get(entry["index"], {}).get("phone_number")}


def _numbers(job: BulkJob, wanted: set[int]) -> dict[int, dict[str, Any]]:
    """`phone_number` and `list_number` as sent, of the contacts with these indexes."""
    numbers: dict[int, dict[str, Any]] = {}
    for packed in job.slices.order_by("pk").values_list("payload", flat=True):
        if len(numbers) == len(wanted):
            break  # what was put off, halved or run again stands in several slices
        numbers.update(
            (index, numbers_as_sent(raw))
            for index, raw in unpack(packed)
            if index in wanted and index not in numbers
        )
    return numbers


def _errors(part: BulkSlice) -> dict[int, dict[str, Any]]:
    return {entry["index"]: entry for entry in codec.loads(part.errors.encode())}


def errors_csv(job: BulkJob) -> Iterator[str]:
    """The failed contacts as CSV (RFC 4180), line by line: index, code, error, field, the contact as sent."""
    line = line_writer()
    yield line(("index", "code", "error", "field", *NAMES))
    failed: list[tuple[int, bytes, dict[str, Any]]] = []
    for part in job.slices.exclude(errors="[]").defer("results", "lists"):
        errors = _errors(part)
        failed += [(index, raw, errors[index]) for index, raw in unpack(part.payload) if index in errors]
    for index, raw, error in sorted(failed, key=lambda row: row[0]):
        about = (index, error["code"], error["error"], error.get("field", ""))
        yield line((*about, *(cell(value) for value in _as_sent(raw))))


def _as_sent(raw: bytes) -> list[Any]:
    readable = len(raw) <= payload.MAX_CONTACT_BYTES and not payload.is_too_deep(raw)
    value = payload.decode(raw) if readable else None
    return [value.get(name, "") for name in NAMES] if isinstance(value, dict) else [""] * len(NAMES)
