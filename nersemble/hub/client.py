"""The calls to the hub that pushing and deleting need, tried again where that has hope, with errors in plain words.

Every call names its endpoint and its token itself, so that nothing of another account is used by accident.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from .. import __version__
from ..errors import PushError, SelectionError
from .facts import RemoteFile, RepoState
from .hushing import quiet
from .retry import (
    DONE,
    ODD,
    ODD_WORDS,
    SILENT,
    CutOffError,
    Failure,
    Patience,
    attempt,
    attempt_within,
    local_words,
)
from .tokens import TOKENS, advice, problem_of, tidy, tokens_at_hand

Result = TypeVar("Result")
#: What a hub answers to a question that it does not know: the usual one knows all of them, others may not.
_NO_SUCH_CALL = (404, 405, 501)
#: Seconds that the hub has to answer the first question.
REACH = 25.0
#: New tries of the first question, and of a hub that is out of reach before anything was sent.
_FEW = 3


class NotThereError(PushError):
    """The hub has no such thing: a revision that somebody squashed away meanwhile, for one."""


class Client:
    """The hub, for one token.

    Args:
        token: A token; None for the one that this machine is logged in with.
        endpoint: The hub's URL; None for the usual one.
        tell: Told in words what is waited for.
    """

    def __init__(
        self, token: str | None, endpoint: str | None, tell: Callable[[str], object] = lambda words: None
    ) -> None:
        from huggingface_hub import HfApi

        # Of a slash at its end the hub's client would make two, which a hub need not take for one.
        endpoint = endpoint.rstrip("/") if isinstance(endpoint, str) else endpoint
        self._api = HfApi(endpoint=endpoint, token=tidy(token), library_name="nersemble", library_version=__version__)
        self.tell = tell
        #: Whether something was sent or deleted: a hub that is out of reach is waited for from then on.
        self.has_begun = False

    def _call(self, what: str, call: Callable[[], Result]) -> Result:
        """The result of a call.

        Raises:
            PushError: If it failed for good; it says what was to be done.
        """
        found, failure = self._try(call)
        if failure is not None:
            kind = NotThereError if failure.status == 404 else PushError
            raise kind(f"{what} failed: {failure}.{advice(failure)}")
        return cast(Result, found)

    def _list(self, what: str, call: Callable[[], Result]) -> Result | None:
        """The same of a question that not every hub knows: None from one that says so twice."""
        found, failure = self._try(call)
        if _is_unknown(failure):
            found, failure = self._try(call)
        if failure is not None and not _is_unknown(failure):
            raise PushError(f"{what} failed: {failure}.{advice(failure)}")
        return found

    def _try(
        self, call: Callable[[], Result], most: int = 100, within: float | None = None
    ) -> tuple[Result | None, Failure | None]:
        patience = Patience(self.tell, most, most if self.has_begun else _FEW)
        while True:
            began = time.monotonic()
            with quiet():
                found, failure = attempt(call) if within is None else attempt_within(call, within)
            if within is not None and failure is not None and failure.status == 0:
                within = max(within - (time.monotonic() - began), 1.0)
            if failure is None or not patience.wait(failure):
                return found, failure

    # --- who, and who else --------------------------------------------------------------------------------------------

    def whoami(self) -> dict[str, Any]:
        """What the hub knows of the token.

        Raises:
            PushError: If there is none, or the hub does not know it.
        """
        problem = problem_of(self._api.token)
        if problem:
            raise PushError(problem)
        # The first call of all: nobody waits for minutes to hear that there is no network.
        found, failure = self._try(self._api.whoami, _FEW, REACH)
        if failure is not None and failure.status in (401, 403):
            raise PushError(
                "The hub does not know this token; it may have been revoked, have expired, or be of another hub. Make "
                f"another at {TOKENS}."
            )
        if failure is not None and failure.status in (0, SILENT):
            raise PushError(
                f"The hub cannot be reached: {failure}. Nothing was sent or changed. Is this machine online, does it "
                "need a proxy (HTTPS_PROXY), and is the hub's URL right, if it is not the usual one (endpoint=, "
                "HF_ENDPOINT)? Try again then."
            )
        if failure is not None:
            raise PushError(f"Asking the hub whose token this is failed: {failure}.{advice(failure)}")
        if not isinstance(found, dict) or not found.get("name"):
            raise PushError(f"Asking the hub whose token this is failed: {Failure(ODD, ODD_WORDS)}.")
        return found

    def tokens(self) -> set[str]:
        """The token, that of the environment, and the one that this machine is logged in with: none may be sent."""
        return tokens_at_hand(self._api.token)

    def members(self, organization: str) -> tuple[int | None, bool]:
        """How many members an organisation has, as far as the hub tells, and whether it knows the question at all."""
        utils: Any = importlib.import_module("huggingface_hub.utils")
        # Asked without the methods for it, which in clients before 1.1 go to another hub than this one.
        place = f"{self._api.endpoint}/api/organizations/{quote(organization, safe='')}"

        def overview() -> Any:
            response = utils.get_session().get(f"{place}/overview", headers=self._headers())
            utils.hf_raise_for_status(response)
            return response.json()

        listed, failed = self._try(lambda: list(utils.paginate(f"{place}/members", params={}, headers=self._headers())))
        found, failure = self._try(overview)
        told = found.get("numUsers") if isinstance(found, dict) else None
        counts = [told] if isinstance(told, int) else []
        counts += [len(listed)] if listed and all(isinstance(one, dict) for one in listed) else []
        return max(counts, default=None), not (_is_unknown(failed) and _is_unknown(failure))

    def _headers(self) -> dict[str, str]:
        utils: Any = importlib.import_module("huggingface_hub.utils")
        told = {"library_name": "nersemble", "library_version": __version__}
        return dict(utils.build_hf_headers(token=self._api.token, **told))

    # --- the repository -----------------------------------------------------------------------------------------------

    def state(self, repo_id: str, most: int = 100) -> RepoState | None:
        """A data set as it is now, asked ``most`` times again; None if there is none that the token can see."""
        found, failure = self._try(lambda: self._api.repo_info(repo_id, repo_type="dataset"), most)
        if failure is not None and failure.status in (401, 404):
            return None
        if found is None or failure is not None:
            raise PushError(f"Looking at {repo_id} failed: {failure}.{advice(failure)}")
        # What is not said to be private counts as public.
        return RepoState(str(found.id), str(found.sha), getattr(found, "private", None) is True)

    def is_private(self, repo_id: str) -> bool:
        """Whether a data set is there under this name and private; False too where the hub does not say so at once.

        Nothing else is asked: of a data set of many files, the list of them takes longer than all the rest.
        """
        found, _ = self._try(lambda: self._api.dataset_info(repo_id, expand=["private"]), 0)
        return found is not None and str(found.id) == repo_id and getattr(found, "private", None) is True

    def create(self, repo_id: str) -> None:
        """Make a private data set, unless it exists."""
        _, failure = self._try(lambda: self._api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True))
        if failure is not None and failure.status != DONE:
            raise PushError(f"Making the data set {repo_id} failed: {failure}.{advice(failure)}")

    def make_private(self, repo_id: str) -> Failure | None:
        """Make a data set private; why not, if it did not work."""
        return self._try(lambda: self._api.update_repo_settings(repo_id, private=True, repo_type="dataset"))[1]

    def tree(self, repo_id: str, revision: str, folder: str | None = None) -> dict[str, RemoteFile]:
        """Every file of a commit by path."""
        from huggingface_hub.hf_api import RepoFile

        listed = self._call(
            f"Listing {repo_id}",
            lambda: list(
                self._api.list_repo_tree(repo_id, folder, recursive=True, revision=revision, repo_type="dataset")
            ),
        )
        return {
            one.path: RemoteFile(one.size, one.blob_id, None if one.lfs is None else one.lfs.sha256)
            for one in listed
            if isinstance(one, RepoFile)
        }

    def read(self, repo_id: str, path: str, revision: str, file: RemoteFile | None = None) -> bytes:
        """The content of a small file, which is compared with what it should be where that is given."""

        def load() -> bytes:
            with tempfile.TemporaryDirectory() as folder:
                place = self._api.hf_hub_download(
                    repo_id, path, repo_type="dataset", revision=revision, local_dir=folder
                )
                data = Path(place).read_bytes()
            if file is not None and not file.holds(data):
                raise CutOffError
            return data

        what = f"Reading {path} of {repo_id}"
        try:
            return self._call(what, load)
        except OSError as error:
            problem = local_words(error)
        raise PushError(f"{what} failed: {problem}.")

    # --- changing it --------------------------------------------------------------------------------------------------

    def upload(self, repo_id: str, addition: Any) -> None:
        """Send a large file, which belongs to no commit yet; nothing is sent if the hub has its content."""
        self._call(
            f"Sending {addition.path_in_repo} to {repo_id}",
            lambda: self._api.preupload_lfs_files(repo_id, [addition], repo_type="dataset"),
        )

    def commit(self, repo_id: str, operations: list[Any], message: str, parent: str) -> tuple[str, Failure | None]:
        """One try at a commit on top of ``parent``: its hash, or why it failed.

        The hash is that of the head, where the client cannot read that of the commit.
        """
        with quiet():
            found, failure = attempt(
                lambda: self._api.create_commit(
                    repo_id, operations, commit_message=message, repo_type="dataset", parent_commit=parent
                )
            )
        if failure is not None and failure.status == DONE:
            state = self.state(repo_id)
            if state is None or state.sha == parent:
                return "", Failure(0, ODD_WORDS)
            return state.sha, None
        return str(found.oid) if found is not None else "", failure

    def squash(self, repo_id: str, message: str) -> None:
        """Make one commit of the history of ``main``."""
        self._call(
            f"Squashing the history of {repo_id}",
            lambda: self._api.super_squash_history(repo_id, commit_message=message, repo_type="dataset"),
        )

    def commits(self, repo_id: str, revision: str) -> list[str] | None:
        """The hashes of a history, newest first; None if the hub does not list them."""
        found = self._list(
            f"Reading the history of {repo_id}",
            lambda: list(self._api.list_repo_commits(repo_id, repo_type="dataset", revision=revision)),
        )
        return None if found is None else [one.commit_id for one in found]

    def other_refs(self, repo_id: str) -> list[str] | None:
        """Every branch, tag, conversion and pull request beside ``main``; None if the hub does not list them."""
        found = self._list(
            f"Listing the branches of {repo_id}",
            lambda: self._api.list_repo_refs(repo_id, repo_type="dataset", include_pull_requests=True),
        )
        if found is None:
            return None
        listed = [*found.branches, *found.tags, *found.converts, *(found.pull_requests or [])]
        return [one.ref for one in listed if one.ref not in ("refs/heads/main", "main")]

    def stored(self, repo_id: str) -> list[Any] | None:
        """The large files that the hub keeps for a data set, of whatever commit; None if it does not list them."""
        return self._list(
            f"Listing the stored files of {repo_id}",
            lambda: list(self._api.list_lfs_files(repo_id, repo_type="dataset")),
        )

    def forget(self, repo_id: str, files: list[Any]) -> None:
        """Delete large files for good; commits that name them are not changed."""
        self._call(
            f"Deleting stored files of {repo_id}",
            lambda: self._api.permanently_delete_lfs_files(repo_id, files, rewrite_history=False, repo_type="dataset"),
        )


def check_message(message: Any) -> None:
    """Check the message of a commit as a caller gives it.

    Raises:
        SelectionError: If it is no text.
    """
    if message is not None and not isinstance(message, str):
        raise SelectionError(f"message= is a text, or None for the usual one, not {type(message).__name__}.")


def _is_unknown(failure: Failure | None) -> bool:
    """Whether a hub does not know what it was asked."""
    return failure is not None and failure.status in _NO_SUCH_CALL
