"""Users without a home, or with one that cannot be written, as on clusters and in containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _faults import UNPRIVILEGED

import nersemble
from nersemble.layout import SERIALS, AssetPath

COMMAND = [sys.executable, "-m", "nersemble"]
SELECT = ("--participant", "240", "--sequence", "EXP-1-head", "--camera", SERIALS[8])
VIDEO = str(AssetPath("video", 240, "EXP-1-head", SERIALS[8]))
NAME = f"participant_240__sequence_EXP-1-head__camera_{SERIALS[8]}"
HOMES = ["unset", "does not exist", "below a file", "cannot be written"]


@pytest.fixture(params=HOMES)
def environ(request, tmp_path, demo_server):
    """The environment of such a user, and nothing else that names a place to write to but for temporary files."""
    homes = {"does not exist": "/proc/no/home", "below a file": "file/home", "cannot be written": "closed"}
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o555)
    left_out = ("NERSEMBLE_", "XDG_", "HF_")
    environ = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith(left_out)}
    if request.param in homes:
        environ["HOME"] = str(tmp_path / homes[request.param])
    return {
        **environ,
        "PYTHONPATH": str(Path(nersemble.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "NERSEMBLE_DATA_URL": demo_server.url,
    }


@pytest.fixture
def run(tmp_path, environ, demo_server):
    """Runs Python as a user without a passwd entry; gives exit code, stdout and stderr."""
    place = tmp_path / "place"
    place.mkdir()

    def run(*command, given="", **more):
        done = subprocess.run(
            [*UNPRIVILEGED, *command],
            env={**environ, **more},
            cwd=place,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
        for secret in (demo_server.prefix, "127.0.0.1"):
            assert secret not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    code, user, _ = run(sys.executable, "-c", "import os; print(os.getuid())")
    assert (code, user) == (0, "54321\n"), "this machine lets nobody have a user namespace"
    return run


def test_the_commands_work_with_the_url_in_the_environment(run, tmp_path, demo_folder):
    """The catalogue cannot be kept, which is nobody's concern; nothing is written where it was not asked for."""
    assert run(*COMMAND, "list") == (0, "50\n55\n240\n", "")
    code, out, err = run(*COMMAND, "download", "d", *SELECT, "--yes", "--quiet")
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "place" / "d" / VIDEO).read_bytes() == (demo_folder / VIDEO).read_bytes()
    code, out, err = run(*COMMAND, "status", "d")
    assert (code, err) == (0, "")
    assert "to do          0 files" in out
    code, out, err = run(*COMMAND, "verify", "d")
    assert (code, "Nothing wrong was found" in out) == (0, True), err
    assert os.listdir(tmp_path / "place") == ["d"]


@pytest.mark.parametrize("command", [["list"], ["download", "d", "--yes"]])
def test_without_a_url_the_commands_say_where_to_put_it(run, tmp_path, command):
    code, out, err = run(*COMMAND, *command, NERSEMBLE_DATA_URL="")
    assert (code, out) == (1, "")
    assert err.startswith("Error: No access URL for NeRSemble was found.")
    assert "set NERSEMBLE_DATA_URL" in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path / "place") == []


def test_login_says_why_the_url_cannot_be_kept(run, demo_server):
    code, out, err = run(*COMMAND, "login", given=f"{demo_server.url}\n")
    assert (code, out) == (1, "")
    assert "Error: " in err
    assert "Cannot write" in err or "no home folder" in err
    assert "Traceback" not in err


STREAM = f"""
import datasets, nersemble, sys
try:
    rows = datasets.load_dataset("nersemble", {NAME!r}, split="train", streaming=True, cache_dir=sys.argv[1] or None)
    print(next(iter(rows))["frame"].size)
except nersemble.StorageError as error:
    print(error)
"""


def test_a_stream_needs_no_home(run):
    """But for the cache folder that `datasets` makes."""
    assert run(sys.executable, "-Wdefault", "-c", STREAM, "cache")[:2] == (0, "(276, 402)\n")
    code, out, _ = run(sys.executable, "-Wdefault", "-c", STREAM, "")
    assert code == 0
    # Without a home `datasets` makes a folder `~` where it runs.
    assert out == "(276, 402)\n" or (out.startswith("The cache of datasets cannot be written: ") and "HF_HOME" in out)
