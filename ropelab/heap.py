"""Memory that a program on CPU gives back and takes again, kept by the process.

XLA asks the C library for all the temporaries of a program at every call. glibc takes what is larger than 32 MiB from
the system and hands it back after use, so each call begins with a page fault every 4 KiB: 180 of the 880 ms of
processor time of a training step whose temporaries are 209 MiB. A heap that is never trimmed keeps the pages.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # malloc.h
NEVER = -1


def keep() -> bool:
    """Keep what is freed; whether the C library can.

    Huge pages are the next step, which only the environment can ask for: `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`.
    This must be called before jax starts its threads, each of which else has a heap of its own that big blocks pass by.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    wanted = ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER))
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in wanted)
