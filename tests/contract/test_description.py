"""The OpenAPI description is complete and true: schemathesis asks for everything that it describes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from django.conf import settings
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from contacts.payload import MAX_CONTACT_BYTES
from core import codec
from core.http.body import MAX_BODY_BYTES
from core.http.query import MOST_PER_PAGE
from ingestion.batch import MAX_CONTACTS
from lookups.sandbox import NUMBERS
from tests.conftest import RunningStack
from tests.contract.described import operations
from tests.support import EXAMPLES
from trackly.api.docs import document

OPERATIONS = operations()

CASES = int(os.environ.get("SCHEMATHESIS_CASES", "5"))
"""Generated requests of each operation and phase; `make fuzz` asks for many more."""


def test_every_answer_is_described(stack: RunningStack, tmp_path: Path) -> None:
    api = stack.account("--billing", "active", "--welcome-journey", "Welcome")
    config = str(Path(__file__).parent / "schemathesis.toml")
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", config, "run"]
    command += [f"{stack.base}/api/v2/openapi.json", "--header", f"X-Api-Key: {api.headers['X-Api-Key']}"]
    command += ["--checks", "all", "--max-examples", str(CASES), "--seed", "20261122", "--no-color"]
    command += ["--request-timeout", "120"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"(\d{3,}) generated, \1 passed", done.stdout), done.stdout


def test_every_path_is_described(stack: RunningStack) -> None:
    described = httpx.get(f"{stack.base}/api/v2/openapi.json").json()["paths"]
    [api] = [
        p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and str(p.pattern) == "api/v2/"
    ]
    served = [pattern for pattern in api.url_patterns if isinstance(pattern, URLPattern)]
    assert len(described.keys() - {"/api/v2"}) == len(served) > 10
    operations = {path: set(methods) - {"parameters"} for path, methods in described.items()}
    assert operations["/api/v2/contacts"] == {"get", "post", "delete"}


def test_the_examples_are_the_documented_ones(stack: RunningStack) -> None:
    described = httpx.get(f"{stack.base}/api/v2/openapi.json").json()["paths"]["/api/v2/contacts/bulk"][
        "post"
    ]
    [request] = described["requestBody"]["content"]["application/json"]["examples"].values()
    [summary] = described["responses"]["200"]["content"]["application/json"]["examples"].values()
    assert (request["value"], summary["value"]) == (EXAMPLES["bulk_request"], EXAMPLES["bulk_response"])


def test_the_page_to_try_it_needs_nothing_from_elsewhere(stack: RunningStack) -> None:
    page = httpx.get(f"{stack.base}/api/v2/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!-- ", "").replace("http://www.w3.org", "").replace("// ", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "docs.css", "docs.js"):
        path = next(part for part in page.text.split('"') if part.endswith(asset))
        assert httpx.get(stack.base + path).status_code == 200


def test_the_base_path_shows_the_way_without_a_key(stack: RunningStack) -> None:
    base = f"{stack.base}/api/v2"
    index = httpx.get(base)
    assert (index.status_code, index.headers["Content-Type"]) == (200, "application/json")
    kinds = {name: httpx.get(stack.base + index.json()[name]) for name in ("documentation", "openapi")}
    assert {name: answer.status_code for name, answer in kinds.items()} == {
        "documentation": 200,
        "openapi": 200,
    }
    refused = [httpx.post(base), httpx.get(f"{base}/"), httpx.get(f"{base}/nope")]
    assert [answer.json()["code"] for answer in refused] == ["method_not_allowed", "not_found", "not_found"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described_for_integrators(name: str) -> None:
    about = OPERATIONS[name].about
    assert about["summary"]
    assert about["description"].endswith(".")
    assert about["tags"][0] in {tag["name"] for tag in document()["tags"]}
    for parameter in about.get("parameters", []):
        assert parameter["description"].endswith("."), parameter
    for status, response in about["responses"].items():
        assert response["description"], status
        assert "X-Request-Id" in response["headers"]
    headers = {place["name"] for place in about.get("parameters", []) if place["in"] == "header"}
    accepts = name in {"bulk_create_contacts", "create_contact"}
    assert headers == ({"Prefer", "Idempotency-Key"} if accepts else set())


def test_nothing_internal_leaks_into_the_description() -> None:
    """A view's docstring, a module's name, a pointer to a page that integrators don't have."""
    text = "\n".join(_texts(codec.loads(codec.encode(document()))))
    assert len(text) > 10_000
    packages = r"\b(?:trackly|contacts|billing|journeys|django|rest_framework)\.(?!bulk\b|single\b)[a-z_]+"
    for leak in (r"\bcontract\b", r"(?i)\bdesign\b", packages, r"\.py\b", r"\bView\b", r"\bTODO\b"):
        assert re.findall(leak, text, re.IGNORECASE) == []


def _texts(value: Any) -> Iterator[str]:
    """Every summary and description of the document."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"summary", "description", "title"} and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def test_the_introduction_names_the_sandboxs_numbers_and_the_limits() -> None:
    about = document()["info"]["description"]
    table = dict(re.findall(r"^\| `(\+[0-9]+)` \| (.+) \|$", about, re.MULTILINE))
    contract = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
    assert table == dict(re.findall(r"^\| `(\+[0-9]+)` \| (.+) \|$", contract, re.MULTILINE))
    assert table.keys() == NUMBERS.keys()
    limits = (MAX_BODY_BYTES, MAX_CONTACTS, MAX_CONTACT_BYTES, MOST_PER_PAGE)
    assert [f"{limit:,}" for limit in limits if f"| {limit:,}" not in about] == []
    assert f"{settings.TRACKLY_MAX_WAIT:g} s" in about


def test_the_compose_file_names_what_make_up_starts() -> None:
    services = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())["services"]
    made = {"postgres", "redis", "migrate", "sandbox", "web", "worker", "journeys", "live", "beat"}
    assert set(services) == made
