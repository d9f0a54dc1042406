"""A short storm (tests.faults.storm): whatever dies, what clients were told is what the tables hold."""

import os
import subprocess
import sys

from devstack.stack import ROOT

SECONDS, SEED = 25, 7


def test_after_a_storm_promises_and_rows_agree() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "tests.faults.storm", "--seconds", str(SECONDS), "--seed", str(SEED)]
    storm = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert storm.returncode == 0, f"{storm.stdout}\n{storm.stderr}"
    assert "differences: 0" in storm.stdout
    print(storm.stdout)  # noqa: T201 - shown with -s
