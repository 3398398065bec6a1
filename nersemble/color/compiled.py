"""The way to the compiled loop where numba is installed and works; the first picture loads it.

A child that is forked while another thread loads it finds it half loaded for good, and does without.  Forks do not
wait for it instead: they would hold locks, such as that of ``logging``, which loading needs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .curves import DECODING_ERROR, unsure_line
from .plan import Plan
from .srgb import tables
from .threads import share_out

#: A call takes some 10 us to begin, a part some 1 ms.
PARTS_A_THREAD = 8

_lock = threading.Lock()
_loading = False
_compiled: Callable[..., None] | None = None
#: Why there is no compiled loop, once that is known.
_problem = ""


def _after_fork_in_child() -> None:
    global _lock, _loading, _problem
    _lock = threading.Lock()
    if _loading:
        _loading, _problem = False, "this process was forked while another thread of its parent loaded numba"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def load() -> tuple[Callable[..., None] | None, str]:
    """The compiled loop, or None and the reason."""
    global _compiled, _loading, _problem
    with _lock:
        if _compiled is None and not _problem:
            _loading = True
            try:
                _compiled = _compile()
            except Exception as error:  # noqa: BLE001 - numba is not there, or does not work with what is
                _problem = f"{type(error).__name__}: {error}"
            finally:
                _loading = False
        return _compiled, _problem


def _compile() -> Callable[..., None]:
    from .kernel import compile_pixels

    try:
        return compile_pixels(cache=True)
    except Exception:  # noqa: BLE001 - no folder to keep it in, a full disk, a damaged file
        return compile_pixels(cache=False)


def fastest_backend() -> str:
    """``"numba"`` if pictures are corrected by compiled code, which the extra ``fast`` brings; else ``"numpy"``."""
    return "numpy" if load()[0] is None else "numba"


def correct_compiled(
    compiled: Callable[..., None],
    pixels: NDArray[np.uint8],
    plan: Plan,
    corrected: NDArray[np.uint8],
    *,
    by_tables: bool = True,
) -> None:
    """Correct ``(N, 3)`` uint8 pixels into ``corrected``, both contiguous.

    Without ``by_tables``, as a CPU does that has no instructions for them.
    """
    from . import tables512

    table = tables()
    rows = plan.padded_rows()
    unsure, slant = unsure_line(plan.error(DECODING_ERROR)) if plan.rows.dtype == np.float32 else (-1.0, 0.0)
    scaled_rows, steps = tables512.scaled_rows(plan.ccm), np.empty(0, np.uint16)
    if unsure >= 0 and by_tables and tables512.is_possible():
        steps = tables512.unsure_steps(plan.error(tables512.DECODING_ERROR, tables512.ROUNDINGS_A_DEGREE))

    def work(start: int, stop: int) -> None:
        compiled(
            pixels[start:stop],
            corrected[start:stop],
            plan.degree,
            *rows,
            unsure,
            slant,
            scaled_rows,
            steps,
            plan.ccm,
            plan.factors,
            table.decoded,
            table.thresholds,
            table.first_levels,
        )

    share_out(work, len(pixels), PARTS_A_THREAD)
