"""What code of others says when it fails, as a message may repeat it: without what may be the access URL."""

from __future__ import annotations

import re

#: With the quotation mark in front of it, whose other half goes with the rest.
_URL = re.compile(r"['\"]?https?://\S+", re.IGNORECASE)


def without_urls(text: str) -> str:
    """A text that names no URL of the web.

    >>> without_urls("cannot get https://user:word@host/secret/x, sorry")
    'cannot get a URL sorry'
    """
    return _URL.sub("a URL", text)


def said_by(error: BaseException) -> str:
    """What an exception says, with its kind in front."""
    said = without_urls(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
