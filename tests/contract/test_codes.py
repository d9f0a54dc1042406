"""One table of error codes: it has what the product raises and what the contract names, and no more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing import gate
from core.http.codes import BILLING, IN_ENTRIES, NOT_CHARGED, OF_CONTACTS, ErrorCode
from tests.contract.described import error_examples
from tests.contract.errors_page import PAGE, page
from tests.support import PRODUCT

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs" / "contract.md").read_text()
# Where a code is not written out at the place that raises it: all that it can be there.
COMPUTED: dict[str, set[str]] = {
    "billing/gate.py": set(BILLING),
    "ingestion/pipeline/screening.py": {ErrorCode.PROVIDER_ERROR, *NOT_CHARGED},
    "trackly/api/single.py": {*OF_CONTACTS, ErrorCode.CANCELLED},
    "trackly/api/contacts.py": {
        "missing_phone_number",
        "missing_list_number",
        "invalid_phone",
        "invalid_list_number",
    },
}
OWN_MEANS = {"contacts/payload.py"}
"""Where an error is copied, with the code that it has."""


def raised() -> Iterator[tuple[str, int | None, str | None]]:
    """File, status and code of every ApiError and ContactError; None where it is computed."""
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    values = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args[:2]]
                    name = str(path.relative_to(ROOT))
                    if node.func.id == "ApiError":
                        yield name, values[0], values[1]  # type: ignore[misc]
                    elif node.func.id == "ContactError":
                        yield name, None, values[0]  # type: ignore[misc]


def test_what_is_raised_has_a_row_with_its_status() -> None:
    sites = list(raised())
    assert len(sites) > 30
    for file, status, code in sites:
        if code is None:
            assert file in COMPUTED.keys() | OWN_MEANS, f"{file} computes a code: name what it can be"
        else:
            assert status in {None, ErrorCode(code).status}, (file, code)


def test_every_row_is_raised_somewhere() -> None:
    constant = {code for _, _, code in raised() if code is not None}
    assert set(ErrorCode) == constant.union(*COMPUTED.values())


def test_the_gates_codes_are_those_of_billing() -> None:
    assert set(gate.REASONS) == set(BILLING)


def test_the_contract_names_the_same_codes_and_statuses() -> None:
    part_one = CONTRACT.split("# Part two")[0]
    named = re.findall(r"(\d{3}) (?:with )?`([a-z_]+)`", part_one)
    assert len(named) > 15
    for status, code in named:
        assert ErrorCode(code).status == int(status)
    fails_with = part_one.split("first match wins")[1].split("An entry of `errors`")[0]
    order = [re.match(r"\s*`([a-z_]+)`", part) for part in fails_with.split("·")]
    assert [match[1] for match in order if match] == list(IN_ENTRIES)
    unnamed = {code for code in ErrorCode if f"`{code}`" not in CONTRACT}
    assert unnamed == {"invalid_request", "list_exists"}


def test_every_code_of_the_api_is_an_example_of_some_operation() -> None:
    everywhere_else = {"method_not_allowed", "invalid_request"}
    assert {code for _, code in error_examples()} == set(ErrorCode) - everywhere_else
    for status, body in error_examples().values():
        assert ErrorCode(body["code"]).status == status


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_row_says_what_happened_and_what_to_do(code: ErrorCode) -> None:
    assert code.meaning.endswith(".")
    assert code.remedy.endswith(".")
    assert re.fullmatch(r"[a-z_]+", code)


def test_the_page_of_errors_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "write it anew: .venv/bin/python -m tests.contract.errors_page"
