"""Settings of the allocator of the C library for a process that holds large buffers for a moment, again and again.

glibc maps large buffers, and returns them to the system when they are freed. But each that is freed raises the size
from which on it does so, up to 32 MiB, and with that what each thread may keep: bodies of requests and the pieces of
their decompression then come from the heaps of the threads, which keep their space between what lives longer.
"""

from __future__ import annotations

import ctypes

#: Bytes from which on a buffer is mapped for itself.
MAPPED_BYTES = 256 << 10
#: `M_MMAP_THRESHOLD` of malloc.h.
_M_MMAP_THRESHOLD = -3


def tune() -> None:
    """Has large buffers returned to the system when they are freed; without glibc it does nothing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # of macOS, of musl before 1.2, of Windows
        return
    mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
