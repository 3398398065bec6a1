"""What tests of pushing share: small plans with their shards, and hub clients in this process that know one hub.

A test module sets ``pytestmark = DEPRECATED``, and has a fixture ``alice`` that calls ``pushing``.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
from hub import Hub, Repo
from huggingface_hub import HfApi

import nersemble
from nersemble.hub import PushReport, push
from nersemble.layout import SERIALS
from nersemble.prepare import PreparePlan

#: The hub's client sends files in a way that its HTTP library deprecates.
DEPRECATED = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
#: One sequence of one participant, one camera, three shards.
SMALL: dict[str, Any] = {
    "participants": 240,
    "sequences": "EXP-1-head",
    "cameras": SERIALS[8],
    "scale": 0.25,
    "timesteps": "0::4",
    "chunk": 3,
}


def allow_hubs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients in this process talk to hubs again, which `conftest` forbids; the hubs of tests have no Xet."""
    # Some calls of older clients go to this one, whatever hub the client was made for.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (huggingface_hub.constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def make(folder: Path, demo: Path, **options: Any) -> PreparePlan:
    """Shards in a folder, and their plan."""
    plan = nersemble.prepare.plan(data_dir=demo, **{**SMALL, **options})
    plan.run(folder, workers=1, progress=False).raise_if_incomplete()
    return plan


@functools.cache
def small_shards(demo: Path) -> tuple[Path, PreparePlan]:
    """Three shards that all tests share, none of which may change them."""
    of_the_run = Path(huggingface_hub.constants.HF_HOME).parent  # see conftest
    folder = Path(tempfile.mkdtemp(prefix="shards-", dir=of_the_run))
    return folder, make(folder, demo)


class Pushing:
    """A hub with Alice, who has a folder of shards that she pushes."""

    def __init__(self, hub: Hub, folder: Path, plan: PreparePlan) -> None:
        self.hub, self.folder, self.plan = hub, folder, plan
        self.token = hub.user("alice")

    def push(self, repo: str = "alice/faces", **options: Any) -> PushReport:
        plan, folder = options.pop("plan", self.plan), options.pop("folder", self.folder)
        return push(plan, folder, repo, **{"token": self.token, "endpoint": self.hub.url, "progress": False, **options})

    @property
    def repo(self) -> Repo:
        """What she pushes to, as the hub keeps it."""
        return self.hub.repos["alice/faces"]

    @property
    def shards(self) -> list[str]:
        """Her shards, as they are called on the hub."""
        return [f"{self.plan.config}/{unit.name}" for unit in self.plan.units]

    @property
    def size(self) -> int:
        """Of her shards, in bytes."""
        return sum((self.folder / name).stat().st_size for name in self.shards)

    def assert_whole(self) -> None:
        """All of her shards are there as they are here, once, and nothing else of the config."""
        config = self.plan.config
        assert [path for path in self.repo.paths() if path.startswith(f"{config}/")] == sorted(
            [f"{config}/plan.json", *self.shards]
        )
        for name in [*self.shards, f"{config}/plan.json"]:
            assert self.repo.read(name) == (self.folder / name).read_bytes()
        assert self.repo.private

    def load(self, config: str, revision: str) -> list[list[list[Any]]]:
        """The rows of a config, downloaded and streamed, in an interpreter of its own."""
        done = self.hub.python(LOAD, "alice/faces", config, revision, token=self.token)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def api(self) -> HfApi:
        """Her own client, for what others do to a repository."""
        return HfApi(self.hub.url, token=self.token)

    def put(self, path: str, data: bytes, repo: str = "alice/faces") -> None:
        """Put a file into a repository, as one does by hand."""
        self.api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=repo, repo_type="dataset")

    def copy(self, place: Path) -> Path:
        """A copy of the folder, to be changed."""
        return Path(shutil.copytree(self.folder, place))


def pushing(hub: Hub, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """Alice, in a test's own process."""
    allow_hubs(hub, monkeypatch)
    return Pushing(hub, *small_shards(demo))


#: Loads a config without this package, and tells the ids of its rows in their order, downloaded and streamed.
LOAD = """
import os, sys
sys.modules["nersemble"] = None
import datasets, json
datasets.config.USE_PARQUET_EXPORT = False
repo, config, revision = sys.argv[1:]
def told(rows):
    return [[row["participant"], row["sequence"], row["timestep"], row["frames"][0].size] for row in rows]
named = {} if config == "-" else {"name": config}
given = {**named, "split": "train", "revision": revision}
print(json.dumps([told(datasets.load_dataset(repo, **given)),
                  told(datasets.load_dataset(repo, **given, streaming=True))]), flush=True)
os._exit(0)  # threads of a stream of Arrow's can abort a process that ends in the usual way, with all its work done
"""
