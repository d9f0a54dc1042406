"""Python imports it when it starts, in processes that run with libfaketime (test_clocks.py).

Told to leave the monotonic clock alone, libfaketime 0.9.10 answers its `clock_nanosleep`, which `time.sleep`
uses, with EINVAL; `poll` it lets be.
"""

import math
import select
import time
from typing import SupportsIndex


def _sleep(seconds: "float | SupportsIndex", /) -> None:
    select.poll().poll(math.ceil(float(seconds) * 1000))


time.sleep = _sleep
