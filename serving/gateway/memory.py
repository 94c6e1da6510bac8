"""Memory that a long-lived process gives back, where the C library is glibc; elsewhere nothing is done."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8  # of <malloc.h>


def keep_together() -> None:
    """One heap for all threads, before there is a second: what one leaves another takes.

    Routers are read and parts of the log are written by threads that come and go, each of which would leave a
    heap of its own with holes.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system: a router's graph that goes leaves some 45 MB of holes."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
