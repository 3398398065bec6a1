"""``nersemble push``: prepared shards to a private data set of the hub, or participants out of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SelectionError
from . import options

Place = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER", help="What `nersemble prepare` wrote; with --delete, the data set.", show_default=False
    ),
]
Repo = Annotated[
    str | None, typer.Argument(metavar="REPO", help="The data set, such as my-lab/heads.", show_default=False)
]
Delete = Annotated[
    str | None,
    typer.Option("--delete", metavar="IDS", help="Delete these participants, such as 240,241, with the whole history."),
]
TokenFile = Annotated[
    str | None,
    typer.Option("--token-file", metavar="FILE", help="Read the hub's token from it.", show_default="as logged in"),
]
Members = Annotated[
    int | None,
    typer.Option("--members", min=1, help="The organisation's number of members, exactly, if they are more than 100."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Delete shards and pictures of the config that FOLDER's plan does not have.")
]
Message = Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.", show_default="the plan")]


def push(
    place: Place,
    repo: Repo = None,
    delete: Delete = None,
    members: Members = None,
    replace: Replace = False,
    message: Message = None,
    token_file: TokenFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what there is to do, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors alone.")] = False,
) -> None:
    """Push prepared shards to a private data set of the hub, or delete participants from one.

    Shards are verified and looked through before anything is sent, and nothing is sent to a public data set. The same
    command goes on where a push stopped. `nersemble push REPO --delete 240` needs no shards.
    """
    options.show_notes(quiet=quiet)
    options.stop_on_signals()
    common: dict[str, Any] = {"token": _token(token_file)}
    doing: dict[str, Any] = {"message": message, "progress": False if quiet or as_json else None}
    call = _Call(dry_run, yes, as_json, quiet, common, doing)
    try:
        if delete is not None:
            code = _delete(place, repo, delete, call)
        elif repo is None:
            raise SelectionError("Name the folder and the data set: nersemble push out/ my-lab/heads.")
        else:
            common.update(members=members, replace=replace)
            code = _push(place, repo, call)
    except KeyboardInterrupt:
        typer.echo("\nStopped. What was done is kept, and the same command goes on from there.", err=True)
        code = options.STOPPED
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Call:
    """How something is to be done: ``common`` are arguments of a dry run too, ``doing`` of the thing itself alone."""

    dry_run: bool
    yes: bool
    as_json: bool
    quiet: bool
    common: dict[str, Any]
    doing: dict[str, Any]

    def go(self, look: Callable[[], Any], act: Callable[[], Any], otherwise: str) -> int:
        """Show what would be done, ask, do it, and say what came of it.

        Args:
            look: Finds out what would be done.
            act: Does it.
            otherwise: What to say if it is not to be done.
        """
        if self.dry_run:
            told = look()
            self._show(told)
            return 1 if getattr(told, "refusal", "") else 0
        if not self.yes:
            told = look()
            typer.echo(told, err=True)
            if not getattr(told, "refusal", "") and not options.agreed(otherwise):
                return 1
        report = act()
        if self.as_json or not self.quiet:
            self._show(report)
        return 0

    def _show(self, told: Any) -> None:
        if self.as_json:
            options.print_json(told.as_dict())
        else:
            typer.echo(told)


def _push(place: str, repo: str, call: _Call) -> int:
    from ..hub import plan_push
    from ..hub import push as push_shards
    from ..prepare.plan_files import find_plan

    file = find_plan(place)
    plan, folder = file.read(), file.target.text
    return call.go(
        lambda: plan_push(plan, folder, repo, **call.common),
        lambda: push_shards(plan, folder, repo, **call.common, **call.doing),
        "Nothing was pushed.",
    )


def _delete(place: str, repo: str | None, participants: str, call: _Call) -> int:
    from ..hub import delete as delete_participants

    if repo is not None:
        raise SelectionError("--delete needs the data set alone: nersemble push my-lab/heads --delete 240.")
    return call.go(
        lambda: delete_participants(place, participants, dry_run=True, **call.common),
        lambda: delete_participants(place, participants, **call.common, **call.doing),
        "Nothing was deleted.",
    )


def _token(file: str | None) -> str | None:
    """The token in a file.

    Raises:
        SelectionError: If there is none.
    """
    if file is None:
        return None
    text, why = "", ""
    try:
        # Some editors put a mark at the start of a file.
        text = Path(file).expanduser().read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        why = (os.strerror(error.errno) if error.errno else "it cannot be read").lower()
    except (UnicodeDecodeError, RuntimeError):  # the latter of ~ without a home
        why = "it is no text"
    if why:
        raise SelectionError(
            f"The token cannot be read from {file}: {why}. Name a file that holds the token alone and that you may "
            "read, or leave --token-file out to use the token of `hf auth login`."
        )
    if not text or len(text.split()) != 1:
        raise SelectionError(f"{file} holds no token: it is a file with the token alone.")
    return text
