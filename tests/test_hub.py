"""The hub that tests of pushing stand on: real clients push to it, read from it, and see its faults and refusals.

Every client runs in an interpreter of its own, with the environment that ``Hub.environment`` gives: the libraries read
where the hub is when they are imported.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub import Hub

#: What the code of every client begins with.
CLIENT = """
import json, os, sys, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)
from huggingface_hub import CommitOperationAdd as Add, CommitOperationDelete as Delete, HfApi, hf_hub_download
from huggingface_hub.utils import HfHubHTTPError
from functools import partial

api = HfApi()
NAME, KIND = "alice/faces", {"repo_type": "dataset"}

def tell(value):
    print(json.dumps(value))

def outcome(call, *arguments, **options):
    '''Name of the error that a call raises, and the status that it was answered.'''
    try:
        call(*arguments, **options)
    except HfHubHTTPError as error:
        return [type(error).__name__, error.response.status_code]
    except Exception as error:
        return [type(error).__name__, 0]
    return ["", 200]

def commit(files=(), deleted=(), **options):
    steps = [Add(path, data) for path, data in dict(files).items()] + [Delete(path) for path in deleted]
    options = {"commit_message": "a change", **options}
    return api.create_commit(NAME, steps, **KIND, **options)
"""
#: Loads and tells all rows of a column, downloaded and streamed.
LOAD = """
import datasets, json, sys
datasets.config.USE_PARQUET_EXPORT = False
told = {}
for name in sys.argv[2:]:
    loaded = datasets.load_dataset(sys.argv[1], name, split="train")
    streamed = datasets.load_dataset(sys.argv[1], name, split="train", streaming=True)
    told[name] = [list(loaded["value"]), [row["value"] for row in streamed]]
print(json.dumps(told))
"""
CARD = """---
configs:
- config_name: small
  data_files: [{split: train, path: "small/train-*.parquet"}]
- config_name: large
  data_files: [{split: train, path: "large/train-*.parquet"}]
---
# Faces
"""
PUSH = "api.create_repo(NAME, private=True, **KIND); api.upload_folder(folder_path=sys.argv[1], repo_id=NAME, **KIND)"


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """What a client told in its last line."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def client(hub: Hub, code: str, *arguments: object, token: str | None = None) -> Any:
    return told(hub.python(CLIENT + code, *arguments, token=token))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two configs, of one and of two shards, with a card."""
    import pyarrow
    import pyarrow.parquet

    shards = {"small/train-0.parquet": [0, 1], "large/train-0.parquet": [2, 3], "large/train-1.parquet": [4]}
    for path, values in shards.items():
        target = tmp_path / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table({"value": values}), target)
    (tmp_path / "data" / "README.md").write_text(CARD)
    return tmp_path / "data"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- pushing and reading ----------------------------------------------------------------------------------------------


def test_a_folder_that_is_pushed_is_there_byte_for_byte_and_large_files_go_apart(hub, folder):
    token = hub.user("alice")
    sha = client(hub, PUSH + "\ntell(api.repo_info(NAME, **KIND).sha)", folder, token=token)
    repo = hub.repos["alice/faces"]
    assert repo.private
    assert sha == repo.head.id
    files = files_of(folder)
    assert {path: repo.read(path) for path in repo.paths()} == files
    shards = {path: data for path, data in files.items() if path.endswith(".parquet")}
    assert hub.large_bytes == {sha256(data): len(data) for data in shards.values()}
    assert hub.regular_bytes == {"README.md": len(CARD)}
    assert hub.received == sum(map(len, files.values()))
    assert hub.counts["lfs-put"] == hub.counts["lfs-verify"] == 3
    assert hub.counts["commit"] == hub.counts["create"] == 1
    assert hub.counts["validate-yaml"] > 0
    assert not hub.counts.keys() & {"unknown", "elsewhere", "xet", "viewer"}


def test_what_is_there_already_is_not_sent_again(hub, folder):
    token = hub.user("alice")
    client(hub, PUSH + "\ntell(0)", folder, token=token)
    hub.reset()
    (folder / "small" / "train-0.parquet").write_bytes((folder / "large" / "train-0.parquet").read_bytes())
    (folder / "new.bin").write_bytes(b"\0new")
    client(hub, "api.upload_folder(folder_path=sys.argv[1], repo_id=NAME, **KIND)\ntell(0)", folder, token=token)
    assert hub.large_bytes == {sha256(b"\0new"): 4}
    assert hub.regular_bytes.keys() <= {"README.md"}  # which older clients send all the same
    assert hub.repos["alice/faces"].read("small/train-0.parquet") == (folder / "large/train-0.parquet").read_bytes()


def test_both_configs_load_downloaded_and_streamed_in_a_fresh_interpreter(hub, folder):
    token = hub.user("alice")
    client(hub, PUSH + "\ntell(0)", folder, token=token)
    hub.reset()
    values = told(hub.python(LOAD, "alice/faces", "small", "large", token=token))
    assert values == {"small": [[0, 1]] * 2, "large": [[2, 3, 4]] * 2}
    assert hub.counts["storage"] > 0  # by way of a redirect to another host, which no token may follow
    assert not hub.counts.keys() & {"unknown", "elsewhere", "xet", "viewer"}


def test_push_to_hub_of_datasets_and_back(hub):
    token = hub.user("alice")
    code = """
import datasets, sys
datasets.config.USE_PARQUET_EXPORT = False
for name, start in (("small", 0), ("large", 10)):
    rows = datasets.Dataset.from_dict({"value": list(range(start, start + 6))})
    rows.push_to_hub("alice/faces", name, private=True, num_shards=2)
"""
    done = hub.python(code, token=token)
    assert done.returncode == 0, done.stderr
    assert hub.repos["alice/faces"].private
    assert len([path for path in hub.repos["alice/faces"].paths() if path.endswith(".parquet")]) == 4
    values = told(hub.python(LOAD, "alice/faces", "small", "large", token=token))
    assert values == {"small": [[*range(6)]] * 2, "large": [[*range(10, 16)]] * 2}
    assert not hub.counts.keys() & {"unknown", "elsewhere", "xet", "viewer"}


def test_parts_of_a_large_file_can_be_read(hub):
    token = hub.user("alice")
    data = bytes(range(256)) * 40
    code = """
import huggingface_hub
api.create_repo(NAME, private=True, **KIND)
commit({"data.bin": bytes(range(256)) * 40})
with huggingface_hub.HfFileSystem().open(f"datasets/{NAME}/data.bin", block_size=1000) as file:
    file.seek(5000)
    middle = file.read(100)
    file.seek(-10, 2)
    tell([middle.hex(), file.read().hex()])
"""
    assert client(hub, code, token=token) == [data[5000:5100].hex(), data[-10:].hex()]
    assert {call.status for call in hub.calls if call.route == "storage"} == {206}


def test_clients_use_xet_only_where_it_is_not_switched_off(hub):
    """It is another protocol, which huggingface_hub from 1.0 on asks for without asking whether the hub has it."""
    code = CLIENT + "api.create_repo(NAME, **KIND)\ntell(outcome(commit, {'a.bin': b'0' * 10}))"
    assert told(hub.python(code, token=hub.user("alice"))) == ["", 200]
    assert "xet" not in hub.counts
    hub.repos.clear()
    told(hub.python("import os\ndel os.environ['HF_HUB_DISABLE_XET']\n" + code, token=hub.user("alice")))
    assert (hub.counts["xet"] > 0) == (int(huggingface_hub.__version__.partition(".")[0]) >= 1)


def test_a_client_reaches_no_other_server(hub):
    code = """
import datasets, huggingface_hub
from huggingface_hub.utils import get_session
for url in ("https://huggingface.co/api/datasets/a/b", "http://example.org/"):
    try:
        print(get_session().get(url).status_code)
    except Exception as error:
        print(type(error).__name__)
"""
    done = hub.python(code)
    assert done.returncode == 0, done.stderr
    assert hub.counts == {"elsewhere": 2}, done.stdout
