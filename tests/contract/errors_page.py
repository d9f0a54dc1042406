"""docs/errors.md, made from the table of codes; `python -m tests.contract.errors_page` writes it."""

import json
import os
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
INTRODUCTION = """\
# Errors

Every error that a client can meet, one by one. Made from `core/http/codes.py` by
`.venv/bin/python -m tests.contract.errors_page`; `tests/contract/test_errors.py` provokes the errors and
compares what the service says with the examples.

Every error body is `{"error": "<sentence for a person>", "code": "<word for a program>"}`, some with `field`,
`reason`, `scope`, `list_id` or `validation`. Decide by `code`. Codes and keys may be added: take a code that
you don't know for what its HTTP status says. Every answer bears `X-Request-Id`; quote it when you ask
support.

In a batch (`POST /contacts/bulk`) a contact that fails is an entry of the summary's `errors`, with its
`index` and `phone_number`, and no HTTP error; sent alone (`POST /contacts`) it is answered with the status
below.
"""
LATER = (
    "**In `errors`:** the contact asks for paid validation, and nothing could be charged to the account any"
    " more when the batch was processed. Nothing was charged; retry the job once the account may be billed."
)
ELSEWHERE = {
    "method_not_allowed": ["every path, with another method"],
    "invalid_request": ["what is refused before the API looks at it"],
    "not_found": ["every other path"],
}


def page() -> str:
    """The whole page."""
    from core.http.codes import ErrorCode  # noqa: PLC0415 - Django is set up first

    head = ["| code | HTTP status | what happened |", "| --- | --- | --- |"]
    rows = [f"| [`{code}`](#{code}) | {code.status} | {code.meaning} |" for code in ErrorCode]
    return "\n".join([INTRODUCTION, *head, *rows, "", *(_section(code) for code in ErrorCode)])


def _section(code: str) -> str:
    from core.http.codes import EVERYWHERE, NOT_CHARGED, OF_CONTACTS, ErrorCode  # noqa: PLC0415
    from tests.contract.described import error_examples, operations  # noqa: PLC0415

    about, named = ErrorCode(code), operations()
    where = [f"`{named[name].method} {named[name].path}`" for name, of in error_examples() if of == about]
    if about in EVERYWHERE:
        where = ["every operation"]
    if about in OF_CONTACTS:
        where.append("an entry of a batch's `errors`")
    where += ELSEWHERE.get(about, [])
    example = json.dumps(about.body(), indent=2)
    later = f"{LATER}\n\n" if about in NOT_CHARGED else ""
    return (
        f"## `{about}`\n\nHTTP {about.status}. {about.meaning}\n\n**Where:** {', '.join(where)}.\n\n"
        f"{later}```json\n{example}\n```\n\n**What to do:** {about.remedy}\n"
    )


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    PAGE.write_text(page())
