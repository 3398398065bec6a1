"""Pushing to a private data set of the hub: what arrives, what loads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _pushing import DEPRECATED, LOAD, Pushing, allow_hubs, make
from hub import Hub

from nersemble.prepare import PreparePlan

pytestmark = DEPRECATED


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> tuple[Path, PreparePlan]:
    folder = tmp_path_factory.mktemp("small")
    return folder, make(folder, demo_folder)


@pytest.fixture
def alice(hub: Hub, small: tuple[Path, PreparePlan], monkeypatch: pytest.MonkeyPatch) -> Pushing:
    allow_hubs(monkeypatch)
    return Pushing(hub, *small)


def test_what_is_pushed_is_private_and_loads_without_this_package(alice):
    report = alice.push()
    repo = alice.hub.repos["alice/faces"]
    assert repo.private
    config = alice.plan.config
    shards = [f"{config}/{unit.name}" for unit in alice.plan.units]
    assert repo.paths() == sorted(["README.md", f"{config}/plan.json", *shards])
    assert report.commit == repo.head.id
    assert report.load_line == f'load_dataset("alice/faces", "{config}", split="train", revision="{repo.head.id}")'
    for name in (config, "-"):
        done = alice.hub.python(LOAD, "alice/faces", name, report.commit, token=alice.token)
        assert done.returncode == 0, done.stderr
        downloaded, streamed = json.loads(done.stdout)
        assert [row[:3] for row in downloaded] == [
            [unit.participant, unit.sequence, timestep]
            for unit in alice.plan.units
            for timestep, _ in unit.rows(alice.plan.options.wanted, "timestep")
        ]
        assert downloaded == streamed
