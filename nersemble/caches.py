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
    place = Path(home or os.path.expanduser("~/.cache"))
    # A user without a home has a cache that nothing can be written to.
    return (place if place.is_absolute() else Path(os.devnull)) / "nersemble"
