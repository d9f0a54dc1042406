"""`python -m devstack up | restart | demo | servers`, which the Makefile calls."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from devstack.demo import demo
from devstack.home import Home, HomeInUse
from devstack.servers import NotFound
from devstack.stack import ROOT, Stack
from devstack.supervisor import StartFailed

_DEFAULT_PORT = 8000


def _until_told(run: Callable[[Stack], None]) -> int:
    """Run a stack in the state directory until Ctrl-C, SIGTERM or SIGHUP, then end all of it."""
    stop = threading.Event()
    stack = Stack(_home())
    try:
        run(stack)
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
        signal.signal(signal.SIGINT, lambda *_: stop.set())
        signal.signal(signal.SIGUSR1, lambda *_: stack.supervisor.ask(lambda: _restarted(stack)))
        stack.home.take_restarts()
        stack.supervisor.watch(stop)
    finally:
        # A second Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
    return 0


def _restarted(stack: Stack) -> None:
    """Restart the product; what `restart` is waiting for is how that ended."""
    ended = "ok"
    try:
        stack.restart_product()
    except StartFailed as exc:
        ended = str(exc)
    except Exception as exc:  # noqa: BLE001 - the waiting `restart` must be told
        ended = repr(exc)
    stack.supervisor.say("restart", ended)
    stack.home.note_restart(ended)


def _restart() -> int:
    """Have the `up` of the state directory restart the product, and wait until it has.

    Returns 1 and says why where there is none, or where something does not start.
    """
    home = _home()
    owner = home.owner()
    if owner is None or not home.takes_restarts(owner):
        print(f"Nothing is up in {home.path} that could be restarted: make up", file=sys.stderr)
        return 1
    home.restarts.unlink(missing_ok=True)
    os.kill(owner, signal.SIGUSR1)
    while not home.restarts.exists():
        if home.owner() != owner:
            print("It ended meanwhile.", file=sys.stderr)
            return 1
        time.sleep(0.1)
    ended = home.restarts.read_text()
    print("Restarted." if ended == "ok" else ended, file=sys.stdout if ended == "ok" else sys.stderr)
    return int(ended != "ok")


def _home() -> Home:
    return Home(Path(os.environ.get("TRACKLY_HOME") or ROOT / ".trackly"))


def _up(stack: Stack) -> None:
    port = int(os.environ.get("PORT") or _DEFAULT_PORT)
    stack.start_servers()
    stack.start_product(port)
    base = f"http://localhost:{port}"
    print(f"\n  API    {base}/api/v2\n  docs   {base}/api/v2/docs\n  admin  {base}/admin/")
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
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    commands: dict[str, Callable[[], int]] = {
        "up": lambda: _until_told(_up),
        "servers": lambda: _until_told(_servers),
        "restart": _restart,
        "demo": demo,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(f"usage: python -m devstack {'|'.join(commands)}", file=sys.stderr)
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
