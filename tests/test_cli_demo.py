"""``nersemble demo``, run as a user runs it: processes, signals, a real server, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

import nersemble
from nersemble.demo import FrameIdentity, read_identity
from nersemble.layout import SERIALS

#: The smallest capture, a second to make.
SMALL = ("--participants", "240", "--frames", "2", "--width", "128")
COMMAND = [sys.executable, "-m", "nersemble", "demo"]


@pytest.fixture
def place(tmp_path):
    """Where the command runs: a folder that holds nothing."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path):
    """A user's environment with an empty home, and a URL of the user's own that the demo must not read."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return {
        **os.environ,
        "PYTHONPATH": str(Path(nersemble.__file__).parents[1]),
        "XDG_CACHE_HOME": str(tmp_path / "caches"),
        "HF_HOME": str(tmp_path / "home" / "huggingface"),
        "TMPDIR": str(scratch),
        "NERSEMBLE_DATA_URL": "https://data.invalid/of-the-user",
    }


@pytest.fixture
def run(place, environ):
    """Runs the command, and checks that no run shows a traceback or a URL of data."""

    def run(*arguments: str, code: int = 0, **more: str) -> tuple[str, str]:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=place,
            env={**environ, **more},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "127.0.0.1" not in done.stdout + done.stderr
        assert "of-the-user" not in done.stdout + done.stderr
        return done.stdout, done.stderr

    return run


@pytest.fixture
def start(place, environ):
    """Starts the command, and ends it at the end of the test."""
    processes = []

    def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=place,
            env={**environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ctrl-C; the rest of what it prints."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.endswith("Stopped.\n")
    return out, err


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_demo_shows_both_loads_and_leaves_nothing_but_a_contact_sheet(run, place, tmp_path, demo_folder):
    out, err = run(XDG_CACHE_HOME=str(demo_folder.parents[2]))
    assert err == ""
    assert '"participant_240", split="train", streaming=True)\n  first frame ' in out
    assert re.search(r'"participant_240", split="train"\)\n  download .* 50 requests .* 1,917 rows\n', out)
    assert re.search(r"again, from cache .* 0 requests .* 1,917 rows\n", out)
    assert "50 frames were read, each the one its row names" in out
    assert "nersemble login" in out
    assert max(map(len, out.splitlines())) <= 80
    assert [path.name for path in place.iterdir()] == ["nersemble_demo.png"]
    assert files_below(tmp_path / "home") == files_below(tmp_path / "scratch") == []


def test_the_contact_sheet_shows_all_cameras_at_one_moment_in_rig_order(run, place, demo_folder):
    run("--output", "sheet.png", XDG_CACHE_HOME=str(demo_folder.parents[2]))
    assert [path.name for path in place.iterdir()] == ["sheet.png"]
    with Image.open(place / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        gap, line = 12, 29
        assert sheet.width == gap + 8 * (207 + gap)
        for index, serial in enumerate(SERIALS):
            x = gap + index % 8 * (207 + gap)
            y = gap + 2 * line + index // 8 * (302 + line + gap)
            tile = sheet.crop((x, y, x + 207, y + 302))
            assert read_identity(tile) == FrameIdentity(240, "EMO-1-shout+laugh", serial, 21)


def test_the_first_run_makes_the_capture_and_says_so_and_the_second_finds_it(run, tmp_path):
    _, err = run(*SMALL)
    assert re.fullmatch(r"Making the synthetic capture \(.*\): 64 files\nMade it in \d+ s\.\n", err)
    before = {path: path.stat().st_mtime_ns for path in files_below(tmp_path / "caches")}
    out, err = run(*SMALL)
    assert err == ""
    assert "1 participant, 48 videos of 2 frames, 128 x 186" in out
    assert {path: path.stat().st_mtime_ns for path in files_below(tmp_path / "caches")} == before


def test_other_participants_are_shown_and_a_missing_video_is_a_note(run, place):
    out, err = run("--participants", "55-56", *SMALL[2:])
    assert 'load_dataset("nersemble", "participant_56"' in out
    assert "Note" not in err
    out, err = run("--participants", "55", *SMALL[2:])
    assert 'load_dataset("nersemble", "participant_55"' in out
    assert "Note: 1 listed file is not there: nersemble://055/sequences/EMO-1-shout+laugh" in err
    assert "Warning" not in err


def test_a_capture_in_a_folder_of_ones_own_is_never_overwritten(run, place, tmp_path):
    run(*SMALL, "--folder", "mine/capture")
    made = files_below(place / "mine")
    assert place / "mine" / "capture" / "metadata_sequences.csv" in made
    assert not (tmp_path / "caches").exists()
    out, err = run(*SMALL, "--folder", "mine/capture", code=1)
    assert re.fullmatch(r"Error: .* is there already .*\n", err)
    assert out == ""
    assert files_below(place / "mine") == made


def test_a_cache_that_is_kept_serves_the_next_run(run, place):
    with socket.create_server(("127.0.0.1", 0)) as holder:  # the usual port may be somebody else's here
        port = str(holder.getsockname()[1])
    first, _ = run(*SMALL, "--cache-dir", "kept", "--port", port)
    second, _ = run(*SMALL, "--cache-dir", "kept", "--port", port)
    assert re.search(r"download .* 50 requests .* 95 rows", first)
    assert re.search(r"download .* 0 requests .* 95 rows", second)
    assert len(list((place / "kept").rglob("*.mp4"))) == 48


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--width", "127"], "even number"),
        (["--frames", "0"], "1 to 4096 frames"),
        (["--participants", "3000"], "1 to 2047"),
        (["--participants", "x"], "'x'"),
        (["--participants", "5-3"], "'5-3'"),
        (["--participants", "1-999999"], "too long"),
        (["--output", "missing/sheet.png"], "missing/sheet.png"),
        (["--output", "."], "--output"),
        (["--folder", "."], "there already"),
        (["--folder", "file/capture"], "cannot be written to file/capture"),
        (["--cache-dir", "file"], "file cannot be the cache"),
        (["--serve", "--cache-dir", "x"], "--serve"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, place, arguments, said):
    (place / "file").write_text("")
    out, err = run(*arguments, code=1)
    assert re.fullmatch(r"Error: [^\n]+\.\n", err)
    assert re.search(said, err)
    assert out == ""


def test_serve_prints_one_line_to_export_and_serves_until_interrupted(start):
    process = start(*SMALL, "--serve")
    line = process.stdout.readline()
    found = re.fullmatch(r"export NERSEMBLE_DATA_URL=(http://127\.0\.0\.1:\d+/[\w-]+)\n", line)
    assert found
    with urllib.request.urlopen(f"{found[1]}/metadata_sequences.csv", timeout=10) as answer:
        assert answer.read().startswith(b"ID,")
    out, err = interrupt(process)
    assert out == ""
    assert found[1] not in err
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{found[1]}/metadata_sequences.csv", timeout=10)


def test_the_exported_line_is_all_that_another_shell_needs(start, environ, tmp_path):
    line = start(*SMALL, "--serve").stdout.readline()
    code = (
        "import nersemble, datasets\n"
        "ds = datasets.load_dataset('nersemble', 'participant_240', split='train', streaming=True)\n"
        "print(next(iter(ds))['frame'].size)"
    )
    script = f"{line}exec {sys.executable} -c {subprocess.list2cmdline([code])}"
    done = subprocess.run(["bash", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "(128, 186)\n", done.stderr


def test_a_port_asked_for_is_taken_or_refused_and_the_usual_one_gives_way(start, run):
    with socket.create_server(("127.0.0.1", 0)) as holder, contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # somebody else's, which serves as well here
            stack.enter_context(socket.create_server(("127.0.0.1", 8240)))
        taken = holder.getsockname()[1]
        _, err = run(*SMALL, "--serve", "--port", str(taken), code=1)
        assert re.search(rf"^Error: Port {taken} cannot be used: .*--port.*\n\Z", err, re.MULTILINE)
        line = start(*SMALL, "--serve").stdout.readline()
        assert re.fullmatch(r"export NERSEMBLE_DATA_URL=http://127\.0\.0\.1:\d+/.*\n", line)
        assert ":8240/" not in line
    process = start(*SMALL, "--serve", "--port", str(taken))
    assert f":{taken}/" in process.stdout.readline()
    interrupt(process)


def test_an_interrupted_start_leaves_no_half_made_capture(start, tmp_path):
    process = start("--participants", "1-60")
    assert process.stderr.readline().startswith("Making the synthetic capture")
    time.sleep(1)
    out, _ = interrupt(process)
    assert out == ""
    assert files_below(tmp_path / "caches") == []
    run_by_it = subprocess.run(["ps", "-o", "args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    assert run_by_it.stdout == ""


def test_an_interrupted_load_leaves_nothing(start, place, tmp_path, demo_folder):
    process = start(XDG_CACHE_HOME=str(demo_folder.parents[2]))
    while "first frame" not in process.stdout.readline():
        assert process.poll() is None
    interrupt(process)
    assert list(place.iterdir()) == []
    assert files_below(tmp_path / "scratch") == []
