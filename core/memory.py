"""The garbage collector of a process that serves: it looks less often, and not at what stays."""

import gc

_NEW_OBJECTS = 20_000
"""After so many it looks: a slice of a thousand contacts makes some ten thousand, and few cycles."""


def collect_less() -> None:
    """Take all that is loaded by now for permanent, and look for cycles less often than Python would.

    Call it in a process that has loaded what it needs, before it forks: its children inherit it. By Python's
    own thresholds a sixth of a worker's time went there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
