"""The OpenAPI description is complete and true: schemathesis asks for everything that it describes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import yaml
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from tests.conftest import RunningStack
from tests.support import EXAMPLES

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
    assert len(described) == len(served) > 10
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
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"):
        path = next(part for part in page.text.split('"') if part.endswith(asset))
        assert httpx.get(stack.base + path).status_code == 200


def test_the_compose_file_names_what_make_up_starts() -> None:
    services = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())["services"]
    made = {"postgres", "redis", "migrate", "sandbox", "web", "worker", "journeys", "live", "beat"}
    assert set(services) == made
