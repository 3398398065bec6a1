"""Engines keep what they promise: the engine ``local``, and what needs no other one's library."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _engines import (
    EngineConformance,
    check_a_server_that_dies,
    hashes,
    hasty,
    in_arguments,
    in_files,
    plan_of,
    secret_of,
    wait_for,
)

import nersemble.prepare
from nersemble.demo import DemoServer
from nersemble.demo.handler import DemoHandler
from nersemble.engines.worker import make_for
from nersemble.errors import PrepareError, SelectionError
from nersemble.transport import policy

LOCAL = {"engine": "local", "workers": 2}


@pytest.fixture
def stillborn(monkeypatch, tmp_path):
    """Kills the next workers, so many of them, before they have begun."""

    def kill(count: int) -> Path:
        folder = tmp_path / "site"
        folder.mkdir()
        for number in range(count):
            (folder / f"kill{number}").touch()
        (folder / "sitecustomize.py").write_text(
            "import contextlib, os, signal\n"
            "for name in sorted(os.listdir(os.path.dirname(__file__))):\n"
            "    if name.startswith('kill'):\n"
            "        with contextlib.suppress(FileNotFoundError):\n"
            "            os.unlink(os.path.join(os.path.dirname(__file__), name))\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        monkeypatch.setenv("PYTHONPATH", path)
        return folder

    return kill


class TestLocal(EngineConformance):
    OPTIONS = LOCAL

    def test_ctrl_c_ends_everything_at_once_and_what_was_made_is_kept(self, plan, reference, driver, tmp_path):
        running = driver()
        wait_for(tmp_path / "notes" / "pictures")
        began = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        code, _, err = running.wait()
        assert code == -signal.SIGINT
        assert time.monotonic() - began < 10  # far less on a machine that has nothing else to do
        assert err.count("Traceback") == 1
        assert err.rstrip().endswith("KeyboardInterrupt")
        running.wait_until_nothing_is_left()
        report = plan.run(tmp_path / "out", progress=False, **LOCAL)
        assert report.complete
        assert hashes(tmp_path / "out") == reference

    def test_a_killed_driver_leaves_no_worker_and_no_noise(self, driver, tmp_path):
        running = driver()
        wait_for(tmp_path / "notes" / "pictures")
        running.process.kill()
        code, _, err = running.wait()
        assert (code, err) == (-signal.SIGKILL, "")
        running.wait_until_nothing_is_left()

    def test_workers_that_die_before_they_have_begun_are_replaced(self, plan, stillborn, tmp_path):
        folder = stillborn(2)
        report = plan.run(tmp_path / "out", progress=False, **LOCAL)
        assert report.complete
        assert not list(folder.glob("kill*"))

    def test_workers_that_all_die_before_they_have_begun_are_an_error(self, plan, stillborn, tmp_path):
        stillborn(50)
        with pytest.raises(PrepareError, match="3 workers ended before they had begun, the last with SIGKILL"):
            plan.run(tmp_path / "out", progress=False, **LOCAL)

    def test_workers_import_from_where_the_caller_does_and_not_from_the_working_directory(
        self,
        tmp_path,
        monkeypatch,
        plan,
    ):
        for name in ("json", "random", "nersemble"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
        monkeypatch.chdir(tmp_path)
        assert plan.run(tmp_path / "out", progress=False, **LOCAL).complete  # whose stage is of a module of the tests

    def test_a_driver_of_another_version_is_told_so_by_the_machine_that_refuses(self, plan, tmp_path):
        result = make_for("9.9", ("run", plan.job(tmp_path).to_json()), plan.units[0].as_dict())
        assert result.stops
        assert f"On {os.uname().nodename}, where a worker ran: nersemble is " in result.reason
        assert "9.9 where the run was started" in result.reason

    @pytest.mark.parametrize("engine", ["ray", "datatrove"])
    def test_a_library_that_is_not_there_is_named_with_how_to_install_it(self, plan, engine, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, engine, None)
        with pytest.raises(PrepareError, match=rf"pip install {engine}\."):
            plan.run(tmp_path, engine=engine, progress=False)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"engine": "spark"}, "local, ray, datatrove"),
            ({"engine": "local", "partition": "gpu"}, "partition"),
            ({"engine": "local", "workers": 0}, "1 or more"),
            ({"engine": "ray", "max_retries": -1}, "0 or more"),
        ],
    )
    def test_options_that_are_none_are_refused_before_anything_is_made(self, plan, options, told, tmp_path):
        with pytest.raises(SelectionError, match=told):
            plan.run(tmp_path / "out", progress=False, **options)
        assert not (tmp_path / "out").exists()


@nersemble.prepare.stage(seen="int32")
def deadly(image, background, camera, row):
    if row["timestep"] == 5 and row["participant"] == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seen": 1}


def test_a_unit_of_which_every_worker_dies_fails_and_the_others_are_made(demo_folder, tmp_path):
    plan = plan_of(demo_folder, tmp_path / "notes", stages=[deadly])
    report = plan.run(tmp_path / "out", progress=False, **LOCAL)
    expected = {unit.name for unit in plan.units if unit.participant == 50 and unit.start <= 5 < unit.stop}
    assert set(report.failed) == expected
    assert "3 workers died of it, the last with SIGKILL, as of a machine short of memory" in str(report)
    assert report.written == len(plan.units) - len(expected)


@nersemble.prepare.stage(seen="int32")
def talkative(image, background, camera, row):
    print("ready")  # noqa: T201
    os.write(1, b"ready\n")
    return {"seen": len(sys.stdin.read())}


def test_a_stage_may_print_and_read(demo_folder, tmp_path, capfd):
    plan = plan_of(demo_folder, tmp_path / "notes", participants=50, stages=[talkative])
    report = plan.run(tmp_path / "out", progress=False, **LOCAL)
    assert report.complete
    out, err = capfd.readouterr()
    assert not out
    assert set(err.replace("ready", " ready ").split()) == {"ready"}  # of two workers, whose lines may run together


@nersemble.prepare.stage(seen="int32")
def closing(image, background, camera, row):
    if row["participant"] == 50 and row["timestep"] == 5:
        os.closerange(3, 256)  # as what makes itself a daemon does
        time.sleep(60)
    return {"seen": 1}


def test_a_stage_that_closes_a_workers_descriptors_is_not_taken_for_a_lack_of_memory(demo_folder, tmp_path):
    plan = plan_of(demo_folder, tmp_path / "notes", participants=50, sequences="EXP-1-head", stages=[closing])
    report = plan.run(tmp_path / "out", progress=False, **LOCAL)
    assert len(report.failed) == 1
    assert "3 workers died of it, the last once its pipe was closed. Does a stage close descriptors" in str(report)
    assert "memory" not in str(report)


#: Runs a plan, and writes down what came of it where no stream is needed.
CLOSED = """
import sys
import nersemble
plan = nersemble.prepare.plan(
    "participant_240__sequence_EXP-1-head", cameras="222200037", scale=0.25, timesteps="0:6", data_dir=sys.argv[1]
)
report = plan.run(sys.argv[2], workers=1, progress=False)
with open(sys.argv[2] + ".txt", "w") as file:
    file.write(str(report))
"""


@pytest.mark.parametrize("streams", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_run_needs_none_of_the_standard_streams(demo_folder, tmp_path, streams):
    words = [sys.executable, "-c", CLOSED, str(demo_folder), str(tmp_path / "out")]
    done = subprocess.run(["sh", "-c", f'exec "$@" {streams}', "sh", *words], stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0
    assert "1 shards, 6 rows" in (tmp_path / "out.txt").read_text()


@nersemble.prepare.stage(seen="int32")
def with_children(image, background, camera, row):
    """Starts one that holds the worker's pipes open; then the worker dies, once."""
    note = Path(os.environ["NERSEMBLE_TEST_NOTE"])
    if not note.exists():
        child = os.fork()
        if child == 0:
            time.sleep(600)
        note.write_text(str(child))
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seen": 1}


def test_a_dead_worker_is_noticed_while_its_children_live_and_they_are_ended(demo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NERSEMBLE_TEST_NOTE", str(tmp_path / "note"))
    plan = plan_of(demo_folder, tmp_path / "notes", participants=50, stages=[with_children])
    report = plan.run(tmp_path / "out", progress=False, engine="local", workers=1)
    assert report.complete
    place = Path("/proc", (tmp_path / "note").read_text(), "stat")
    assert not place.exists() or place.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_server_that_dies_stops_the_run_which_goes_on_later(demo_folder, tmp_path, monkeypatch):
    check_a_server_that_dies(demo_folder, tmp_path, monkeypatch, **LOCAL)


def test_a_server_that_fails_for_one_participant_alone_stops_nothing(demo_folder, tmp_path, monkeypatch):
    class Failing(DemoHandler):
        now = False

        def respond(self, path):
            if self.now and path.startswith("240/sequences"):
                self.send_status(500, "no")
            else:
                self.send_file(path)

    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.001)
    with DemoServer(demo_folder, handler=Failing) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        plan = plan_of(None, tmp_path / "notes", stages=[hasty], chunk=4)
        due = {unit.name for unit in plan.units if unit.participant == 240}
        assert len(due) >= 12  # which would be enough
        Failing.now = True
        report = plan.run(tmp_path / "out", progress=False, **LOCAL)
    assert set(report.failed) == due
    assert "HTTP 500" in str(report)
    assert (report.stopped, report.not_tried) == ("", 0)
    assert report.written == len(plan.units) - len(due)


def test_the_access_url_goes_to_workers_in_their_environment_alone(access, tmp_path, capfd):
    plan = plan_of(None, tmp_path / "notes", participants=50)
    seen: list[str] = []
    secret = secret_of(access)
    report = plan.run(tmp_path / "out", progress=False, watch=lambda _: seen.extend(in_arguments(secret)), **LOCAL)
    assert report.complete
    assert not seen
    assert not in_files(secret, tmp_path)
    assert secret not in "".join(capfd.readouterr())
