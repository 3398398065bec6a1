"""URLs of the web taken out of what is said: whatever a caller gave by mistake can be the access URL.

Every error and warning of this package goes through ``without_urls``, so that no message has to think of it.
"""

from __future__ import annotations

import os
import re

#: With a quotation mark in front of it, and all up to a space; a path that it was taken for as well.
_URL = re.compile(r"""(?:(?:\bb)?['"])?https?:[/\\]+\S*""", re.IGNORECASE)
#: What ends a sentence or a clause, if it stands behind a URL.
_BEHIND = ".,;:!?)]}"
#: What this package itself sends people to, and pages of the hub that hold no data.
_PLAIN = re.compile(
    r"https://(?:forms\.gle/\w+|huggingface\.co(?:/(?:settings|docs|pricing)[\w/-]*)?|(?:\*\*\*))|https?://",
    re.IGNORECASE,
)
#: How a URL begins behind its scheme: a login, a host's name with dots, or its address, or one with a port.  In front
#: of that stands what is copied along with it.
_HOST = re.compile(
    r"""[\s"'<(]*(?:NERSEMBLE_DATA_URL=)?["']?(?://)?"""
    r"(?:[^/\\@]+@)?(?:(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?|\d+(?:\.\d+){3}|[\w.-]+:\d+)[/\\?#]",
    re.IGNORECASE,
)
#: Said in place of a path that ``is_bare_url``.
NOT_REPEATED = (
    "which is not repeated: it begins like the access URL without its scheme, which goes only to `nersemble login`. If "
    "it is a path, is it right, and from this folder?"
)


def is_bare_url(path: str) -> bool:
    """Whether a path may be a URL without its scheme: it begins with a host, and with nothing that is there."""
    found = _HOST.match(path)
    return found is not None and not os.path.lexists(path) and not os.path.lexists(found[0])


def has_url(text: str) -> bool:
    """Whether a text names a URL of the web, be it as a ``Path`` writes it."""
    return _URL.search(text) is not None


def without_urls(text: str) -> str:
    """A text that names no URL of the web, but those of this package.

    >>> without_urls("cannot get 'https://user:word@host/secret/x', sorry")
    'cannot get a URL, sorry'
    """
    return _URL.sub(_told, text)


def _told(found: re.Match[str]) -> str:
    url = found[0].rstrip(_BEHIND)
    behind = found[0][len(url) :]
    return found[0] if _PLAIN.fullmatch(url.strip("'\"")) else f"a URL{behind}"
