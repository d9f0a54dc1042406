"""`python -m tests.benchmarks [NAME…]`: those named, or all about ingestion; each in a process of its own.

`SCALE=0.1` makes them a tenth as large.
"""

import subprocess
import sys

ALL = ("throughput", "latency", "flat", "fair", "scaling")
MORE = ("brokers", "journeys", "look_ups", "numbers", "slow_clients")


def main() -> int:
    """The exit status: of the first that failed."""
    names = sys.argv[1:] or list(ALL)
    if unknown := set(names) - {*ALL, *MORE}:
        print(f"There is no {', '.join(sorted(unknown))}; there are {', '.join((*ALL, *MORE))}.")
        return 2
    failed = 0
    for name in names:
        print(f"=== {name} {'=' * (100 - len(name))}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False)
        failed = failed or done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
