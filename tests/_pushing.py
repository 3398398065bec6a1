"""What tests of pushing share: small plans with their shards, and hub clients in this process that know one hub."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from hub import Hub

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


def allow_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients in this process talk to hubs again, which `conftest` forbids; the hubs of tests have no Xet."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def make(folder: Path, demo: Path, **options: Any) -> PreparePlan:
    """Shards in a folder, and their plan."""
    plan = nersemble.prepare.plan(data_dir=demo, **{**SMALL, **options})
    plan.run(folder, workers=1, progress=False).raise_if_incomplete()
    return plan


class Pushing:
    """A hub with Alice, who has a folder of shards that she pushes."""

    def __init__(self, hub: Hub, folder: Path, plan: PreparePlan) -> None:
        self.hub, self.folder, self.plan = hub, folder, plan
        self.token = hub.user("alice")

    def push(self, repo: str = "alice/faces", **options: Any) -> PushReport:
        plan, folder = options.pop("plan", self.plan), options.pop("folder", self.folder)
        return push(plan, folder, repo, **{"token": self.token, "endpoint": self.hub.url, "progress": False, **options})

    def copy(self, place: Path) -> Path:
        """A copy of the folder, to be changed."""
        return Path(shutil.copytree(self.folder, place))


#: Loads a config without this package, and tells the ids of its rows in their order, downloaded and streamed.
LOAD = """
import sys
sys.modules["nersemble"] = None
import datasets, json
datasets.config.USE_PARQUET_EXPORT = False
repo, config, revision = sys.argv[1:]
def told(rows):
    return [[row["participant"], row["sequence"], row["timestep"], row["frames"][0].size] for row in rows]
named = {} if config == "-" else {"name": config}
given = {**named, "split": "train", "revision": revision}
print(json.dumps([told(datasets.load_dataset(repo, **given)),
                  told(datasets.load_dataset(repo, **given, streaming=True))]))
"""
