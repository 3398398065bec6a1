"""Which files a config of others takes: as `datasets` finds them, and what a push makes of one that would take ours."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from _pushing import DEPRECATED, Pushing, make, pushing
from datasets import data_files as resolving
from hub import Hub

from nersemble.errors import PushError
from nersemble.hub import plan_push
from nersemble.hub.patterns import Taking

pytestmark = DEPRECATED

SHARD = "heads/240/EXP-1-head-000000.parquet"
FILES = [
    SHARD,
    "heads/plan.json",
    "README.md",
    ".hidden/a.parquet",
    "data/.b.parquet",
    "data/a.csv",
    "data/deep/a-1.parquet",
    "data/a[1].parquet",
    "data/{a,b}.parquet",
    "__mine/a.parquet",
    "top.parquet",
    "config.json",
    "^.parquet",
]
PATTERNS = [
    "**",
    "*",
    "**/*",
    "*/**",
    "**/*.parquet",
    "*/*.parquet",
    "*/*/*.parquet",
    "*/240/**/*.parquet",
    "**/240/**",
    "**/240/*",
    "heads",
    "heads/",
    "heads/*",
    "heads/**",
    "he?ds/**/*.json",
    "h[a-f]ads/**",
    "h[!a-d]ads/**",
    "h[f-a]ads/**",
    "h[!f-a]ads/**",
    "[\\^-\\^].parquet",
    "h[]e]ads/**",
    "h[]ads/**",
    "h[!]ads/**",
    "[!.]*/**",
    "[^]*",
    "data/a[[]1].parquet",
    "data/a[1]*",
    "data/{a,b}.parquet",
    "{heads,data}/**",
    "data/*-[0-9].parquet",
    "data/deep/*",
    ".hidden/*",
    ".*/*",
    "data/.*",
    "__*/*",
    "config.json",
    "*.json",
    "top.parquet",
    "README.md",
    SHARD,
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_datasets_finds_by_it(tmp_path, pattern):
    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    try:
        found = resolving.resolve_pattern(pattern, str(tmp_path))
    except FileNotFoundError:
        found = []
    taking = Taking({"data_files": pattern}, FILES)
    assert {path for path in FILES if taking.takes(path)} == {os.path.relpath(path, tmp_path) for path in found}


@pytest.mark.parametrize(
    "files",
    [
        ["a.csv", "b/c.csv"],
        ["data/train-00000-of-00001.parquet", "other.csv"],
        ["train.csv", "other.csv"],
        ["x/test/a.csv", "train.csv"],
        ["my-validation.2/a.csv", "b.csv"],
        ["retrain.csv", "testimony/a.csv"],
        ["below/eval_1.csv", "below/b.csv"],
    ],
)
@pytest.mark.parametrize("folder", ["", "below"])
def test_a_config_without_patterns_takes_what_datasets_would(tmp_path, files, folder):
    files = [*files, "below/x.csv", ".gitattributes", "README.md"]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    base = str(tmp_path / folder)
    found = resolving.DataFilesDict.from_patterns(resolving.get_data_patterns(base), base_path=base)
    taking = Taking({"data_dir": folder} if folder else {}, files)
    wanted = {os.path.relpath(path, tmp_path) for paths in found.values() for path in paths}
    assert {path for path in files if taking.takes(path)} == wanted


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    alice = pushing(hub, demo_folder, monkeypatch)
    hub.create("alice/faces")
    alice.put("others/a.parquet", small_table())
    return alice


def write(alice: Pushing, *entries: dict) -> None:
    alice.put("README.md", f"---\n{yaml.safe_dump({'configs': list(entries)})}---\n".encode())


TAKING = [
    {"data_files": "**/*.parquet"},
    {"data_files": "**"},
    {"data_files": "*/240/**/*.parquet"},
    {"data_files": ["others/*.parquet", "**/*.json"]},
    {
        "data_files": [
            {"split": "train", "path": "others/*"},
            {"split": "test", "path": ["x/*", "*/*/*-00000?.parquet"]},
        ]
    },
    {"data_files": {"train": "others/*", "test": ["participant_[0-9]*/**"]}},
    {"data_dir": "./participant_240/", "data_files": "240/*"},
    {"data_files": None},
    {"data_dir": "participant_240"},
    {},
]


@pytest.mark.parametrize("told", TAKING, ids=str)
def test_a_config_of_others_that_would_take_our_shards_is_a_reason_to_refuse(alice, told):
    write(alice, {"config_name": "b", "data_files": "others/*.parquet"}, {"config_name": "mine", **told})
    alice.hub.reset()
    refusal = plan_push(alice.plan, alice.folder, "alice/faces", token=alice.token, endpoint=alice.hub.url).refusal
    with pytest.raises(PushError, match=r"^The config mine of others .* takes .*would take participant_240/") as caught:
        alice.push()
    assert str(caught.value) == refusal
    assert "Narrow its data_files in the README.md" in refusal
    assert alice.hub.received == 0
    assert set(alice.hub.counts) <= {"whoami", "info", "tree", "resolve", "storage"}


PASSED = [
    {"data_files": "others/**"},
    {"data_files": "*.parquet"},
    {"data_files": [{"split": "train", "path": ["others/*.parquet", "*/*.parquet"]}]},
    {"data_files": "https://example.org/**/*.parquet"},
    {"data_dir": "others"},
    {"data_dir": "others", "data_files": "**"},
]


@pytest.mark.parametrize("told", PASSED, ids=str)
def test_a_config_of_others_that_takes_files_of_its_own_alone_stands_against_nothing(alice, told):
    write(alice, {"config_name": "mine", **told})
    alice.push()
    alice.assert_whole()


def test_a_config_without_data_files_whose_files_are_found_by_their_names_stands_against_nothing(alice):
    alice.put("data/train-00000-of-00001.parquet", small_table())
    write(alice, {"config_name": "mine"})
    alice.push()
    alice.assert_whole()


def test_what_this_package_pushed_is_no_reason_and_neither_is_a_config_that_is_for_it(alice, tmp_path, demo_folder):
    write(alice, {"config_name": "default", "data_files": "others/*.parquet"})
    alice.push()
    card = alice.repo.read("README.md").decode()
    for_all = card.replace("configs:\n", "configs:\n- config_name: all\n  data_files: '*/*/*.parquet'\n")
    alice.put("README.md", for_all.encode())
    plan = make(tmp_path / "more", demo_folder, config_name="more", timesteps="0::8")
    alice.push(plan=plan, folder=tmp_path / "more")
    alice.push()
    alice.assert_whole()


@pytest.mark.parametrize(
    ("first", "path"),
    [
        ({"data_files": "others/*.csv"}, "others/a.csv"),
        ({"data_files": [{"split": "train", "path": "*.JSONL"}]}, "a.JSONL"),
        ({"data_files": "others/a.csv.gz"}, "others/a.csv.gz"),
        ({"data_files": "others/*"}, "others/b.txt"),
    ],
    ids=str,
)
def test_files_of_another_kind_that_all_configs_would_be_loaded_as_are_a_reason_to_refuse(alice, first, path):
    for name in (path, f"{path.partition('.')[0]}2.{path.partition('.')[2]}"):
        alice.put(name, b"x\n1\n")
    write(alice, {"config_name": "mine", **first}, {"config_name": "b", "data_files": "others/*.parquet"})
    alice.hub.reset()
    with pytest.raises(PushError, match=r"first config in the README.md on the hub, mine, is of \w+ files, and"):
        alice.push()
    assert alice.hub.received == 0


def test_what_is_pushed_beside_a_config_of_others_loads_as_theirs_does(alice):
    write(alice, {"config_name": "mine", "data_dir": "others"})
    alice.push()
    assert len(alice.load(alice.plan.config, "main")[0]) == alice.plan.rows
    done = alice.hub.python(LOAD_THEIRS, token=alice.token)
    assert done.stdout.split() == ["1", "1"], done.stderr


LOAD_THEIRS = """
import datasets
datasets.config.USE_PARQUET_EXPORT = False
for name in ("mine", None):
    print(datasets.load_dataset("alice/faces", name, split="train")[0]["x"])
"""


def small_table() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), file)
    return file.getvalue()
