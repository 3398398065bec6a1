"""``nersemble verify`` and ``status`` of folders that ``nersemble prepare`` wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from _prepared import shards, small_plan

import nersemble


def run(*words):
    return subprocess.run([sys.executable, "-m", "nersemble", *map(str, words)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def prepared(demo_folder, tmp_path_factory):
    """Shards of two configs."""
    folder = tmp_path_factory.mktemp("prepared")
    small_plan(demo_folder, config_name="one").run(folder, workers=1, progress=False).raise_if_incomplete()
    small_plan(demo_folder, config_name="two", timesteps="0:12").run(folder, workers=1, progress=False)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "out")


def flip(path, place=0.5):
    held = bytearray(path.read_bytes())
    held[int(len(held) * place)] ^= 1
    path.write_bytes(held)


def test_whole_shards_are_sound(folder):
    done = run("verify", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Sound") == 2
    told = json.loads(run("verify", folder, "--deep", "--json").stdout)
    assert [one["sound"] for one in told] == [True, True]
    assert sum(one["pictures"] for one in told) == sum(
        nersemble.prepare.load_plan(folder / name).pictures for name in ("one", "two")
    )
    quiet = run("verify", folder / "one", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_shards_beside_the_files_of_the_data_set_are_a_note_and_none_if_it_is_to_be_quiet(folder, demo_folder):
    shutil.copytree(demo_folder / "240" / "calibration", folder / "240" / "calibration")
    done = run("verify", folder)
    assert (done.returncode, "Note: prepared shards are a folder of their own" in done.stderr) == (0, True)
    quiet = run("verify", folder, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_damaged_and_lacking_shards_are_named_with_code_2(folder):
    first, second = shards(folder / "one")[:2]
    flip(first)
    second.unlink()
    done = run("verify", folder, "--quiet")
    assert done.returncode == 2
    assert first.name in done.stdout
    assert f"{second.relative_to(folder).as_posix()}: it is not there" in done.stdout
    assert "Sound" not in done.stdout


def test_status_says_what_is_made(folder):
    whole, gone = json.loads(run("status", folder, "--json").stdout), shards(folder / "one")[0]
    assert [one["to_do"] for one in whole] == [[], []]
    gone.unlink()
    done = run("status", folder / "one")
    assert done.returncode == 0, done.stderr
    assert "prepared shards" in done.stdout
    assert gone.relative_to(folder / "one").as_posix() in done.stdout
    assert "1 shard:" in done.stdout


def test_options_that_select_are_refused(folder):
    for command in ("verify", "status"):
        done = run(command, folder, "--participant", "240")
        assert done.returncode == 1
        assert "--participant" in done.stderr
        assert "Traceback" not in done.stderr


def test_beside_published_files_they_are_named_and_left_to_themselves(demo_folder, folder, tmp_path):
    both = shutil.copytree(demo_folder, tmp_path / "both")
    shutil.copytree(folder / "one", both / "one")
    done = run("verify", both)
    assert done.returncode == 0, done.stderr
    assert "files checked" in done.stdout
    assert str(both / "one") in done.stderr
    assert run("verify", both / "one").stdout.startswith("Sound")


def test_shards_behind_a_url_are_looked_at_as_those_of_a_folder(folder):
    url = f"file://{folder}"
    done = run("verify", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Sound") == 2
    gone = shards(folder / "one")[0]
    gone.unlink()
    assert run("verify", f"{url}/one", "--deep").returncode == 2
    for place in (f"{url}/one", f"{url}/one/", f"{url}/one/plan.json"):
        done = run("status", place)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{url}/one: prepared shards\n")
        assert gone.relative_to(folder / "one").as_posix() in done.stdout


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///nowhere/at/all", "no plan.json in file:///nowhere/at/all"),
        ("nowhere://bucket", "Nothing can be"),
        ("ftp://user:s3cretword@127.0.0.1:1/shards", "127.0.0.1"),
    ],
)
def test_a_url_without_shards_is_said_in_a_line(url, said):
    for command in ("verify", "status"):
        done = run(command, url)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "s3cretword" not in done.stderr
