"""Processes that die at a chosen line (tests.killing), on this test's database and stub."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from devstack.sandbox.server import Stub

Run = Callable[..., list[int]]
STRIDE = int(os.environ.get("KILL_STRIDE", "7"))
"""A process is killed before every n-th line that it runs; 1: before each, which takes minutes."""


@pytest.fixture
def killer(stub: Stub, transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Run]:
    """`killer(kill_at=n, …)`: run the job that the test's mark names; the exit codes of its processes."""
    mark = request.node.get_closest_marker("job")
    place = connection.settings_dict
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**place)
    at = f"http://127.0.0.1:{stub.server_port}"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.killing", mark.args[0]],
        env={**os.environ, "DATABASE_URL": url, "TRACKLY_SANDBOX_URL": at, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin as asked, process.stdout as answers:

        def run(**given: Any) -> list[int]:
            asked.write(json.dumps(given) + "\n")
            asked.flush()
            codes: list[int] = json.loads(answers.readline())
            return codes

        yield run
