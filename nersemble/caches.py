"""Where this package keeps what it could make or ask for again."""

from __future__ import annotations

import os
from pathlib import Path

#: Names another folder for it, for homes that cannot be written.
VARIABLE = "NERSEMBLE_CACHE"


def cache_folder() -> Path:
    """``$NERSEMBLE_CACHE``, else ``nersemble`` in ``$XDG_CACHE_HOME`` or in ``~/.cache``; it need not exist."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path(os.path.expanduser("~/.cache"))) / "nersemble"
