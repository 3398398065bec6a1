"""Loading of loops that numba compiles, where it is installed and works; whoever needs one has another way without.

A child that is forked while another thread loads finds it half loaded for good, and does without.  Forks do not wait
for it instead: they would hold locks, such as that of ``logging``, which loading needs.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

Compiled = Callable[..., Any]


class Loader:
    """Compiles something once, when it is first asked for.

    Args:
        compile_it: Imports numba and compiles; told whether to keep the compiled code for later processes.
    """

    def __init__(self, compile_it: Callable[[bool], Compiled]) -> None:
        self._compile_it = compile_it
        self._lock = threading.Lock()
        self._loading = False
        self._compiled: Compiled | None = None
        self._problem = ""
        _LOADERS.add(self)

    def load(self) -> tuple[Compiled | None, str]:
        """What was compiled, or None and the reason."""
        with self._lock:
            if self._compiled is None and not self._problem:
                self._loading = True
                try:
                    self._compiled = self._compile()
                except Exception as error:  # noqa: BLE001 - numba is not there, or does not work with what is
                    self._problem = f"{type(error).__name__}: {error}"
                finally:
                    self._loading = False
            return self._compiled, self._problem

    def _compile(self) -> Compiled:
        try:
            return self._compile_it(True)
        except Exception:  # noqa: BLE001 - no folder to keep it in, a full disk, a damaged file
            return self._compile_it(False)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._loading:
            self._loading = False
            self._problem = "this process was forked while another thread of its parent loaded numba"


_LOADERS: weakref.WeakSet[Loader] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for loader in list(_LOADERS):
        loader._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
