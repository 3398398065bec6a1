"""Who pushes, where to, and who will be able to see it: what is found out and refused before the first byte."""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from typing import Any

from ..errors import AudienceWarning, PushError, SelectionError
from .client import Client
from .facts import RepoState
from .tokens import TOKENS

#: Members of an organisation above which a push needs their exact number.
MANY = 100
#: What lets a fine-grained token write to repositories; others write discussions, collections, or call models.
_WRITING = {"repo.write", "repo.content.write"}
#: Roles in an organisation that change nothing there.
_READING = {"read", "no_access"}
_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9_][\w.-]{0,95}")


@dataclass(frozen=True)
class Audience:
    """Who can read a private data set.

    Attributes:
        namespace: The user or organisation it belongs to.
        organization: Whether it is an organisation.
        members: How many members that has; None if the hub does not tell.
        countable: Whether the hub knows the question.
    """

    namespace: str
    organization: bool
    members: int | None
    countable: bool = True

    def __str__(self) -> str:
        if not self.organization:
            return f"{self.namespace} alone"
        if self.members is None:
            return f"all members of the organisation {self.namespace} (whose number the hub does not tell)"
        who = "the 1 member" if self.members == 1 else f"all {self.members:,} members"
        return f"{who} of the organisation {self.namespace}"


@dataclass(frozen=True)
class Destination:
    """A data set of the hub that is to be pushed to.

    Attributes:
        repo_id: ``owner/name``.
        user: Whose token it is.
        audience: Who will be able to read it.
        state: As it is now; None if it does not exist.
    """

    repo_id: str
    user: str
    audience: Audience
    state: RepoState | None

    @property
    def visibility(self) -> str:
        """``private``, ``PUBLIC``, or ``to be made, private``."""
        if self.state is None:
            return "to be made, private"
        return "private" if self.state.private else "PUBLIC"

    @property
    def readers(self) -> str:
        """Who can read it, in words."""
        return "everybody" if self.state is not None and not self.state.private else str(self.audience)

    def refusal(self, members: int | None) -> str:
        """Why nothing may be pushed to it; "" if nothing stands against it.

        Args:
            members: The number of members as the caller gives it.
        """
        if self.state is not None and not self.state.private:
            return public_refusal(self.repo_id)
        if self.audience.organization:
            return _crowd_refusal(self.audience, members)
        return ""

    def warning(self) -> str:
        """What has to be said; "" of a user's own data set, and of a public one, whose refusal says more."""
        if not self.audience.organization or self.readers != str(self.audience):
            return ""
        who = str(self.audience)
        return f"{who[0].upper()}{who[1:]} will be able to see the faces in {self.repo_id}."


def find_destination(client: Client, repo_id: str) -> Destination:
    """Ask the hub about a target; nothing is changed.

    Raises:
        SelectionError: If it is no name of a data set.
        PushError: If the token does not serve.
    """
    if not isinstance(repo_id, str) or not _ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id:
        raise SelectionError(
            f"{repo_id!r} is no name of a data set on the hub: write OWNER/NAME, such as my-lab/heads."
        )
    told = client.whoami()
    user = str(told.get("name", ""))
    repo_id = repo_id if "/" in repo_id else f"{user}/{repo_id}"
    namespace = repo_id.partition("/")[0]
    organizations = {str(one.get("name")): one for one in told.get("orgs") or [] if isinstance(one, dict)}
    _check_token(told, user, namespace, repo_id)
    _check_role(organizations.get(namespace) or {}, user, namespace)
    if namespace != user and namespace not in organizations and not _names(told, namespace):
        raise PushError(
            f"{namespace} is neither {user}, whose token this is, nor an organisation that the token may use"
            + (f": it may use {', '.join(sorted(organizations))}." if organizations else ".")
        )
    state = client.state(repo_id)
    if state is not None and state.id != repo_id:
        raise PushError(f"{repo_id} is called {state.id} now, where others may see it. Name it so if you mean it.")
    # A token can be an organisation's own, or an app's, instead of a user's.
    organization = namespace != user or told.get("type") in ("org", "app")
    audience = Audience(namespace, organization, *(client.members(namespace) if organization else (1, True)))
    return Destination(repo_id, user, audience, state)


def warn_of_audience(destination: Destination) -> None:
    """Say who will see the faces, every time anew, and in the log where warnings are not shown."""
    text = destination.warning()
    if not text:
        return
    with warnings.catch_warnings(record=True) as shown:
        # Without a registry, in which Python would note that this was said already.  What makes errors of it may.
        warnings.warn_explicit(text, AudienceWarning, "nersemble.hub", 1)
    if shown:
        warnings.showwarning(AudienceWarning(text), AudienceWarning, "nersemble.hub", 1)
    else:  # filtered, as by PYTHONWARNINGS=ignore; Python shows this on stderr unless somebody takes it up
        logging.getLogger("nersemble.hub").warning(text)


def public_refusal(repo_id: str) -> str:
    """What is said of a public data set."""
    return (
        f"{repo_id} is public: everybody would see the faces. Nothing is ever pushed to a public data set. Make it "
        "private in its settings on the hub, or name another."
    )


def exposed_refusal(repo_id: str) -> str:
    """What is said of a public data set that faces were pushed to before."""
    return (
        f"{repo_id} is public and holds what this package pushed: EVERYBODY CAN SEE THE FACES NOW. Make it private at "
        f'once, in its settings on the hub or with `huggingface_hub.HfApi().update_repo_settings("{repo_id}", '
        'private=True, repo_type="dataset")`, find out who published it, and whether anybody loaded it.'
    )


def _check_token(told: dict[str, Any], user: str, namespace: str, repo_id: str) -> None:
    token = (told.get("auth") or {}).get("accessToken") or {}
    role = token.get("role")
    if role == "read":
        raise PushError(f"The token of {user} may only read. Make one that may write at {TOKENS}.")
    if role != "fineGrained":
        return
    grained = token.get("fineGrained") or {}
    scopes = [scope for scope in grained.get("scoped") or [] if isinstance(scope, dict)]
    named = {namespace, repo_id, f"datasets/{repo_id}"}
    given = [
        str(permission)
        for scope in scopes
        if (scope.get("entity") or {}).get("name") in named
        for permission in scope.get("permissions") or []
    ]
    if not _WRITING & {*given, *map(str, grained.get("global") or [])}:
        raise PushError(
            f"The token of {user} is fine-grained and may not write to {repo_id}. Let it write to the repositories of "
            f"{namespace} at {TOKENS}, or make another."
        )


def _check_role(organization: dict[str, Any], user: str, namespace: str) -> None:
    """Refuse a member who may not write; not one whose role the hub does not tell."""
    groups = [one for one in organization.get("resourceGroups") or [] if isinstance(one, dict)]
    # A group of an organisation can let write who may only read all else in it.
    if {str(one.get("role")) for one in groups} - _READING or organization.get("roleInOrg") not in _READING:
        return
    raise PushError(
        f"{user} may only read in the organisation {namespace}. Ask one of its admins for the role write there, or "
        f"name a data set of {user}."
    )


def _names(told: dict[str, Any], namespace: str) -> bool:
    """Whether a token may be for an organisation that the hub does not list: it lists none, or a scope names it."""
    token = (told.get("auth") or {}).get("accessToken") or {}
    scoped = [one for one in (token.get("fineGrained") or {}).get("scoped") or [] if isinstance(one, dict)]
    entities = [one.get("entity") or {} for one in scoped]
    return "orgs" not in told or any(one.get("type") == "org" and one.get("name") == namespace for one in entities)


def _crowd_refusal(audience: Audience, members: int | None) -> str:
    count = audience.members
    if count is None:
        if members is not None or not audience.countable:  # a warning says it
            return ""
        return (
            f"The hub does not tell how many members {audience.namespace} has, all of whom would see the faces. Look "
            "it up, and give the number: members=N, or --members N."
        )
    if count > MANY and members != count:
        given = "" if members is None else f" It was given as {members:,}."
        return (
            f"{audience.namespace} has {count:,} members, all of whom would see the faces.{given} Push to a smaller "
            f"organisation; or, if all of them have access to the data, say so with members={count} or "
            f"--members {count}."
        )
    return ""
