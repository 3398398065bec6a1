"""``nersemble push`` as a user runs it, and the examples of the documents that need a hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from _codeblocks import REPOSITORY, marked, run_shell
from _hub_cleaning import add_cleaning
from _pushing import Pushing, small_shards
from _terminals import in_terminal
from hub import Hub

from nersemble.layout import SERIALS

COMMAND = [sys.executable, "-m", "nersemble"]


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, tmp_path: Path) -> Pushing:
    """She works in a folder that has her shards in ``out``, and is in a lab of two."""
    add_cleaning(hub)
    folder, plan = small_shards(demo_folder)
    shutil.copytree(folder, tmp_path / "here" / "out")
    alice = Pushing(hub, tmp_path / "here" / "out", plan)
    hub.organization("my-lab", alice="admin", bob="read")
    return alice


@pytest.fixture
def run(alice, tmp_path):
    """Runs a command, and checks that no run shows a traceback or the token."""

    def run(*words: str, code: int = 0, given: str = "", token: str | None = None) -> tuple[str, str]:
        environ = {**alice.hub.environment(alice.token if token is None else token), "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            [*COMMAND, "push", *words],
            cwd=tmp_path / "here",
            env=environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
        shown = done.stdout + done.stderr
        assert done.returncode == code, shown
        assert "Traceback" not in shown
        assert alice.token not in shown
        return done.stdout, done.stderr

    return run


def test_shards_behind_a_url_are_pushed(alice, run):
    out, _ = run(f"file://{alice.folder}", "my-lab/heads", "--yes")
    assert "load_dataset" in out
    assert set(alice.shards) <= set(alice.hub.repos["my-lab/heads"].paths())
    _, shown = run(f"file://{alice.folder}/elsewhere", "my-lab/heads", "--yes", code=1)
    assert "no plan.json in file://" in shown


def test_pushing_shows_what_it_will_do_asks_and_prints_the_line_that_loads(alice, run):
    out, shown = run("out", "my-lab/heads", given="n\n", code=1)
    assert out == ""
    assert "my-lab/heads: to be made, private" in shown
    assert "all 2 members of the organisation my-lab" in shown
    assert "Nothing was pushed." in shown
    assert "my-lab/heads" not in alice.hub.repos
    out, shown = run("out", "my-lab/heads", given="y\n")
    repo = alice.hub.repos["my-lab/heads"]
    assert "Note: All 2 members of the organisation my-lab will be able to see the faces in my-lab/heads." in shown
    assert out.endswith(f'split="train", revision="{repo.head.id}")\n')
    assert repo.private


def test_quiet_says_nothing_but_who_can_see_the_faces(alice, run):
    assert run("out", "faces", "--yes", "--quiet") == ("", "")
    printed, noted = run("out", "my-lab/heads", "--yes", "--quiet")
    assert (printed, noted.count("\n")) == ("", 1)
    assert re.match(r"Note: .*2 members", noted), noted
    assert set(alice.shards) <= set(alice.hub.repos["my-lab/heads"].paths())
    assert "all 2 members" in run("out", "my-lab/heads", "--quiet", given="n\n", code=1)[1]


def test_scripts_read_json_and_the_token_comes_from_a_file(alice, run, tmp_path):
    (tmp_path / "token").write_text(f"\ufeff{alice.token}\n", encoding="utf-8")  # as some editors save it
    words = ("out/participant_240", "faces", "--token-file", str(tmp_path / "token"), "--json")
    told = json.loads(run(*words, "--dry-run", token="")[0])
    assert (told["repo_id"], told["exists"], told["to_send"]) == ("alice/faces", False, 3)
    told = json.loads(run(*words, "--yes", token="")[0])
    assert told["commit"] == alice.hub.repos["alice/faces"].head.id
    told = json.loads(run("faces", "--delete", "240", "--yes", "--json")[0])
    assert told["found"] == [240]
    assert alice.hub.repos["alice/faces"].paths() == ["README.md"]


def test_shards_of_another_plan_go_only_if_they_are_meant_to(alice, run):
    run("out", "faces", "--yes")
    path = alice.folder / alice.plan.config / "plan.json"
    path.write_text(replace(alice.plan, units=alice.plan.units[:2]).to_json())
    (alice.folder / alice.shards[2]).unlink()
    assert "1 shards with" in run("out", "faces", "--yes", code=1)[1]
    assert alice.shards[2] in alice.hub.repos["alice/faces"].paths()
    assert "1 deleted" in run("out", "faces", "--yes", "--replace")[0]
    assert alice.shards[2] not in alice.hub.repos["alice/faces"].paths()


def test_what_is_refused_is_a_line_and_an_exit_code(alice, run, tmp_path):
    alice.hub.create("alice/open", private=False)
    (tmp_path / "empty").write_text("")
    for words, code, problem in (
        (("out", "open", "--yes"), 1, "Error: alice/open is public: everybody would see the faces."),
        (("out", "open"), 1, "Error: alice/open is public"),
        (("nowhere", "faces"), 1, "Error: There is no plan.json in nowhere"),
        (("out",), 1, "Error: Name the folder and the data set"),
        (("out", "faces", "--delete", "240"), 1, "Error: --delete needs the data set alone"),
        (("faces", "--delete", "", "--yes"), 1, "names no participant"),
        (("out", "faces", "--token-file", str(tmp_path / "empty")), 1, "holds no token"),
    ):
        assert problem in run(*words, code=code)[1]
    assert "Error: There is no token for the hub." in run("out", "faces", code=1, token="")[1]


def test_a_dry_run_of_what_would_be_refused_says_so_and_fails(alice, run):
    alice.hub.create("alice/open", private=False)
    shown = run("out", "open", "--dry-run", code=1)[0]
    assert "This will be refused: alice/open is public" in shown
    assert "seen by     everybody" in shown
    assert "alice alone" not in shown
    told = json.loads(run("out", "open", "--dry-run", "--json", code=1)[0])
    assert "is public" in told["refusal"]
    assert told["readers"] == "everybody"


def prepare(alice, demo_folder, out, *words):
    """Prepare one picture, to be pushed."""
    selected = ("--participant", "240", "--sequence", "EXP-1-head", "--camera", SERIALS[8], "--timesteps", "0:1")
    return subprocess.run(
        [*COMMAND, "prepare", str(out), *selected, "--scale", "0.1", "--data-dir", str(demo_folder), *words],
        env={**alice.hub.environment(alice.token), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_preparing_what_could_not_be_pushed_makes_nothing(alice, demo_folder, tmp_path):
    alice.hub.create("alice/open", private=False)
    out = tmp_path / "made"
    done = prepare(alice, demo_folder, out, "--push", "alice/open", "--yes")
    assert done.returncode == 1
    assert "Nothing was made, since it could not be pushed: alice/open is public" in done.stderr
    assert not list(out.rglob("*.parquet"))
    for words in ((), ("--json",)):
        done = prepare(alice, demo_folder, out, "--push", "alice/open", "--dry-run", *words)
        assert (done.returncode, "is public" in done.stdout) == (1, True)


@pytest.mark.parametrize("quiet", [True, False])
def test_preparing_quietly_pushes_quietly(alice, demo_folder, tmp_path, quiet):
    words = ("--participant", "240", "--sequence", "EXP-1-head", "--camera", SERIALS[8], "--timesteps", "0:1")
    words = (*words, "--scale", "0.1", "--data-dir", str(demo_folder), "--push", "alice/faces", "--yes")
    environ = {**alice.hub.environment(alice.token), "PYTHONPATH": str(REPOSITORY)}
    shown, code = in_terminal(["prepare", "made", *words, *(["--quiet"] if quiet else [])], tmp_path, environ)
    assert code == 0, shown
    assert alice.repo.private
    assert ("Sending" in shown) != quiet
    assert shown == "" or not quiet


def test_preparing_for_an_organisation_of_many_needs_their_number(alice, demo_folder, tmp_path):
    alice.hub.organization("city", alice="write", **{f"m{number}": "read" for number in range(100)})
    out = tmp_path / "made"
    done = prepare(alice, demo_folder, out, "--push", "city/faces", "--yes")
    assert (done.returncode, list(out.rglob("*.parquet"))) == (1, [])
    assert "--members 101" in done.stderr
    done = prepare(alice, demo_folder, out, "--push", "city/faces", "--members", "101", "--yes")
    assert done.returncode == 0, done.stderr
    assert alice.hub.repos["city/faces"].private


# --- the documents ----------------------------------------------------------------------------------------------------


@pytest.fixture
def documented(alice, tmp_path):
    """The environment of an example, in the folder that has ``out``."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    url = {"NERSEMBLE_DATA_URL": "https://data.example.org/s3cr3t"}
    return {**alice.hub.environment(alice.token), **url, "PATH": path, "PYTHONPATH": str(REPOSITORY)}


def run_python(text: str, folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_page_about_pushing_run(alice, documented, tmp_path, demo_folder):
    here = tmp_path / "here"
    run_shell(marked("test:hub-dry-run"), here, documented, demo_folder)
    shown = run_python(marked("test:hub-push").text, here, documented)
    commit, line = shown.splitlines()[-2:]
    assert commit == f"Commit {alice.hub.repos['my-lab/heads'].head.id}"
    assert line.startswith('load_dataset("my-lab/heads", "participant_240", split="train", revision="')
    run_shell(marked("test:hub-delete"), here, documented, demo_folder)
    assert alice.hub.repos["my-lab/heads"].paths() == ["README.md"]


def test_the_readme_pushes_and_loads(alice, documented, tmp_path):
    before = 'import nersemble\nfrom datasets import load_dataset\nplan = nersemble.prepare.load_plan("out/")\n'
    text = before + marked("test:readme-push").text + "print(len(ds), ds.column_names)\n"
    assert run_python(text, tmp_path / "here", documented).startswith(f"{alice.plan.rows} ['participant', ")


@pytest.mark.parametrize("host", ["huggingface.co", "hf.co"])
def test_a_link_of_the_hub_is_not_taken_for_the_access_url(run, host):
    shown = run("out", f"https://{host}/datasets/my-lab/heads", code=2)[1]
    assert shown == (
        "Error: A data set of the hub is named OWNER/NAME, such as my-lab/heads, not by its link. Leave out "
        "https://huggingface.co/datasets/.\n"
    )
    secret = run("out", f"https://{host}/datasets/my-lab/heads", "-m", "https://data.example/x", code=2)[1]
    assert "An access URL does not belong on the command line" in secret


def test_a_token_file_that_cannot_be_read_says_why(run, tmp_path):
    (tmp_path / "binary").write_bytes(b"hf_\xff\xfe")
    for name, why in (("nowhere", "no such file or directory"), (".", "is a directory"), ("binary", "it is no text")):
        shown = run("out", "faces", "--token-file", str(tmp_path / name), code=1)[1]
        assert shown.startswith(f"Error: The token cannot be read from {tmp_path / name}: {why}. Name a file")
