"""The servers of the test run: embedded ones, unless DATABASE_URL and REDIS_URL name others."""

import io
import json
import os
import secrets
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import environ
import psycopg
import pytest
import pytest_django
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql

from core.outbound.calling import forget
from devstack.home import Home, free_port
from devstack.sandbox.server import Stub
from devstack.stack import Stack
from devstack.supervisor import end_group
from tests.support import LIST, Api

# How quick a machine is, and what else it does, is not what tests are about.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")

_logs: dict[str, Path] = {}
"""What the servers and stacks say that run, or that did not start."""
_TAIL = 60
"""Lines of each of them that are shown where a test fails."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test makes the run fail")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not session.config.option.no_skips or reporter is None or not reporter.stats.get("skipped"):
        return
    reporter.write_line("\nTests were skipped, which --no-skips forbids.", red=True)
    if session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for name, log in _logs.items():
            tail = deque(log.read_text(errors="replace").splitlines(), _TAIL)
            report.sections.append((f"The end of {name}'s log", "\n".join(tail)))
    return report


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """PostgreSQL and Redis, in a state directory that later runs use again."""
    home = Home(settings.TRACKLY_HOME / "servers")
    home.path.mkdir(parents=True, exist_ok=True)
    _logs["servers"] = home.path / "servers.log"
    with _logs["servers"].open("w") as log:
        stack = Stack(home, durable=False, output=log)
        try:
            stack.start_servers()
            settings.REDIS_URL = stack.environment["REDIS_URL"]
            settings.CELERY_BROKER_URL = settings.REDIS_URL
            settings.CELERY_RESULT_BACKEND = f"core.celery.results:ChordBackend+{settings.REDIS_URL}"
            yield stack
        finally:
            stack.stop()
    del _logs["servers"]


@pytest.fixture(scope="session")
def template(servers: Stack) -> str:
    """The name of a database that is migrated and empty: others are copies of it."""
    name = "template_of_tests"
    url = _create_database(servers, name)
    servers.manage("migrate", "--verbosity", "0", environment={"DATABASE_URL": url})
    return name


def _create_database(servers: Stack, name: str, template: str = "template1") -> str:
    """Make a copy of the template, in the place of what was called so before; its URL."""
    url = servers.environment["DATABASE_URL"]
    drop, create = "DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {} TEMPLATE {}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(drop).format(sql.Identifier(name)))
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(template)))
    return f"{url.rsplit('/', 1)[0]}/{name}"


@pytest.fixture
def new_database(servers: Stack, template: str) -> str:
    """The URL of a database that is migrated, empty, and was never analysed."""
    return _create_database(servers, "new_database", template)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: Stack, template: str) -> None:
    connections.settings["default"].update(_place(servers))
    connections.settings["default"]["TEST"]["TEMPLATE"] = template


def _place(stack: Stack) -> dict[str, Any]:
    """Where a stack's database is, in Django's words."""
    given = environ.Env.db_url_config(stack.environment["DATABASE_URL"])
    return {name: given[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}


class RunningStack:
    """The product, running: web, workers and beat, on a database of its own."""

    def __init__(self, stack: Stack, port: int, log: Path, blocker: pytest_django.DjangoDbBlocker) -> None:
        self.stack = stack
        self.log = log
        self._blocker = blocker
        self.base = f"http://127.0.0.1:{port}"
        self.clients: list[Api] = []

    @cached_property
    def shared(self) -> Api:
        """A client of an account that several tests use: those that leave nothing behind."""
        return self.account()

    def account(self, *options: str) -> Api:
        """A client with a new account, made by the operator's command (in this process, which is quicker)."""
        lists = [] if "--list" in options else ["--list", LIST]
        out = io.StringIO()

        def create() -> None:
            own = connections["default"]  # each thread has a connection of its own
            own.settings_dict = {**own.settings_dict, **_place(self.stack)}
            try:
                call_command("create_account", "Test", *lists, *options, "--json", stdout=out)
            finally:
                own.close()

        # In a thread: a browser test has an event loop in this one, where Django refuses to work.
        with self._blocker.unblock(), ThreadPoolExecutor(1) as pool:
            pool.submit(create).result()
        created = json.loads(out.getvalue())
        self.clients.append(Api(self.base, created))
        return self.clients[-1]

    @cached_property
    def operator_password(self) -> str:
        """Of the superuser `operator`, who is made here."""
        password = secrets.token_urlsafe(12)
        arguments = ("--noinput", "--username=operator", "--email=operator@localhost")
        variables = {"DJANGO_SUPERUSER_PASSWORD": password}
        self.stack.manage("createsuperuser", *arguments, environment=variables)
        return password

    def connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.stack.environment["DATABASE_URL"], autocommit=True)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def count(self, statement: str, *parameters: Any) -> int:
        found: int = self.rows(statement, *parameters)[0][0]
        return found


_free_redis = set(range(1, 16))
"""Redis' numbered databases that no stack uses; 0 is this process's own."""


class Launch(Protocol):
    """`with launch(name, VARIABLE="…") as stack`: the product, on a database of its own."""

    def __call__(self, name: str, **variables: str) -> AbstractContextManager[RunningStack]: ...


@pytest.fixture(scope="session")
def launch(
    servers: Stack,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: pytest_django.DjangoDbBlocker,
) -> Launch:
    @contextmanager
    def run(name: str, **variables: str) -> Iterator[RunningStack]:
        url = _create_database(servers, name, template)
        yield from _run(servers, url, tmp_path_factory.mktemp(name), name, django_db_blocker, **variables)

    return run


def _run(
    servers: Stack,
    url: str,
    folder: Path,
    name: str,
    blocker: pytest_django.DjangoDbBlocker,
    **variables: str,
) -> Iterator[RunningStack]:
    before = dict(os.environ)
    # Of the same servers, but its own: another database, and another number in Redis.
    os.environ["DATABASE_URL"] = url
    number = _free_redis.pop()
    os.environ["REDIS_URL"] = f"{servers.environment['REDIS_URL'].rsplit('/', 1)[0]}/{number}"
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as own:
        own.flushdb()  # a test before left messages there
    _logs[name] = folder / f"{name}.log"
    with _logs[name].open("w") as log:
        stack = Stack(Home(folder / name), output=log)
        stopping = threading.Event()
        watcher = threading.Thread(target=stack.supervisor.watch, args=(stopping,))
        try:
            stack.start_servers()
            stub = stack.environment["TRACKLY_SANDBOX_URL"]
            stack.environment |= {name: value.format(stub=stub) for name, value in variables.items()}
            port = free_port()
            stack.start_product(port, timeout=600)
            watcher.start()
            running = RunningStack(stack, port, _logs[name], blocker)
            yield running
            for client in running.clients:
                client.close()
        finally:
            stopping.set()
            if watcher.ident:
                watcher.join()
            for started in stack.supervisor._running:  # to end by itself would take it seconds
                end_group(started.process.pid, signal.SIGKILL)
            stack.stop()
            os.environ.clear()
            os.environ.update(before)
            _free_redis.add(number)
    del _logs[name]


_TWO_TRIES = {"TRACKLY_LOOKUP_TIMEOUT": "3", "TRACKLY_LOOKUP_TRIES": "2"}
"""What the stub never answers costs six seconds; what it answers after two seconds is in time."""


@pytest.fixture(scope="session")
def stack(launch: Launch) -> Iterator[RunningStack]:
    """The product as `make up` runs it, but that messages leave at any time of day."""
    with launch("e2e", **_TWO_TRIES, TRACKLY_QUIET_HOURS="") as running:
        yield running


@pytest.fixture(scope="session")
def literal_stack(launch: Launch) -> Iterator[RunningStack]:
    """The same with one contact a task: the literal shape."""
    with launch("literal_e2e", **_TWO_TRIES, TRACKLY_SLICE_SIZE="1", TRACKLY_LIVE_SLICE_SIZE="1") as running:
        yield running


@pytest.fixture(scope="session")
def live_stack(launch: Launch) -> Iterator[RunningStack]:
    """The product as in production: every new number is looked up at a provider's, which is the stub."""
    with launch(
        "live_e2e",
        TRACKLY_SANDBOX="0",
        TRACKLY_HTTPS="0",
        TRACKLY_CARRIER="twilio",
        TRACKLY_VALIDATION="telnyx",
        TWILIO_ACCOUNT_SID="AC0",
        TWILIO_AUTH_TOKEN="a secret of Twilio's",
        TELNYX_API_KEY="a secret of Telnyx'",
        TWILIO_LOOKUPS_URL="{stub}",
        TELNYX_URL="{stub}",
        NO_PROXY="127.0.0.1",
        TRACKLY_LOOKUP_TIMEOUT="5",
        TRACKLY_CARRIER_RECHECK="1",
        TRACKLY_BREAKER_PAUSE="1",
        TRACKLY_MAX_WAIT="60",
    ) as running:
        yield running


@pytest.fixture(params=["stack", "literal_stack"])
def any_stack(request: pytest.FixtureRequest) -> RunningStack:
    """Both: what a client sees must not depend on the slice's size."""
    found: RunningStack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def stub(settings: Any) -> Iterator[Stub]:
    """The sandbox's stub, for tests that run a slice in this process; settings point at it."""
    server = Stub(0)
    for name in (
        "TWILIO_LOOKUPS_URL",
        "TWILIO_MESSAGES_URL",
        "TELNYX_URL",
        "REALPHONEVALIDATION_URL",
        "STRIPE_URL",
    ):
        setattr(settings, name, f"http://127.0.0.1:{server.server_port}")
    # So that a slow machine answers in time, too.
    settings.TRACKLY_LOOKUP_TIMEOUT = settings.TRACKLY_MESSAGE_TIMEOUT = 20
    forget()  # what others have learned of the providers
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # how soon it sees that it is to end
    thread.start()
    yield server
    forget()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hasty(stub: Stub, settings: Any) -> None:
    """For tests in which the stub does not answer: nobody waits long for it."""
    settings.TRACKLY_LOOKUP_TIMEOUT = settings.TRACKLY_MESSAGE_TIMEOUT = 0.5
