"""Every shard of a plan, verified and looked through before the first byte is sent."""

from __future__ import annotations

from dataclasses import dataclass

from ..cores import usable_cores
from ..errors import PushError
from ..parallel import map_on_threads
from ..prepare import PreparePlan, verify_shards
from ..prepare.target import Target
from ..progress import Count, display
from .client import Client
from .scan import Forbidden, ScannedShard, scan_shard

#: Findings that a message shows.
_SHOWN = 5


@dataclass(frozen=True)
class Looked:
    """What may be sent.

    Attributes:
        shards: What was found out about each shard, by its path below the folder.
        plan: The plan's text.
        forbidden: What must not be in anything else that is sent.
    """

    shards: dict[str, ScannedShard]
    plan: bytes
    forbidden: Forbidden

    @property
    def bytes(self) -> int:
        """Of all shards."""
        return sum(shard.size for shard in self.shards.values())


def look_through(plan: PreparePlan, target: Target, message: str | None, kind: str, client: Client) -> Looked:
    """Verify the shards of a plan, and look through each of them.

    Args:
        plan: What they are.
        target: Where they are.
        message: Of the commit.
        kind: Of the display.
        client: Whose tokens must not be in them.

    Raises:
        PrepareError: If they are not what the plan says.
        StorageError: If the store behind a URL does not answer.
        PushError: If one holds what must not leave this machine.
    """
    with display(kind, verb="Checking", found="bad") as shown:
        verify_shards(plan, target.text, watch=shown.update).raise_if_unsound()
    forbidden = Forbidden(client.tokens)
    text = plan.to_json()
    names = [f"{plan.config}/{unit.name}" for unit in plan.units]
    state = Count(len(names))
    with display(kind, verb="Scanning", found="bad") as shown:

        def look(name: str) -> ScannedShard:
            with target.open_on_disk(name) as file:
                found = scan_shard(file, forbidden)
            state.files_done, state.bytes_done = state.files_done + 1, state.bytes_done + found.size
            state.failed += bool(found.problem)
            shown.update(state)
            return found

        shards = dict(zip(names, map_on_threads(look, names, usable_cores()), strict=True))
    problems = [f"{name}: {shard.problem}" for name, shard in shards.items() if shard.problem]
    in_plan, in_message = forbidden.problem_of(text), forbidden.problem_of(message or "")
    problems += [f"plan.json {in_plan}"] if in_plan else []
    if problems or in_message:
        raise PushError(_refusal(problems, in_message))
    return Looked(shards, text.encode(), forbidden)


def _refusal(problems: list[str], in_message: str) -> str:
    """What is said of what must not leave the machine.

    Args:
        problems: Of shards and plan.
        in_message: Of the commit's message, which is written anew and not made again; "" if there is none.
    """
    told = [f"the commit's message {in_message}"] if in_message else []
    told += problems[: _SHOWN - len(told)]
    hidden = len(problems) + bool(in_message) - len(told)
    more = f" And {hidden:,} more." if hidden else ""
    leave = " Leave it out of the message." if in_message else ""
    again = " Make the shards again with `plan.run`, after removing these." if problems else ""
    return f"Nothing was sent, since this must not leave the machine: {'; '.join(told)}.{more}{leave}{again}"
