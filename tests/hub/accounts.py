"""Who asks, and what they may do: users, organisations, tokens, and the refusals of the real hub.

What a private repository answers depends on who asks: an anonymous request 401, a token of somebody without access 404,
both with ``X-Error-Code: RepoNotFound``, so that neither learns that it exists; a token nobody was given 401.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .repos import Repo

#: What members of an organisation may be; the first two write to every repository of it, a contributor to his own.
ROLES = ("admin", "write", "contributor", "read")

READ, WRITE = "repo.content.read", "repo.write"


class Refused(Exception):
    """An answer other than success, with what the client is told of it."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Token:
    """An access token; ``scopes`` maps a namespace or a repository to permissions, for ``fineGrained`` alone."""

    value: str
    user: str
    role: str
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def permits(self, permission: str, namespace: str, repo: str = "") -> bool:
        """Whether the token, apart from its user, goes that far."""
        if self.role != "fineGrained":
            return self.role == "write" or permission == READ
        given = {*self.scopes.get(namespace, ()), *self.scopes.get(repo, ())}
        return permission in given or (permission == READ and WRITE in given)


@dataclass
class Namespace:
    """A user or an organisation, with the roles of its members; ``default_private`` is for ``private=None``."""

    name: str
    members: dict[str, str] = field(default_factory=dict)
    is_organization: bool = False
    default_private: bool = False


class Accounts:
    """Everybody a hub knows."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Namespace] = {}
        self.tokens: dict[str, Token] = {}

    def add_user(self, name: str, *, default_private: bool = False) -> Namespace:
        return self.namespaces.setdefault(name, Namespace(name, {name: "admin"}, default_private=default_private))

    def add_organization(self, name: str, members: Mapping[str, str], *, default_private: bool = False) -> Namespace:
        unknown = set(members.values()) - set(ROLES)
        if unknown:
            raise ValueError(f"no such role: {unknown}")
        for member in members:
            self.add_user(member)
        self.namespaces[name] = Namespace(name, dict(members), True, default_private)
        return self.namespaces[name]

    def add_token(self, user: str, role: str, scopes: Mapping[str, Sequence[str]] | None = None) -> str:
        if role not in ("write", "read", "fineGrained") or (scopes is not None) != (role == "fineGrained"):
            raise ValueError(f"role {role!r} with scopes {scopes}")
        self.add_user(user)
        token = Token(f"hf_{secrets.token_hex(17)}", user, role, scopes or {})
        self.tokens[token.value] = token
        return token.value

    # --- permissions --------------------------------------------------------------------------------------------------

    def identify(self, authorization: str | None) -> Token | None:
        """The token of a request; None for an anonymous one."""
        if not authorization:
            return None
        token = self.tokens.get(authorization.removeprefix("Bearer ").strip())
        if token is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        return token

    def check_read(self, token: Token | None, repo: Repo | None) -> Repo:
        """Raise unless the repository exists for who asks."""
        if repo is not None and (not repo.private or (token is not None and self._sees(token, repo))):
            return repo
        if token is None:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        raise Refused(404, "Repository not found", "RepoNotFound")

    def check_files(self, token: Token | None, repo: Repo) -> None:
        """Raise if the files are behind a gate that was not opened for who asks."""
        if not repo.gated or (token is not None and (token.user in repo.granted or self._sees(token, repo))):
            return
        message = f"Access to dataset {repo.id} is restricted."
        if token is None:
            raise Refused(401, f"{message} You must have access to it and be authenticated.", "GatedRepo")
        raise Refused(403, f"{message} Visit its page to ask for access.", "GatedRepo")

    def check_write(self, token: Token | None, repo: Repo | None) -> Repo:
        """Raise unless who asks may change the repository."""
        found = self.check_read(token, repo)
        if token is None:
            raise Refused(401, "Invalid username or password.")
        role = self.role_of(token.user, found.owner)
        may = role in ("admin", "write") or (role == "contributor" and found.author == token.user)
        if not may or not token.permits(WRITE, found.owner, found.id):
            raise Refused(403, "Forbidden: you don't have the necessary permissions for this repo.")
        return found

    def check_create(self, token: Token | None, namespace: str, repo: str) -> Namespace:
        """Raise unless who asks may create in a namespace."""
        if token is None:
            raise Refused(401, "Invalid username or password.")
        role = self.role_of(token.user, namespace)
        if role not in ("admin", "write", "contributor") or not token.permits(WRITE, namespace, repo):
            message = f'You don\'t have the rights to create a dataset under the namespace "{namespace}"'
            raise Refused(403, message)
        return self.namespaces[namespace]

    def role_of(self, user: str, namespace: str) -> str | None:
        found = self.namespaces.get(namespace)
        return found.members.get(user) if found else None

    def _sees(self, token: Token, repo: Repo) -> bool:
        return self.role_of(token.user, repo.owner) is not None and token.permits(READ, repo.owner, repo.id)

    # --- descriptions -------------------------------------------------------------------------------------------------

    def describe(self, token: Token) -> dict[str, Any]:
        """The answer of ``whoami-v2``."""
        access: dict[str, Any] = {"displayName": "test", "role": token.role, "createdAt": "2026-01-01T00:00:00.000Z"}
        if token.role == "fineGrained":
            access["fineGrained"] = {
                "canReadGatedRepos": False,
                "global": [],
                "scoped": [self._scope(name, permissions) for name, permissions in token.scopes.items()],
            }
        organizations = [
            {**self._person(space), "type": "org", "roleInOrg": space.members[token.user], "isEnterprise": False}
            for space in self.namespaces.values()
            if space.is_organization and token.user in space.members
        ]
        return {
            **self._person(self.namespaces[token.user]),
            "type": "user",
            "email": f"{token.user}@example.org",
            "emailVerified": True,
            "isPro": False,
            "orgs": organizations,
            "auth": {"type": "access_token", "accessToken": access},
        }

    def members(self, organization: str) -> list[dict[str, Any]]:
        """The answer for the members of an organisation."""
        found = self.namespaces.get(organization)
        if found is None or not found.is_organization:
            raise Refused(404, "Organization not found")
        return [
            {"_id": f"id-{name}", "user": name, "fullname": name, "type": "user", "isPro": False, "avatarUrl": ""}
            for name in found.members
        ]

    def _scope(self, name: str, permissions: Sequence[str]) -> dict[str, Any]:
        space = self.namespaces.get(name)
        kind = "dataset" if space is None else "org" if space.is_organization else "user"
        return {"entity": {"_id": f"id-{name}", "type": kind, "name": name}, "permissions": list(permissions)}

    @staticmethod
    def _person(space: Namespace) -> dict[str, Any]:
        return {
            "id": f"id-{space.name}",
            "name": space.name,
            "fullname": space.name,
            "email": None,
            "canPay": False,
            "periodEnd": None,
            "avatarUrl": "",
        }
