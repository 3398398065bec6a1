"""Tokens of the hub: what can be one, which this machine has, and what to do about one that may not do what is asked.

None is ever shown.
"""

from __future__ import annotations

import os
import re
from typing import Any

from .retry import UNTOLD, Failure

TOKENS = "https://huggingface.co/settings/tokens"
NO_TOKEN = (
    f"There is no token for the hub. Make one that may write at {TOKENS}, then run `hf auth login`, set HF_TOKEN, or "
    "give token=."
)
#: Characters of a token, below which it would be found in everything.
_SHORTEST = 8
#: What no token has: spaces and line ends within it, quotes, and what is not ASCII.
_NO_TOKENS = re.compile(r"""[^!-~]|["'`]""")

#: What the hub says, with the status of a token that may not write, where there is no room left.
_ROOM = re.compile(r"\bstorage (?:limit|patterns|space)|\bquota\b|upgrade your plan", re.IGNORECASE)


def tidy(token: Any) -> Any:
    """A token without what copying puts around it."""
    return token.strip().strip("\ufeff").strip() if isinstance(token, str) else token


def _token_of_machine() -> tuple[str, str]:
    """The token that this machine is logged in with, and why that cannot be read; "" of what there is not."""
    from huggingface_hub import constants, get_token

    try:
        return get_token() or "", ""
    except OSError as error:
        why = (os.strerror(error.errno) if error.errno else "it cannot be read").lower()
    except UnicodeDecodeError:  # which quotes the file
        why = "it is no text"
    return "", (
        f"The token that this machine is logged in with cannot be read from {constants.HF_TOKEN_PATH}: {why}. Move "
        "that away and run `hf auth login` again, or set HF_TOKEN."
    )


def tokens_at_hand(given: Any) -> set[str]:
    """The token that was given, that of the environment, and the one that this machine is logged in with."""
    told = (given, os.environ.get("HF_TOKEN"), _token_of_machine()[0])
    return {one.strip() for one in told if isinstance(one, str) and len(one.strip()) >= _SHORTEST}


def problem_of(given: Any) -> str:
    """Why a token, or in place of None that of this machine, cannot be one; "" if it can."""
    if given is not None and not isinstance(given, (str, bool)):
        return f"token= is a text, or None for the one that this machine is logged in with, not {type(given).__name__}."
    token, problem = _token_of_machine()
    if problem:  # also with another, since the hub's client reads it all the same when it sends large files
        return problem
    token = token if given is None or given is True else given or ""
    if not token:
        return NO_TOKEN
    if _NO_TOKENS.search(token):
        whose = "of HF_TOKEN or of this machine" if given is None or given is True else "that was given"
        return (
            f"The token {whose} holds what no token does: a space, a line end, a quote or a letter that is not ASCII. "
            f"Was it copied with something around it? Copy it again, or make another at {TOKENS}."
        )
    return ""


def advice(failure: Failure | None) -> str:
    """What to do about the token, or about the room that its account has, if a failure is about that; "" otherwise."""
    if failure is None or failure.status not in (401, 402, 403, 404) or failure.link:
        return ""
    room = "for private data sets: look in the settings of the account on the hub, or push to another one."
    if failure.status == 402 or (failure.status == 403 and _ROOM.search(failure.words)):
        return f" The account may have no room left {room}"
    if failure.status == 404:
        return (
            " It is not there any more, or it is private and the token may not see it, which the hub answers alike: "
            f"look whether the name is right, and what the token may do at {TOKENS}."
        )
    if failure.status == 401:
        return (
            " The hub does not know the token any more: it was revoked, or has expired. Make another that may write to "
            f"this data set at {TOKENS}."
        )
    untold = f" Or the account has no room left {room}" if failure.words == UNTOLD else ""
    return f" The token may not do this: make one that may write to this data set at {TOKENS}.{untold}"
