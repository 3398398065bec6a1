"""One removable line in this environment that imports nersemble whenever Python starts.

With it ``load_dataset("nersemble", ...)`` works without ``import nersemble``.  It is opt-in, is a single file of this
environment's site-packages, and does nothing once nersemble is uninstalled.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from .errors import NersembleError

FILE = "nersemble-autoload.pth"
#: ``site`` runs lines that begin with "import", and complains at every start of one that fails: hence the look first.
LINE = 'import importlib.util as u; u.find_spec("nersemble") and __import__("nersemble")\n'


def autoload_path() -> Path:
    """Where the line is, or would be."""
    return Path(sysconfig.get_path("purelib"), FILE)


def is_on() -> bool:
    """Whether this environment imports nersemble at every start."""
    return autoload_path().is_file()


def turn_on() -> Path:
    """Write the line, and see that a fresh interpreter follows it.

    Raises:
        NersembleError: If the file cannot be written, or has no effect in this environment; nothing is left behind.
    """
    path, problem = autoload_path(), ""
    try:
        path.write_text(LINE, encoding="utf-8")
    except OSError as error:
        problem = f"Cannot write {path}: {error.strerror}. Use a virtual environment of your own."
    if not problem and not _loads_at_start():
        path.unlink(missing_ok=True)
        problem = (
            f"A line in {path} has no effect: Python does not find nersemble when it starts. "
            "Install nersemble into this environment first, with `pip install`."
        )
    if problem:
        raise NersembleError(problem)
    return path


def turn_off() -> bool:
    """Remove the line; False if there was none.

    Raises:
        NersembleError: If the file cannot be removed.
    """
    path, problem = autoload_path(), ""
    if not path.exists():
        return False
    try:
        path.unlink()
    except OSError as error:
        problem = f"Cannot remove {path}: {error.strerror}. Remove it by hand."
    if problem:
        raise NersembleError(problem)
    return True


def startup_cost(repeats: int = 5) -> float:
    """Seconds that the line adds to a start of this interpreter.

    The median over ``repeats`` pairs of real starts, one that runs the line and one that does not.  Both start without
    ``site``, whose work is the same with and without it, so that the answer does not depend on whether it is on.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    setup = f"import sys; sys.path[:] = {json.dumps([home, *filter(None, sys.path)])}\n"
    return statistics.median(_start(setup + LINE) - _start(setup) for _ in range(repeats))


def _start(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _loads_at_start() -> bool:
    code = "import sys; sys.exit('nersemble' not in sys.modules)"
    return subprocess.run([sys.executable, "-I", "-c", code], stdin=subprocess.DEVNULL).returncode == 0
