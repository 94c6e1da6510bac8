"""Memory that a long-lived process gives back."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Have the C library return free memory: a graph that goes, or a part that is written, leaves holes.

    Some 45 MB after a router's; another library than glibc has no such call, and nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
