"""The sample of a dry run: made by a worker, out of the user's sight and of everybody else's, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _faults import eventually
from _prepared import small_plan

from nersemble.prepare.sample import estimate
from nersemble.prepare.scratch import sweep_scratch

WORDS = "--participant 240 --sequence EXP-1-head --camera 222200037,222200042 --scale 0.5 --dry-run".split()
#: A stage that tells where it is, and stays there; and one that writes and reads where commands answer and ask.
STAGES = """
import os, pathlib, sys, time
import nersemble

@nersemble.prepare.stage(seen="int32")
def staying(image, background, camera, row):
    note = pathlib.Path(os.environ["NERSEMBLE_TEST_NOTE"])
    note.with_suffix(".new").write_text(str(os.getpid()))
    note.with_suffix(".new").rename(note)
    time.sleep(600)

@nersemble.prepare.stage(seen="int32")
def talkative(image, background, camera, row):
    print("said")
    os.write(1, b"written")
    return {"seen": len(sys.stdin.read()) + len(os.read(0, 100))}
"""


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty folder for temporary files, and a module of stages in the working directory."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "mine.py").write_text(STAGES)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NERSEMBLE_TEST_NOTE", str(tmp_path / "note"))
    return tmp_path / "temporary"


def start(demo_folder, *words, **streams):
    words = [*WORDS, "--data-dir", str(demo_folder), *words]
    return subprocess.Popen([sys.executable, "-m", "nersemble", "prepare", "out", *words], text=True, **streams)


def samples(scratch: Path) -> list[Path]:
    return list(scratch.glob("nersemble-*"))


def test_a_sample_is_gone_once_it_is_measured(demo_folder, scratch):
    for timesteps in (None, "0", "::7"):
        assert estimate(small_plan(demo_folder, timesteps=timesteps)).pictures > 0
    assert list(scratch.iterdir()) == []


def test_a_sample_is_nobody_elses_to_see_and_is_gone_when_it_is_ended(demo_folder, scratch, tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        running = start(demo_folder, "--stage", "mine:staying", stderr=subprocess.PIPE)
        eventually((tmp_path / "note").exists)
        (place,) = samples(scratch)
        assert place.stat().st_mode & 0o777 == 0o700
        running.send_signal(number)
        assert "Stopped" in running.communicate(timeout=60)[1]
        assert running.returncode == 130
        assert list(scratch.iterdir()) == []
        (tmp_path / "note").unlink()


def test_what_a_killed_one_leaves_is_removed_by_the_next_and_nothing_else_is(demo_folder, scratch, tmp_path):
    running = start(demo_folder, "--stage", "mine:staying")
    eventually((tmp_path / "note").exists)
    (left,) = samples(scratch)
    others = [
        scratch / f"nersemble-sample.by_elsewhere_1_1-{'0' * 12}",
        scratch / "nersemble-sample-1",
        scratch / "one",
    ]
    for place in others:
        place.mkdir()
    aside = scratch / left.name.replace("sample", "work")
    aside.symlink_to(others[-1])  # which is not followed
    sweep_scratch()
    assert left.exists()  # whoever made it lives
    running.kill()
    running.wait()
    os.kill(
        int((tmp_path / "note").read_text()), signal.SIGKILL
    )  # its worker, which would go on to the end of the unit
    assert estimate(small_plan(demo_folder, timesteps="0")).pictures
    assert set(scratch.iterdir()) == {*others, aside}


def test_a_run_removes_them_too(demo_folder, scratch, tmp_path):
    """And shards that were on their way to a URL, wherever it writes to itself."""
    code = (
        "import os, signal, sys; from nersemble.prepare.scratch import scratch_folder; "
        "from nersemble.prepare.target import Target; held = scratch_folder('work'); held.__enter__(); "
        "part = Target('file://' + sys.argv[1]).writing('a.parquet'); part.__enter__(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -signal.SIGKILL
    assert len(list(scratch.iterdir())) == 2
    assert small_plan(demo_folder, timesteps="0").run(tmp_path / "out", workers=1).complete
    assert list(scratch.iterdir()) == []


def test_a_stage_of_a_sample_reaches_no_output_and_no_answer(demo_folder, scratch):
    running = start(
        *(demo_folder, "--stage", "mine:talkative", "--json"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = running.communicate("some words\n", timeout=120)
    assert running.returncode == 0, err
    assert out.lstrip().startswith("{")
    assert "written" not in out
    assert "written" in err
