"""URLs of the web taken out of what is said: whatever a caller gave by mistake can be the access URL.

Every error and warning of this package goes through ``without_urls``, so that no message has to think of it.
"""

from __future__ import annotations

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
