"""`python -m trackly.embedded up | demo | servers`, which the Makefile calls."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from trackly.embedded.demo import demo
from trackly.embedded.home import Home, HomeInUse
from trackly.embedded.postgres import NotFound
from trackly.embedded.stack import ROOT, Stack
from trackly.embedded.supervisor import StartFailed

_DEFAULT_PORT = 8000


def _until_told(run: Callable[[Stack], None]) -> int:
    """Run a stack in the state directory until Ctrl-C, SIGTERM or SIGHUP, then end all of it."""
    stop = threading.Event()
    stack = Stack(Home(Path(os.environ.get("TRACKLY_HOME") or ROOT / ".trackly")))
    try:
        run(stack)
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
        signal.signal(signal.SIGINT, lambda *_: stop.set())
        stack.supervisor.watch(stop)
    finally:
        # A second Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
    return 0


def _up(stack: Stack) -> None:
    port = int(os.environ.get("PORT") or _DEFAULT_PORT)
    stack.start_servers()
    stack.start_product(port)
    print(f"\n  API    http://localhost:{port}/api/v2\n  admin  http://localhost:{port}/admin/")
    if stack.home.is_new:
        key = stack.create_demo_account()["api_key"]
        password = stack.create_admin()
        print(f"\n  demo account's API key (shown once):  {key}")
        print(f"  admin login:  admin / {password or '(as before: the database has an admin)'}")
        stack.home.mark_introduced()
    print("\n  Ctrl-C ends it all.\n", flush=True)


def _servers(stack: Stack) -> None:
    stack.start_servers()
    print(
        "\n  PostgreSQL and Redis are up; manage.py and celery find them.\n\n  Ctrl-C ends them.\n",
        flush=True,
    )


def main() -> int:
    # Until the stack is up a signal ends the start; `finally` blocks then stop what has been started.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    commands: dict[str, Callable[[], int]] = {
        "up": lambda: _until_told(_up),
        "servers": lambda: _until_told(_servers),
        "demo": demo,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in commands:  # noqa: PLR2004 - one argument
        print(f"usage: python -m trackly.embedded {'|'.join(commands)}", file=sys.stderr)
        return 2
    try:
        return commands[sys.argv[1]]()
    except (HomeInUse, NotFound, StartFailed) as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
