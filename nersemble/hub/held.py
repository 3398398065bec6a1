"""What a data set of the hub holds at one commit: its files, its card, and the plans of its configs."""

from __future__ import annotations

from functools import cached_property

from ..errors import PrepareError, PushError
from ..prepare import PreparePlan
from ..prepare.plans import PLAN_FILE
from .card import configs_of, is_ours, unfinished
from .client import Client
from .facts import RemoteFile
from .losses import losses
from .theirs import CARD, configs_in

__all__ = ["CARD", "Held"]


class Held:
    """A data set at one commit.

    Attributes:
        sha: The commit.
        files: Every file by path.
        card: Text of its card; None if it has none.
    """

    def __init__(self, client: Client, repo_id: str, sha: str) -> None:
        self._client, self._repo_id = client, repo_id
        self.sha = sha
        self.files: dict[str, RemoteFile] = client.tree(repo_id, sha)
        self._texts: dict[str, bytes] = {}
        self.card: str | None = self.read(CARD).decode("utf-8", "replace") if CARD in self.files else None

    @property
    def is_ours(self) -> bool:
        """Whether this package pushed to it."""
        return is_ours(self.card) or bool(self.configs)

    @cached_property
    def configs(self) -> list[str]:
        """Configs that this package made: with shards, a plan, or a section of the card."""
        return sorted(configs_in(self.files, self.read))

    def read(self, path: str) -> bytes:
        """The content of a small file."""
        if path not in self._texts:
            self._texts[path] = self._client.read(self._repo_id, path, self.sha, self.files.get(path))
        return self._texts[path]

    def shards(self, config: str) -> dict[str, RemoteFile]:
        """The Parquet files of a config."""
        return {
            path: file
            for path, file in self.files.items()
            if path.startswith(f"{config}/") and path.endswith(".parquet")
        }

    def plan(self, config: str) -> PreparePlan | None:
        """The plan of a config; None if it has none.

        Raises:
            PushError: If it cannot be read.
        """
        found, problem = self.look_at_plan(config)
        if problem:
            raise PushError(f"{config}/{PLAN_FILE} of {self._repo_id} cannot be used: {problem}")
        return found

    def look_at_plan(self, config: str) -> tuple[PreparePlan | None, str]:
        """The plan of a config, None if it has none or none that can be used; and why it cannot, else ""."""
        path = f"{config}/{PLAN_FILE}"
        if path not in self.files:
            return None, ""
        try:
            return PreparePlan.from_json(self.read(path)), ""
        except PrepareError as error:
            return None, f"{error} Is there a newer nersemble?"

    def conflict(self, plan: PreparePlan, *, replace: bool = False) -> str:
        """Why a plan must not be pushed into its config; "" if nothing stands against it.

        Args:
            plan: What is to be pushed.
            replace: Whether shards or pictures that it does not have may be deleted.
        """
        pending = unfinished(self.card, plan.config)
        if pending == plan.hash:
            return ""  # it was let in when it began
        before = self.plan(plan.config)
        if not pending and before is None and self.shards(plan.config):
            return self._without_plan(plan.config)
        # A first push that was not finished has left no plan, and so no options to keep to.
        if before is not None and (before.options, before.stages_told) != (plan.options, plan.stages_told):
            return (
                f"{self._repo_id} has a config {plan.config} that was made with other options: plan {before.hash}, not "
                f"{plan.hash}. Plan with another config_name=."
            )
        return "" if replace else self._loss(plan, before)

    def _without_plan(self, config: str) -> str:
        """What is said of shards of a config that has no plan: the card tells whose they are."""
        if config not in configs_of(self.card):
            return (
                f"{self._repo_id} has files in {config}/ that this package did not push. Plan with another "
                "config_name=."
            )
        return (
            f"{self._repo_id} has shards in {config}/, but no {config}/{PLAN_FILE} any more, so that nobody knows how "
            f"they were made. Plan with another config_name=, or delete the folder {config} on the hub and push again."
        )

    def _loss(self, plan: PreparePlan, before: PreparePlan | None) -> str:
        """What a push would delete, and what to do instead; "" if it deletes nothing."""
        told, first = losses(self.shards(plan.config), plan, before)
        if not told:
            return ""
        return (
            f"{self._repo_id} has {told} in {plan.config} that this plan does not have, {first} first, and pushing it "
            "would delete them. Prepare both in one plan, give this plan another config_name=, or push with "
            "replace=True (--replace) if they are to go."
        )
