"""How the C library gives memory back: the buffers of a full-size picture, or video, are kept for the next one.

By itself glibc gives them back to the system and gets them anew, cleared page by page: after each picture, which takes
a tenth of the time of a random frame, and after each video, which takes 75 ms.  Up to 256 MB of free memory stay with
the process instead, which is more than what a codec and a picture take.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

#: Bytes of a decoded picture from which that pays.
LARGE = 4 << 20
#: Parameters of glibc's mallopt (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD), and what they are set to.
_MALLOPT = {-3: 32 << 20, -1: 256 << 20}
#: Variables by which a user has set them otherwise.
_OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
#: What says that this is another system, or another C library.
_ELSEWHERE = (OSError, TypeError, AttributeError)
_done = False


def keep_picture_memory() -> None:
    """Let this process keep the memory of one picture for the next; a user's own settings are left as they are."""
    global _done
    if _done:
        return
    _done = True
    if any(name in os.environ for name in _OWN_SETTINGS):
        return
    with contextlib.suppress(*_ELSEWHERE):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def give_back() -> None:
    """Give free memory back to the system, which takes milliseconds: for when no picture comes for a while."""
    with contextlib.suppress(*_ELSEWHERE):
        ctypes.CDLL(None).malloc_trim(0)
