"""URLs of the web taken out of what is said: whatever a caller gave by mistake can be the access URL.

Every error and warning of this package goes through ``without_urls``, so that no message has to think of it.
"""

from __future__ import annotations

import re

#: With the quotation marks around it, and up to what ends a sentence or a clause; a path that it was taken for as well.
_URL = re.compile(r"""(?:(?:\bb)?['"])?https?:[/\\]+\S*?['"]?(?=[.,;:!?)\]}]*(?:\s|\Z))""", re.IGNORECASE)
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
    return _URL.sub(lambda found: found[0] if _PLAIN.fullmatch(found[0]) else "a URL", text)
