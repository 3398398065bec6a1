"""What follows from a commit that may have landed: somebody has to know whether the faces are private.

The hub can fail, be asked by somebody who may not look any more, or have the data set under another name by then.  All
the same it is asked once more, made private if it is public, and if that cannot be found out, it is said loudly.
"""

from __future__ import annotations

from ..errors import PushError
from .client import Client

#: How often a question is asked again: what came before has had its own patience.
_MOST = 2


def set_right(client: Client, repo_id: str) -> str:
    """Look at a data set that a commit may have put faces into, and make it private if it is not.

    Nothing is raised, not even if it is interrupted.

    Returns:
        What somebody has to know or do, in words; "" if it is private under its name.
    """
    public, why = "", ""
    try:
        state = client.state(repo_id, _MOST)
        if state is None:
            why = (
                "it cannot be found any more: was it deleted, renamed or given to somebody else, or the token revoked?"
            )
        elif state.private:
            renamed = _renamed(repo_id, state.id)
            return f"{renamed}It is private." if renamed else ""
        else:
            public = state.id
            client.make_private(public)
            now = client.state(public, _MOST)
            if now is not None and now.private:
                return _made_private(repo_id, public)
    except PushError as error:
        why = str(error).rstrip(".")
    except BaseException as error:  # noqa: BLE001 - Ctrl-C as well: not knowing is what has to be said
        why = f"looking was interrupted ({type(error).__name__})"
    if public:
        return (
            f"{_renamed(repo_id, public)}{public} was made public by somebody while it was pushed to, and it is not "
            "known to be private again, as this token cannot make it so or the hub does not answer: EVERYBODY CAN SEE "
            "THE FACES. Make it private in its settings now, or delete it."
        )
    return (
        f"A COMMIT MAY HAVE BEEN MADE, AND NOBODY KNOWS WHETHER {repo_id} IS PRIVATE: {why}. Look at it on the hub "
        "now, under whatever name; if it is public, make it private in its settings, or delete it."
    )


def _renamed(repo_id: str, now: str) -> str:
    return "" if now == repo_id else f"{repo_id} is called {now} now, where others may see it. "


def _made_private(repo_id: str, public: str) -> str:
    return (
        f"{_renamed(repo_id, public)}{public} was made public by somebody while it was "
        "pushed to. It has been made private again, but for some time everybody could see the faces. Find out who did "
        "it, and whether anybody loaded them."
    )
