"""``push``: the shards of a plan into a private data set of the hub, checked before, meanwhile and after.

Nothing is sent before the shards were verified and looked through, and before the hub said that the target is private.
That is asked again before each shard, right before each commit, and after it.  What is to be done follows from what the
hub holds, each time anew: so a push that was interrupted, or overtaken by somebody else's, goes on by looking again.
"""

from __future__ import annotations

import os
import time
from typing import Any

from ..prepare import PreparePlan
from ..prepare.target import Target, check_is_folder
from ..progress import Display, display, kind_for
from .client import Client
from .committing import Committing, SendProgress
from .guard import Destination, find_destination, warn_of_audience
from .held import Held
from .looking import look_through
from .report import PushDescription, PushReport

from ..errors import PushError  # isort: skip


def push(
    plan: PreparePlan,
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    dry_run: bool = False,
    members: int | None = None,
    endpoint: str | None = None,
    message: str | None = None,
    progress: bool | None = None,
) -> PushReport:
    """Push the shards of a plan to a private data set of the hub, as a config of their own.

    The data set is made if it does not exist.  Other configs of it stay, and so does what others wrote in its card.
    Only what changed is sent, and pushing again goes on where a push stopped.

    Args:
        plan: What the shards are.
        folder: Where they are, as it was given to ``plan.run``.
        repo_id: ``owner/name``; a name alone is of the user whose token it is.
        token: A token that may write; by default the one that this machine is logged in with.
        dry_run: Say what would be done, and do nothing.
        members: The number of members of the organisation, exactly, if they are more than 100.
        endpoint: URL of the hub; by default the usual one, or ``HF_ENDPOINT``.
        message: Of the commit.
        progress: Show how far it is; by default on a terminal and in a notebook.

    Returns:
        What came of it, with the commit and the line that loads it.

    Raises:
        PushError: If the target is public, or too many could see it; if the token does not serve; if a shard holds what
            must not leave this machine; if the hub does not take it.  What was sent is kept, and not sent again.
        PrepareError: If the shards are not what the plan says.
        SelectionError: If ``repo_id`` is no name of a data set.

    Warns:
        AudienceWarning: Who will be able to see the faces, if the data set is an organisation's.
    """
    began = time.monotonic()
    client = Client(token, endpoint)
    del token
    target, destination = Target(folder), find_destination(client, repo_id)
    description = _describe(client, plan, target, destination, members)
    warn_of_audience(destination)
    report = PushReport(description, dry_run=dry_run)
    if dry_run:
        return report
    if description.refusal:
        raise PushError(description.refusal)
    kind = kind_for(progress)
    looked = look_through(plan, target, message, kind)
    with display(kind, verb="Sending") as shown:
        pushing = Committing(client, plan, target, destination, looked, _Told(shown))
        pushing.run(report, message or f"Push {plan.config}: plan {plan.hash}")
    report.seconds = time.monotonic() - began
    return report


def plan_push(
    plan: PreparePlan,
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    members: int | None = None,
    endpoint: str | None = None,
) -> PushDescription:
    """Say what ``push`` would do, with the same arguments; nothing is changed.

    The shards are counted, not yet verified and looked through.

    Raises:
        PushError: If the token does not serve, or the hub cannot be reached.
        SelectionError: If ``repo_id`` is no name of a data set.
    """
    client = Client(token, endpoint)
    del token
    return _describe(client, plan, Target(folder), find_destination(client, repo_id), members)


class _Told:
    """Hands what is done to a display."""

    def __init__(self, shown: Display) -> None:
        self._shown = shown

    def __call__(self, state: SendProgress) -> None:
        self._shown.update(state)


def _describe(
    client: Client, plan: PreparePlan, target: Target, destination: Destination, members: int | None
) -> PushDescription:
    check_is_folder(target)
    names = [f"{plan.config}/{unit.name}" for unit in plan.units]
    sizes = {name: _size(target, name) for name in names}
    missing = [name for name, size in sizes.items() if size is None]
    there = sum(size or 0 for size in sizes.values())
    state, conflict, sent, gone = destination.state, "", dict(sizes), 0
    if state is not None:
        held = Held(client, destination.repo_id, state.sha)
        conflict = held.conflict(plan)
        shards = held.shards(plan.config)
        gone = len(shards.keys() - set(names))
        sent = {name: size for name, size in sizes.items() if name not in shards or shards[name].size != size}
        for name in sizes.keys() - sent.keys():
            if _sha256(target, name) != shards[name].sha256:
                sent[name] = sizes[name]
    absent = ""
    if missing:
        absent = f"{len(missing):,} of {len(names):,} shards are not in {target.text}. Run the plan first."
    return PushDescription(
        config=plan.config,
        plan=plan.hash,
        rows=plan.rows,
        pictures=plan.pictures,
        participants=plan.participants,
        shards=len(names),
        bytes=there,
        missing=len(missing),
        to_send=sum(size is not None for size in sent.values()),
        bytes_to_send=sum(size or 0 for size in sent.values()),
        to_delete=gone,
        repo_id=destination.repo_id,
        exists=state is not None,
        visibility=destination.visibility,
        user=destination.user,
        readers=str(destination.audience),
        organization=destination.audience.organization,
        members=destination.audience.members,
        refusal=destination.refusal(members) or conflict or absent,
    )


def _size(target: Target, name: str) -> int | None:
    try:
        return target.size(name)
    except FileNotFoundError:
        return None


def _sha256(target: Target, name: str) -> str:
    import hashlib

    digest: Any = hashlib.sha256()
    with target.open(name) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
