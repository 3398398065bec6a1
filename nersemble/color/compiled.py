"""The way to the compiled loop where numba is installed and works; the first picture loads it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..compiling import Compiled, Loader
from .curves import DECODING_ERROR, unsure_line
from .plan import Plan
from .srgb import tables
from .threads import share_out

#: A call takes some 10 us to begin, a part some 1 ms.
PARTS_A_THREAD = 8


def _compile(keep: bool) -> Compiled:
    from .kernel import compile_pixels

    return compile_pixels(cache=keep)


_loader = Loader(_compile)


def load() -> tuple[Compiled | None, str]:
    """The compiled loop, or None and the reason."""
    return _loader.load()


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
