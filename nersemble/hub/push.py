"""``push``: the shards of a plan into a private data set of the hub, checked before, meanwhile and after.

Nothing is sent before the shards were verified and looked through, and before the hub said that the target is private.
That is asked again before each shard, right before each commit, and after it.  What is to be done follows from what the
hub holds, each time anew: so a push that was interrupted, or overtaken by somebody else's, goes on by looking again.
"""

from __future__ import annotations

import os
import time

from ..errors import PushError, SelectionError
from ..parallel import map_on_threads
from ..prepare import PreparePlan
from ..prepare.target import Target
from ..prepare.whole import LOOKS
from ..progress import display, kind_for
from ..written import count_of, switch_of
from .card import overrides
from .client import Client, check_message
from .committing import Committing, find_conflict
from .facts import RemoteFile
from .guard import Destination, exposed_refusal, find_destination, warn_of_audience
from .held import Held
from .looking import look_through
from .report import PushDescription, PushReport
from .scan import knows_url


def push(
    plan: PreparePlan,
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    dry_run: bool = False,
    members: int | None = None,
    replace: bool = False,
    endpoint: str | None = None,
    message: str | None = None,
    progress: bool | None = None,
) -> PushReport:
    """Push the shards of a plan to a private data set of the hub, as a config of their own.

    The data set is made if it does not exist.  Other configs of it stay, and so does what others wrote in its card.
    Only what changed is sent, and pushing again goes on where a push stopped.

    Args:
        plan: What the shards are.
        folder: Where they are, as it was given to ``plan.run``: a folder, or a URL.
        repo_id: ``owner/name``; a name alone is of the user whose token it is.
        token: A token that may write; by default the one that this machine is logged in with.
        dry_run: Say what would be done, and do nothing.
        members: The number of members of the organisation, exactly, if they are more than 100.
        replace: Delete shards and pictures of the config that this plan does not have; otherwise they are a reason to
            refuse.
        endpoint: URL of the hub; by default the usual one, or ``HF_ENDPOINT``.
        message: Of the commit.
        progress: Show how far it is; by default on a terminal and in a notebook.

    Returns:
        What came of it, with the commit and the line that loads it.

    Raises:
        PushError: If the target is public, or too many could see it; if the token does not serve; if shards of another
            plan would be deleted; if a shard holds what must not leave this machine; if the hub does not take it.
            What was sent is kept, and not sent again.
        PrepareError: If the shards are not what the plan says.
        StorageError: If the store behind a URL does not answer.
        SelectionError: If an argument is not what it should be, as a ``repo_id`` that is no name of a data set.

    Warns:
        AudienceWarning: Who will be able to see the faces, if the data set is an organisation's.
    """
    began = time.monotonic()
    check_message(message)
    _check(plan, members)
    dry_run, replace = switch_of(dry_run, "dry_run"), switch_of(replace, "replace")
    client = Client(token, endpoint)
    del token
    target, destination = Target(folder), find_destination(client, repo_id)
    description = _describe(client, plan, target, destination, members, replace)
    warn_of_audience(destination)
    report = PushReport(description, dry_run=dry_run)
    if dry_run:
        return report
    if description.refusal:
        raise PushError(description.refusal)
    kind = kind_for(progress)
    looked = look_through(plan, target, message, kind, client)
    with display(kind, verb="Sending") as shown:
        pushing = Committing(client, plan, target, destination, looked, shown.update, replace=replace)
        pushing.run(report, message or f"Push {plan.config}: plan {plan.hash}")
    report.seconds = time.monotonic() - began
    return report


def plan_push(
    plan: PreparePlan,
    folder: str | os.PathLike[str] | None,
    repo_id: str,
    *,
    token: str | None = None,
    members: int | None = None,
    replace: bool = False,
    endpoint: str | None = None,
) -> PushDescription:
    """Say what ``push`` would do, with the same arguments; nothing is changed.

    The shards are counted, not yet verified and looked through.  Without a folder, as before they are made, what is
    said of the target counts.

    Raises:
        PushError: If the token does not serve, or the hub cannot be reached.
        StorageError: If the store behind a URL does not answer.
        SelectionError: If an argument is not what it should be.
    """
    _check(plan, members)
    replace = switch_of(replace, "replace")
    client = Client(token, endpoint)
    del token
    target = None if folder is None else Target(folder)
    return _describe(client, plan, target, find_destination(client, repo_id), members, replace)


def _check(plan: PreparePlan, members: int | None) -> None:
    if not isinstance(plan, PreparePlan):
        raise SelectionError(f"A plan is pushed, not {plan!r}. nersemble.prepare.load_plan gives that of a folder.")
    if members is not None:
        count_of(members, "members")


def _describe(
    client: Client,
    plan: PreparePlan,
    target: Target | None,
    destination: Destination,
    members: int | None,
    replace: bool,
) -> PushDescription:
    names = [f"{plan.config}/{unit.name}" for unit in plan.units]
    sizes, absent = {}, ""
    if target is not None:
        found = map_on_threads(lambda name: _size(target, name), names, LOOKS)
        sizes = {name: size for name, size in zip(names, found, strict=True) if size is not None}
        missing = len(names) - len(sizes)
        if missing:
            absent = f"{missing:,} of {len(names):,} shards are not in {target.shown}. Run the plan first."
    state, conflict, sent, gone = destination.state, "", sizes, 0
    exposed = ""
    overridden: tuple[str, ...] = ()
    if state is not None:
        held = Held(client, destination.repo_id, state.sha)
        if state.private:
            conflict = find_conflict(held, plan, replace=replace)
        elif held.is_ours:
            exposed = exposed_refusal(destination.repo_id)
        overridden = () if conflict or not state.private else overrides(held.card)
        shards = held.shards(plan.config)
        gone = len(shards.keys() - set(names))
        if target is not None:
            sent = {name: size for name, size in sizes.items() if not _is_there(target, name, size, shards.get(name))}
    return PushDescription(
        config=plan.config,
        plan=plan.hash,
        rows=plan.rows,
        pictures=plan.pictures,
        participants=plan.participants,
        shards=len(names),
        bytes=None if target is None else sum(sizes.values()),
        missing=0 if target is None else len(names) - len(sizes),
        to_send=len(sent),
        bytes_to_send=sum(sent.values()),
        to_delete=gone,
        repo_id=destination.repo_id,
        exists=state is not None,
        visibility=destination.visibility,
        user=destination.user,
        readers=destination.readers,
        organization=destination.audience.organization,
        members=destination.audience.members,
        url_known=knows_url(),
        overridden=overridden,
        refusal=exposed or destination.refusal(members) or conflict or absent,
    )


def _is_there(target: Target, name: str, size: int, remote: RemoteFile | None) -> bool:
    """Whether the hub has a shard as it is here; it is read only if it has one of that length."""
    if remote is None or remote.size != size:
        return False
    with target.open(name) as file:
        return remote.holds_file(file)


def _size(target: Target, name: str) -> int | None:
    try:
        return target.size(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
