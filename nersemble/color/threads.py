"""Work on blocks of a picture in short-lived threads.

No pool is kept, so that there is nothing for a fork to break.  Worker processes work in one thread: there are as many
of them as their user wants busy cores.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from ..cores import usable_cores

#: Pixels that are worth a thread: it takes 0.1 ms to start one.
PIXELS_A_THREAD = 1 << 17


def share_out(work: Callable[[int, int], None], count: int, parts_a_thread: int = 1, most: int | None = None) -> None:
    """Call ``work(start, stop)`` for parts of ``range(count)``, side by side where that pays.

    A thread that is done with its part takes the next one: with several for each, a busy core does not hold up the
    others.  There are at most ``most`` threads.  An error in any part is raised, once all threads have ended.
    """
    cores = usable_cores()
    workers = max(1, min(cores, most or cores, count // PIXELS_A_THREAD))
    parts = workers * parts_a_thread if workers > 1 else 1
    bounds = [count * part // parts for part in range(parts + 1)]
    numbers = itertools.count()  # which threads can share
    errors: list[BaseException] = []

    def do() -> None:
        try:
            while (part := next(numbers)) < parts:
                work(bounds[part], bounds[part + 1])
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            errors.append(error)

    threads = []
    for _ in range(workers - 1):
        thread = threading.Thread(target=do, name="nersemble-color", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had, or the interpreter is ending
            break
        threads.append(thread)
    do()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
