"""What code of others says when it fails, as a message may repeat it: without what may be the access URL."""

from __future__ import annotations

from ..masking import without_urls


def said_by(error: BaseException) -> str:
    """What an exception says, with its kind in front."""
    said = without_urls(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
