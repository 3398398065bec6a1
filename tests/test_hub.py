"""The hub that tests of pushing stand on: real clients push to it, read from it, and see its faults and refusals.

Every client runs in an interpreter of its own, with the environment that ``Hub.environment`` gives: the libraries read
where the hub is when they are imported.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub import READ, WRITE, Hub, answer, cut, drop, drop_after, run, run_after

#: The older ones speak through another HTTP library.
NEW_CLIENT = int(huggingface_hub.__version__.partition(".")[0]) >= 1
#: What the code of every client begins with.
CLIENT = """
import json, os, sys, tempfile, warnings
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
import datasets, json, os, sys
datasets.config.USE_PARQUET_EXPORT = False
told = {}
for name in sys.argv[2:]:
    loaded = datasets.load_dataset(sys.argv[1], name, split="train")
    streamed = datasets.load_dataset(sys.argv[1], name, split="train", streaming=True)
    told[name] = [list(loaded["value"]), [row["value"] for row in streamed]]
print(json.dumps(told), flush=True)
os._exit(0)  # threads of a stream of Arrow's can abort a process that ends in the usual way, with all its work done
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


def test_whoever_asks_for_the_data_viewer_is_told_that_there_is_none(hub, folder):
    token = hub.user("alice")
    client(hub, PUSH + "\ntell(0)", folder, token=token)
    asking = LOAD.replace("USE_PARQUET_EXPORT = False", "USE_PARQUET_EXPORT = True")
    assert told(hub.python(asking, "alice/faces", "small", token=token)) == {"small": [[0, 1]] * 2}
    assert (hub.counts["viewer"] > 0) == NEW_CLIENT


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
    assert (hub.counts["xet"] > 0) == NEW_CLIENT


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
    hub.reset()


# --- revisions --------------------------------------------------------------------------------------------------------


def test_old_revisions_stay_readable_until_the_past_is_squashed_away(hub):
    token = hub.user("alice")
    code = """
api.create_repo(NAME, private=True, **KIND)
old = commit({"a.bin": b"\\0old", "a.txt": b"old", "b.txt": b"kept"}).oid
commit({"a.bin": b"\\0new", "a.txt": b"new"})
commit(deleted=["a.bin", "a.txt"])
def get(revision, name):
    found = hf_hub_download(NAME, name, revision=revision, cache_dir=tempfile.mkdtemp(), **KIND)
    return open(found, "rb").read()
before = [get(old, "a.bin").hex(), get(old, "a.txt").hex(), len(api.list_repo_commits(NAME, **KIND))]
from huggingface_hub import get_hf_file_metadata, hf_hub_url
link = get_hf_file_metadata(hf_hub_url(NAME, "a.bin", revision=old, **KIND)).location
api.super_squash_history(NAME, **KIND)
after = [outcome(get, old, "a.bin"), outcome(get, "main", "a.txt")[0], get("main", "b.txt").hex()]
history = [commit.title for commit in api.list_repo_commits(NAME, **KIND)]
from huggingface_hub.utils import get_session
tell([before, after, len(history), get_session().get(link).status_code])
"""
    before, after, commits, link = client(hub, code, token=token)
    assert before == [b"\0old".hex(), b"old".hex(), 4]
    assert after == [["RevisionNotFoundError", 404], after[1], b"kept".hex()]
    assert after[1].endswith("EntryNotFoundError")
    assert (commits, link) == (1, 404)
    assert hub.repos["alice/faces"].large == {}
    assert b"old" not in hub.repos["alice/faces"].files.values()


def test_a_stale_parent_is_refused_and_nothing_of_the_commit_is_there(hub):
    code = """
api.create_repo(NAME, private=True, **KIND)
first = api.repo_info(NAME, **KIND).sha
second = commit({"a.txt": b"a"}, parent_commit=first).oid
tell([outcome(commit, {"b.txt": b"b", "c.bin": b"\\0"}, parent_commit=first), second])
"""
    outcome, second = client(hub, code, token=hub.user("alice"))
    assert outcome == ["HfHubHTTPError", 412]
    assert hub.repos["alice/faces"].head.id == second
    assert hub.repos["alice/faces"].paths() == ["a.txt"]


@pytest.mark.parametrize("named", [True, False])
def test_of_two_commits_at_once_none_is_lost(hub, named):
    """Of two that name their parent one is refused; of two that name none the second comes on top of the first."""
    hub.faults.add("commit", run(threading.Barrier(2).wait), times=2)
    code = """
from concurrent.futures import ThreadPoolExecutor
api.create_repo(NAME, private=True, **KIND)
parent = api.repo_info(NAME, **KIND).sha if sys.argv[1] == "True" else None
with ThreadPoolExecutor(2) as pool:
    tell(sorted(pool.map(lambda n: outcome(commit, {f"{n}.txt": str(n).encode()}, parent_commit=parent), range(2))))
"""
    outcomes = client(hub, code, named, token=hub.user("alice"))
    repo = hub.repos["alice/faces"]
    assert outcomes == ([["", 200], ["HfHubHTTPError", 412]] if named else [["", 200]] * 2)
    assert repo.paths() in ([["0.txt"], ["1.txt"]] if named else [["0.txt", "1.txt"]])
    assert [len(commit.tree) for commit in repo.history(repo.head)] == ([2, 1] if named else [3, 2, 1])


def test_branches_tags_folders_and_pages(hub):
    hub.page_size = 2
    code = """
api.create_repo(NAME, private=True, **KIND)
commit({f"a/{n}.txt": b"x" for n in range(3)} | {"b/c/d.txt": b"y"})
api.create_branch(NAME, branch="other", **KIND)
api.create_tag(NAME, tag="v1", **KIND)
commit(deleted=["a/"], revision="other")
refs = api.list_repo_refs(NAME, **KIND)
tell([
    [api.list_repo_files(NAME, revision=revision, **KIND) for revision in ("main", "other", "v1")],
    [item.path for item in api.list_repo_tree(NAME, **KIND)],
    [item.path for item in api.list_repo_tree(NAME, "b", recursive=True, expand=True, **KIND)],
    [item.path for item in api.get_paths_info(NAME, ["a/1.txt", "b", "none"], **KIND)],
    [branch.name for branch in refs.branches], [tag.name for tag in refs.tags],
    [commit.title for commit in api.list_repo_commits(NAME, revision="other", **KIND)],
    outcome(api.create_branch, NAME, branch="other", **KIND),
    outcome(api.list_repo_files, NAME, revision="none", **KIND),
    outcome(commit, deleted=["none.txt"]),
])
"""
    files, top, below, infos, branches, tags, titles, again, missing, deleted = client(
        hub, code, token=hub.user("alice")
    )
    everything = [".gitattributes", "a/0.txt", "a/1.txt", "a/2.txt", "b/c/d.txt"]
    assert files == [everything, [".gitattributes", "b/c/d.txt"], everything]
    assert (top, below, infos) == ([".gitattributes", "a", "b"], ["b/c", "b/c/d.txt"], ["a/1.txt", "b"])
    assert (branches, tags) == (["main", "other"], ["v1"])
    assert titles == ["a change", "a change", "initial commit"]
    assert again == ["HfHubHTTPError", 409]
    assert missing == ["RevisionNotFoundError", 404]
    assert deleted[0].endswith("EntryNotFoundError")


# --- who may what -----------------------------------------------------------------------------------------------------

ACCESS = """
def attempts(token):
    api = HfApi(token=token)
    step = [Add("new.txt", os.urandom(4))]
    return [
        outcome(api.repo_info, "lab/faces", **KIND),
        outcome(hf_hub_download, "lab/faces", "a.txt", token=token, cache_dir=tempfile.mkdtemp(), **KIND),
        outcome(api.auth_check, "lab/faces", **KIND),
        outcome(api.create_commit, "lab/faces", step, commit_message="new", **KIND),
    ]
tell([attempts(token or False) for token in sys.argv[1:]])
"""
FINE, READ_ONLY = [["", 200]] * 4, [*[["", 200]] * 3, ["HfHubHTTPError", 403]]
INVISIBLE = [["RepositoryNotFoundError", 404]] * 4


def test_who_sees_reads_and_writes_a_private_repository(hub):
    hub.organization("lab", alice="admin", bob="read", carol="contributor")
    repo = hub.create("lab/faces", author="alice")
    cases = {
        "": [["RepositoryNotFoundError", 401]] * 4,
        "hf_wrong": [["HfHubHTTPError", 401]] * 4,
        hub.user("dave"): INVISIBLE,
        hub.user("bob"): READ_ONLY,
        hub.user("carol"): READ_ONLY,
        hub.user("alice", role="read"): READ_ONLY,
        hub.user("alice"): FINE,
        hub.fine_grained("alice", {"alice": [READ, WRITE]}): INVISIBLE,
        hub.fine_grained("alice", {"lab": [READ]}): READ_ONLY,
        hub.fine_grained("alice", {"lab/faces": [READ, WRITE]}): FINE,
        hub.fine_grained("bob", {"lab": [READ, WRITE]}): READ_ONLY,
    }
    client(
        hub,
        "tell(api.upload_file(path_or_fileobj=b'a', path_in_repo='a.txt', repo_id='lab/faces', **KIND))",
        token=hub.user("alice"),
    )
    before = len(list(repo.history(repo.head)))
    assert client(hub, ACCESS, *cases) == list(cases.values())
    assert len(list(repo.history(repo.head))) - before == 2
    assert repo.private


def test_datasets_cannot_load_what_is_private(hub, folder):
    client(hub, PUSH + "\ntell(0)", folder, token=hub.user("alice"))
    code = """
import datasets, sys
datasets.config.USE_PARQUET_EXPORT = False
for token in sys.argv[1:]:
    for streaming in (False, True):
        try:
            datasets.load_dataset("alice/faces", "small", streaming=streaming, token=token or False)
        except Exception as error:
            print(type(error).__name__)
"""
    done = hub.python(code, "", "hf_wrong", hub.user("dave"))
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert len(names) == 6
    assert set(names) <= {"DatasetNotFoundError", "HfHubHTTPError"}
    assert hub.counts["storage"] == 0


def test_creating_needs_the_right_and_gives_what_was_asked_or_the_default(hub):
    hub.organization("lab", default_private=True, alice="write", bob="read")
    hub.organization("open", alice="contributor")
    code = """
def create(name, **options):
    return [*outcome(api.create_repo, name, **options, **KIND), *outcome(api.repo_info, name, **KIND)[1:]]
tell([
    create("lab/a"), create("open/a"), create("alice/a"),
    create("lab/b", private=False), create("open/b", private=True),
    create("open/a", private=True), create("open/a", private=True, exist_ok=True),
    create("strangers/a"), create("none/a"),
])
"""
    hub.organization("strangers", dave="admin")
    created, conflict = ["", 200, 200], ["HfHubHTTPError", 409, 200]
    refused = ["HfHubHTTPError", 403, 404]
    outcomes = client(hub, code, token=hub.user("alice"))
    assert outcomes == [*[created] * 5, conflict, created, refused, refused]
    privacy = {name: repo.private for name, repo in hub.repos.items()}
    assert privacy == {"lab/a": True, "open/a": False, "alice/a": False, "lab/b": False, "open/b": True}
    refusals = "tell([outcome(api.create_repo, name, **KIND) for name in ('lab/c', 'bob/c')])"
    assert client(hub, refusals, token=hub.user("bob")) == [["HfHubHTTPError", 403], ["", 200]]
    assert client(hub, refusals, token=hub.user("bob", role="read")) == [["HfHubHTTPError", 403]] * 2


def test_settings_turn_visibility_and_gate_and_a_repository_can_be_deleted(hub):
    repo = hub.create("alice/faces", private=False)
    code = """
api.upload_file(path_or_fileobj=b'a', path_in_repo='a.txt', repo_id=NAME, **KIND)
api.update_repo_settings(NAME, gated="manual", **KIND)
gated = [outcome(hf_hub_download, NAME, "a.txt", token=token or False, **KIND) for token in sys.argv[1:]]
shown = api.repo_info(NAME, **KIND)
api.update_repo_settings(NAME, private=True, **KIND)
refused = [outcome(api.delete_repo, NAME, token=token or False, **KIND) for token in sys.argv[1:]]
private = api.repo_info(NAME, **KIND).private
api.delete_repo(NAME, **KIND)
tell([gated, shown.private, shown.gated, refused, private, outcome(api.repo_info, NAME, **KIND)])
"""
    gated, *shown, refused, private, gone = client(hub, code, "", hub.user("dave"), token=hub.user("alice"))
    assert gated == [["GatedRepoError", 401], ["GatedRepoError", 403]]
    assert shown == [False, "manual"]
    assert refused == [["RepositoryNotFoundError", 401], ["RepositoryNotFoundError", 404]]
    assert private
    assert gone == ["RepositoryNotFoundError", 404]
    assert repo.id not in hub.repos


def test_who_am_i_and_who_are_they(hub):
    hub.organization("lab", alice="admin", bob="read")
    scoped = hub.fine_grained("bob", {"lab": [READ]})
    code = """
mine, theirs = [api.whoami(token=token) for token in sys.argv[1:3]]
members = [member.username for member in api.list_organization_members("lab")]
tell([mine, theirs, members, outcome(api.whoami, token="hf_wrong")])
"""
    mine, theirs, members, wrong = client(hub, code, hub.user("alice"), scoped, token=hub.user("alice"))
    assert (mine["name"], mine["type"], mine["auth"]["accessToken"]["role"]) == ("alice", "user", "write")
    assert [(org["name"], org["roleInOrg"]) for org in mine["orgs"]] == [("lab", "admin")]
    assert [(org["name"], org["roleInOrg"]) for org in theirs["orgs"]] == [("lab", "read")]
    (scope,) = theirs["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert (scope["entity"]["name"], scope["entity"]["type"], scope["permissions"]) == ("lab", "org", [READ])
    assert members == ["alice", "bob"]
    assert "HTTPError" in wrong[0]


def test_no_link_to_a_large_file_works_without_its_signature_or_with_a_token(hub):
    code = """
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import get_session
api.create_repo(NAME, private=True, **KIND)
commit({"a.bin": b"\\0old"})
link = get_hf_file_metadata(hf_hub_url(NAME, "a.bin", **KIND)).location
get = get_session().get
bearer = {"Authorization": "Bearer " + os.environ["HF_TOKEN"]}
tell([get(link).status_code, get(link.partition("?")[0]).status_code, get(link, headers=bearer).status_code,
      get_session().put(link, data=b"x").status_code])
"""
    assert client(hub, code, token=hub.user("alice")) == [200, 403, 400, 403]


# --- faults -----------------------------------------------------------------------------------------------------------

COMMITS = """
if not api.repo_exists(NAME, **KIND):
    api.create_repo(NAME, private=True, **KIND)
def attempt(name):
    try:
        commit({name: name.encode()})
    except HfHubHTTPError as error:
        return [error.response.status_code, error.response.headers.get("Retry-After")]
    except Exception as error:
        return [type(error).__name__, None]
    return [200, None]
tell([attempt(name) for name in ("a.txt", "b.txt", "c.txt")])
"""


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_a_commit_can_be_refused_with(hub, status):
    fault = hub.faults.add("commit", answer(status, retry_after=7 if status == 429 else None), at=2)
    outcomes = client(hub, COMMITS, token=hub.user("alice"))
    assert outcomes == [[200, None], [status, "7" if status == 429 else None], [200, None]]
    assert hub.repos["alice/faces"].paths() == ["a.txt", "c.txt"]
    assert (fault.hits, hub.counts["commit"]) == (1, 3)
    assert hub.regular_bytes == {"a.txt": 5, "b.txt": 5, "c.txt": 5}  # what was refused came all the same


@pytest.mark.parametrize(("action", "there"), [(drop(), False), (drop_after(), True), (cut(100), False)])
def test_the_connection_can_be_lost_before_and_after_a_commit_is_made(hub, action, there):
    fault = hub.faults.add("commit", action, at=2)
    first, lost, third = client(hub, COMMITS, token=hub.user("alice"))
    assert first == third == [200, None]
    assert "Error" in lost[0]
    assert ("b.txt" in hub.repos["alice/faces"].paths()) == there
    assert (fault.hits, [call.status for call in hub.calls if call.route == "commit"]) == (1, [200, 0, 200])


def test_a_repository_can_become_public_before_and_after_a_commit(hub):
    repo = hub.create("alice/faces")
    seen = []
    hub.faults.add("commit", run(lambda: seen.append(len(repo.paths())) or setattr(repo, "private", False)), at=2)
    hub.faults.add("commit", run_after(lambda: seen.append(len(repo.paths())) or setattr(repo, "private", True)), at=3)
    assert client(hub, COMMITS, token=hub.user("alice")) == [[200, None]] * 3
    assert (seen, repo.private) == ([1, 3], True)


UPLOAD = """
api.create_repo(NAME, private=True, exist_ok=True, **KIND)
tell(outcome(commit, {name: (name * 50_000).encode() for name in sys.argv[1:]}))
"""


@pytest.mark.parametrize(("action", "more"), [(cut(30_000), 30_000), (answer(500), 250_000), (drop(), 250_000)])
def test_an_upload_that_fails_is_sent_again_and_every_byte_is_counted(hub, action, more):
    fault = hub.faults.add("lfs-put", action, at=2)
    assert client(hub, UPLOAD, "1.bin", "2.bin", token=hub.user("alice")) == ["", 200]
    repo = hub.repos["alice/faces"]
    assert [repo.read(f"{n}.bin") for n in (1, 2)] == [b"1.bin" * 50_000, b"2.bin" * 50_000]
    assert sorted(hub.large_bytes.values()) == [250_000, 250_000 + more]
    assert hub.received == 500_000 + more
    assert (fault.hits, hub.counts["lfs-put"], hub.counts["commit"]) == (1, 3, 1)


def test_a_download_that_breaks_off_comes_whole_in_the_end(hub):
    token = hub.user("alice")
    client(hub, UPLOAD, "1.bin", "2.bin", token=token)
    hub.reset()
    fault = hub.faults.add("storage", cut(100_000))
    code = """
outcome(hf_hub_download, NAME, "1.bin", **KIND)[0]  # newer clients try again by themselves
tell(open(hf_hub_download(NAME, "1.bin", **KIND)).read() == "1.bin" * 50_000)
"""
    assert client(hub, code, token=token) is True
    assert (fault.hits, hub.counts["storage"]) == (1, 2)
    assert next(call.sent for call in hub.calls if call.route == "storage") == 100_000


def test_a_slow_link_takes_its_time(hub):
    hub.bytes_per_second = 500_000
    assert client(hub, UPLOAD, "1.bin", token=hub.user("alice")) == ["", 200]
    assert [call.seconds > 0.5 for call in hub.calls if call.route == "lfs-put"] == [True]
    assert hub.received == 250_000


def test_a_fault_can_wait_for_a_path_and_last(hub):
    token, second = hub.user("alice"), sha256(b"2.bin" * 50_000)
    fault = hub.faults.add("lfs-put", answer(403), path=second, times=2)
    errors = [client(hub, UPLOAD, "1.bin", "2.bin", token=token)[0] for _ in range(3)]
    assert errors == ["RuntimeError", "RuntimeError", ""]
    assert fault.hits == 2
    assert hub.large_bytes == {sha256(b"1.bin" * 50_000): 250_000, second: 750_000}
