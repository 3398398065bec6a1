"""``nersemble prepare``: what there is to do, a question, the shards, and what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from _prepared import digests, shards, small_plan

WORDS = "--participant 240 --sequence EXP-1-head --camera 222200037,222200042 --scale 0.5".split()


def run(folder, *words, stdin="", **environ):
    return subprocess.run(
        [sys.executable, "-m", "nersemble", "prepare", str(folder), *WORDS, *words],
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, **environ},
    )


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(access, tmp_path):
    done = run(tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "40 rows" in done.stdout
    assert "from a sample of" in done.stdout
    assert not (tmp_path / "out").exists()
    told = json.loads(run(tmp_path / "out", "--dry-run", "--json").stdout)
    assert told["rows"] == 40
    assert told["pictures"] == 80
    assert told["estimate"]["bytes"] > 0
    assert told["push"] is None


def test_the_estimate_is_near_what_comes(demo_folder, tmp_path):
    words = ("--data-dir", str(demo_folder), "--workers", "1", "--json")
    reckoned = json.loads(run(tmp_path / "out", *words, "--dry-run").stdout)["estimate"]
    came = json.loads(run(tmp_path / "out", *words, "--yes").stdout)["run"]
    assert reckoned["bytes"] == pytest.approx(came["bytes"], rel=0.2)


def test_it_makes_checks_and_says_what_came_of_it(demo_folder, tmp_path):
    words = ("--data-dir", str(demo_folder), "--yes")
    done = run(tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    assert "1 shards, 40 rows" in done.stdout
    assert "Sound" in done.stdout
    again = json.loads(run(tmp_path / "out", *words, "--json").stdout)
    assert (again["run"]["written"], again["run"]["kept"]) == (0, 1)
    assert again["verify"]["sound"]
    quiet = run(tmp_path / "out", *words, "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_a_file_that_is_not_there_is_a_note_and_none_if_it_is_to_be_quiet(demo_folder, tmp_path):
    missing = "--participant 55 --sequence EMO-1-shout+laugh --camera all --timesteps 0 --scale 0.1".split()
    words = (*missing, "--data-dir", str(demo_folder), "--yes")
    said = run(tmp_path / "out", *words)
    assert (said.returncode, said.stderr.count("Note: 1 listed file is not there")) == (0, 1)
    quiet = run(tmp_path / "out", *words, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_it_asks_first(demo_folder, tmp_path):
    words = ("--data-dir", str(demo_folder))
    for answer, code in (("", 1), ("n\n", 1), ("y\n", 0)):
        done = run(tmp_path / "out", *words, stdin=answer)
        assert done.returncode == code
        assert "Proceed?" in done.stderr
        assert bool(shards(tmp_path)) == (code == 0)


def test_a_stage_that_changes_the_directory_does_not_move_the_shards(demo_folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "wander.py").write_text(
        "import os, nersemble\n@nersemble.prepare.stage(one='int32')\n"
        f"def wander(*_):\n    os.chdir({str(tmp_path / 'elsewhere')!r})\n    return {{'one': 1}}\n"
    )
    words = "--timesteps 0:3 --stage wander:wander --workers 1 --data-dir".split()
    done = subprocess.run(
        [sys.executable, "-m", "nersemble", "prepare", "out", *WORDS, *words, str(demo_folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        input="y\n",
    )
    assert done.returncode == 0, done.stderr
    assert len(shards(tmp_path / "out")) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_every_option_reaches_the_plan(demo_folder, tmp_path):
    (tmp_path / "own_stages.py").write_text(
        "import nersemble\n@nersemble.prepare.stage(mean='float64')\n"
        "def mean(image, background, camera, row):\n    print('a stage may print')\n    return {'mean': image.mean()}\n"
    )
    words = (
        "--timesteps 0::3 --size 100x150 --color-correction --color-order correct_first --format png --rows frame "
        "--config-name mine --stage own_stages:mean --workers 1 --yes --json"
    )
    done = subprocess.run(
        [sys.executable, "-m", "nersemble", "prepare", "out", *WORDS[:-2], *words.split(), "--data-dir", demo_folder],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH")]))},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verify"]["sound"]
    held = json.loads((tmp_path / "out/mine/plan.json").read_text())
    options = held["options"]
    assert (options["rows"], options["image_format"], options["size"]) == ("frame", "png", [100, 150])
    assert options["color_order"] == "correct_first"
    assert [one["name"] for one in held["stages"]] == ["mean"]


def test_a_plan_of_a_file_is_run(demo_folder, tmp_path):
    """The same bytes as the selection's own run, whatever wrote the file and whatever the folder."""
    plan = small_plan(demo_folder, timesteps="0::4", scale=0.5)
    (tmp_path / "mine.json").write_text(plan.to_json())
    plan.run(tmp_path / "first", workers=1)
    for source in ("mine.json", "first", f"first/{plan.config}/plan.json"):
        words = ["prepare", f"from {source}".replace("/", "-"), "--plan", source, "--data-dir", str(demo_folder), "-y"]
        done = subprocess.run([sys.executable, "-m", "nersemble", *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert digests(tmp_path / words[1]) == digests(tmp_path / "first")


def test_a_plan_of_a_file_is_all_that_is_said(demo_folder, tmp_path):
    (tmp_path / "mine.json").write_text(small_plan(demo_folder).to_json())
    words = ("--plan", str(tmp_path / "mine.json"), "--data-dir", str(demo_folder), "--yes")
    for more in (("--quality", "95"), ()):  # as it is by default; and what `run` selects
        done = run(tmp_path / "out", *words, *more)
        assert done.returncode == 1
        assert "leave out --participant, --sequence, --camera, --scale" in done.stderr
        assert ("--quality" in done.stderr) == bool(more)
    assert not (tmp_path / "out").exists()
    done = subprocess.run(
        [sys.executable, "-m", "nersemble", "prepare", "out", "--plan", "nowhere"], capture_output=True, text=True
    )
    assert (done.returncode, "nowhere" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "100"], "550x802"),
        (["--rows", "moments"], "timestep"),
        (["--stage", "nowhere:mask"], "nowhere"),
        (["--stage", "json:nothing"], "module:function"),
        (["--engine", "cloud", "--yes"], "local"),
        (["--engine-option", "partition"], "name=value"),
        (["--engine-option", "partition=gpu", "--yes"], "partition"),
        (["--participant", ""], "empty"),
    ],
)
def test_mistakes_are_said_in_a_line(demo_folder, tmp_path, words, said):
    done = run(tmp_path / "out", "--data-dir", str(demo_folder), *words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_made_is_code_2_and_the_same_command_goes_on(demo_folder, tmp_path):
    import shutil

    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    video = folder / "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2] + bytes(600) + whole[len(whole) // 2 + 600 :])
    words = ("--data-dir", str(folder), "--yes")
    done = run(tmp_path / "out", *words)
    assert done.returncode == 2
    assert "cam_222200037.mp4" in done.stdout + done.stderr
    video.write_bytes(whole)
    assert run(tmp_path / "out", *words).returncode == 0


def test_an_interrupt_keeps_whole_shards_and_leaves_no_process(demo_folder, tmp_path):
    words = [*WORDS, "--data-dir", str(demo_folder), "--yes", "--workers", "2"]
    words[3] = "EXP-1*,EMO-*,SEN-*"
    command = [sys.executable, "-m", "nersemble", "prepare", str(tmp_path / "out"), *words, "--camera", "all"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.part")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert "goes on from there" in said
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*.part"))


def test_the_command_line_and_python_make_the_same(demo_folder, tmp_path):
    assert run(tmp_path / "a", "--data-dir", str(demo_folder), "--yes").returncode == 0
    assert small_plan(demo_folder, chunk=96).run(tmp_path / "b", workers=1).complete
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
