"""What every engine promises, as tests that each one's own file inherits; and kills at pictures drawn by lot.

Imported by workers too, which unpickle ``Noted`` from here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import nersemble.prepare
from nersemble.demo import DemoServer
from nersemble.layout import SERIALS
from nersemble.prepare.work import run_unit
from nersemble.transport import policy

CAMERAS = list(SERIALS[4:7])
#: Seconds until something that hangs fails its test; a busy machine may be slow.
PATIENCE = 240
#: Kills of the driver among 20.
DRIVERS = 4
#: In the environment of whatever a driver starts, so that nothing of it can be left unseen.
MARK = "NERSEMBLE_TEST_MARK"
#: 127.0.0.1, ::1 and 127.0.0.1 within IPv6, as the system writes them.
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


class Noted:
    """A stage that notes every picture, and draws the lot that lies there for it: then somebody is killed."""

    columns = {"noted": "int32"}  # noqa: RUF012
    version = "1"  # wherever it notes

    def __init__(self, folder: Path | str) -> None:
        self.folder = str(folder)

    def __call__(self, image, background, camera, row) -> dict[str, int]:
        name = "{participant} {sequence} {camera} {timestep}".format(**row)
        with open(f"{self.folder}/pictures", "a") as file:
            file.write(name + "\n")
        lot = Path(self.folder, "lots", name)
        with contextlib.suppress(FileNotFoundError):
            self._draw(lot, *lot.read_text().split())
        return {"noted": 1}

    def _draw(self, lot: Path, who: str, moment: str) -> None:
        def spend() -> bool:  # not before: a worker that ends with its driver leaves the lot to the next one
            with contextlib.suppress(FileNotFoundError):
                os.rename(lot, lot.with_name(f"{lot.name} killed"))
                return True
            return False

        def kill() -> None:
            os.kill(os.getpid() if who == "worker" else int(Path(self.folder, "driver").read_text()), signal.SIGKILL)

        if moment == "picture":
            if spend():
                kill()
        else:  # when this unit's shard is on its way to its name
            call = {"synced": "fsync", "named": "replace", "told": "replace"}[moment]
            before = getattr(os, call)

            def called(*arguments: Any) -> Any:
                setattr(os, call, before)
                mine = spend()
                if moment == "told":
                    before(*arguments)
                if mine:
                    kill()
                return None if moment == "told" else before(*arguments)

            setattr(os, call, called)


def plan_of(data_dir: Path | str | None, notes: Path | str, **more: Any) -> nersemble.prepare.PreparePlan:
    """28 units of 10 moments, or 7 and an eighth at the end of short videos."""
    Path(notes).mkdir(exist_ok=True, parents=True)
    options = {"cameras": CAMERAS, "scale": 0.25, "chunk": 4, "stages": [Noted(notes)], "data_dir": data_dir}
    return nersemble.prepare.plan("all", **{**options, **more})


def hashes(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "plan.json"
    }


def rows_of_unit(plan, unit) -> list[tuple[int, str, int]]:
    rows = unit.rows(plan.options.wanted, plan.options.rows)
    return [(unit.participant, unit.sequence, timestep) for timestep, _ in rows]


def rows_of(out: Path) -> Counter:
    rows: Counter = Counter()
    for path in out.rglob("*.parquet"):
        for row in pq.read_table(path, columns=["participant", "sequence", "timestep"]).to_pylist():
            rows[tuple(row.values())] += 1
    return rows


def drive(data_dir: str, out: str, notes: str, options: str) -> None:
    """Be the driver: ``python -c "import _engines; _engines.drive(...)"``."""
    plan = plan_of(data_dir or None, notes)
    Path(notes, "driver").write_text(str(os.getpid()))
    report = plan.run(out, progress=False, **json.loads(options))
    sys.stdout.write("\n" + json.dumps(report.as_dict()))


def processes_of(mark: str) -> list[Path]:
    """Where the system tells of processes that have a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                found.append(place)
    return found


def assert_on_loopback(mark: str) -> None:
    """Check that processes listen, and to this machine alone."""
    sockets = set()
    for place in processes_of(mark):
        with contextlib.suppress(OSError):
            sockets |= {os.readlink(file) for file in (place / "fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    assert found
    assert found <= LOOPBACK


class Driver:
    """A driver in a process of its own, whose descendants can be told by their environment."""

    def __init__(
        self, data_dir: Path | str, out: Path, notes: Path, options: dict[str, Any], later_path: Path | None = None
    ) -> None:
        """``later_path`` is what processes that the driver starts import from in the first place."""
        self.mark = uuid.uuid4().hex
        code = f"import os; os.environ['PYTHONPATH'] = {str(later_path)!r}; " if later_path else ""
        code += f"import _engines; _engines.drive(*{[str(data_dir), str(out), str(notes), json.dumps(options)]!r})"
        paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, MARK: self.mark, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def processes(self) -> list[Path]:
        """Where the system tells of its processes."""
        return processes_of(self.mark)

    def left(self) -> list[str]:
        """Command lines of what is left of it."""
        found = []
        for place in self.processes():
            with contextlib.suppress(OSError):
                found.append((place / "cmdline").read_bytes().decode().replace("\0", " "))
        return [one for one in found if one]

    def wait_until_nothing_is_left(self) -> None:
        until = time.monotonic() + PATIENCE  # agents of Ray go on for two minutes
        while self.left():
            assert time.monotonic() < until, self.left()
            time.sleep(0.1)


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.02)


def lay_lots(plan, notes: Path) -> None:
    """Lay 20 kills on pictures of as many units: at that picture, or when the shard is written, named, or told of."""
    chance = random.Random(20)
    # Those of drivers so far apart that no worker of a dead one draws the next.
    drivers = {place + chance.randrange(3) for place in range(2, len(plan.units), len(plan.units) // DRIVERS)}
    others = [place for place in range(len(plan.units)) if place not in drivers]
    (notes / "lots").mkdir(parents=True)
    for place in sorted([*drivers, *chance.sample(others, 20 - DRIVERS)]):
        unit = plan.units[place]
        video = chance.choice(unit.videos)
        timestep = chance.choice(unit.timesteps(plan.options.wanted, video.facts.num_frames).tolist())
        moment = chance.choice(["picture", "picture", "synced", "named", "told"])
        name = f"{unit.participant} {unit.sequence} {video.camera} {timestep}"
        (notes / "lots" / name).write_text(f"{'driver' if place in drivers else 'worker'} {moment}")


def begun(plan, notes: Path) -> Counter:
    """How often each unit was begun."""
    seen = Counter((notes / "pictures").read_text().splitlines())
    return Counter(
        {
            unit.name: seen[f"{unit.participant} {unit.sequence} {unit.videos[0].camera} {unit.start}"]
            for unit in plan.units
        }
    )


class EngineConformance:
    """What every engine promises."""

    #: As given to ``run``.
    OPTIONS: dict[str, Any]

    @pytest.fixture(scope="class")
    @classmethod
    def plan(cls, demo_folder, tmp_path_factory):
        return plan_of(demo_folder, tmp_path_factory.mktemp("notes"))

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, plan, tmp_path_factory) -> dict[str, str]:
        """The shards as the pure function makes them in this process, by their hashes."""
        out = tmp_path_factory.mktemp("reference")
        for unit in plan.units:
            assert run_unit(plan.job(out), unit).outcome == "written"
        return hashes(out)

    @pytest.fixture
    def capture(self, demo_folder, tmp_path) -> Path:
        """A capture whose videos can be lost: links to those of the demo."""
        place = tmp_path / "capture"
        shutil.copytree(demo_folder, place, copy_function=os.symlink)
        return place

    @pytest.fixture
    def driver(self, demo_folder, tmp_path):
        """Starts a driver whose shards go to ``out`` and whose notes go to ``notes``; nothing of it is left behind."""
        started: list[Driver] = []

        def start() -> Driver:
            started.append(Driver(demo_folder, tmp_path / "out", tmp_path / "notes", self.OPTIONS))
            return started[-1]

        yield start
        for one in started:
            one.process.kill()
            one.process.wait()

    def run(self, plan, out, **more):
        return plan.run(out, progress=False, **{**self.OPTIONS, **more})

    def test_the_bytes_are_those_of_the_plan_whoever_makes_them(self, plan, reference, tmp_path):
        report = self.run(plan, tmp_path)
        assert report.complete, report
        assert (report.written, report.kept, report.rows) == (len(plan.units), 0, plan.rows)
        assert hashes(tmp_path) == reference
        assert plan.verify(tmp_path).sound

    def test_a_second_run_makes_what_is_not_there_and_touches_nothing_else(self, plan, reference, tmp_path):
        self.run(plan, tmp_path)
        shards = sorted(tmp_path.rglob("*.parquet"))
        shards[3].unlink()
        shards[20].write_bytes(shards[20].read_bytes()[:-5])
        before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shards if path.exists()}
        report = self.run(plan, tmp_path)
        assert (report.written, report.kept, report.rows) == (2, len(plan.units) - 2, plan.rows)
        changed = {path for path in shards if before.get(path) != (path.stat().st_ino, path.stat().st_mtime_ns)}
        assert changed == {shards[3], shards[20]}
        assert hashes(tmp_path) == reference

    def test_units_that_fail_are_told_and_the_others_are_made(self, capture, reference, tmp_path):
        plan = plan_of(capture, tmp_path / "notes")
        videos = sorted(capture.glob(f"*/sequences/*/images/cam_{CAMERAS[1]}.mp4"))
        data = videos[4].read_bytes()
        for path in (videos[0], videos[4]):
            path.unlink()
        videos[4].write_bytes(data[: len(data) // 2])
        report = self.run(plan, tmp_path / "out")
        gone, damaged = (
            [unit.name for unit in plan.units if f"{unit.participant:03d}/sequences/{unit.sequence}/" in str(path)]
            for path in (videos[0], videos[4])
        )
        failed = set(report.failed)
        assert {*gone, damaged[-1]} <= failed <= {*gone, *damaged}
        assert "Plan again" in str(report)
        assert not report.stopped
        assert report.not_tried == 0
        made = {name: told for name, told in reference.items() if name.partition("/")[2] not in failed}
        assert hashes(tmp_path / "out") == made
        assert len(made) == len(plan.units) - len(failed) == report.written

    def test_without_access_it_stops_and_says_so(self, access, monkeypatch, tmp_path):
        plan = plan_of(None, tmp_path / "notes")
        monkeypatch.delenv("NERSEMBLE_DATA_URL")
        report = self.run(plan, tmp_path / "out")
        assert "No access URL" in report.stopped
        assert report.not_tried > 0
        assert not list((tmp_path / "out").rglob("*.parquet"))  # what a worker had begun has another name

    def test_20_kills_leave_what_an_undisturbed_run_makes(self, plan, reference, driver, tmp_path):
        """Of workers and of drivers; and no more than what was under way is made again."""
        out, notes = tmp_path / "out", tmp_path / "notes"
        lay_lots(plan, notes)
        ends: list[int] = []
        complete = False
        while not complete:
            running = driver()
            code, told, err = running.wait()
            assert code in (0, -signal.SIGKILL), err
            ends.append(code)
            # Ray says on standard output that a worker died, whatever it is asked.
            complete = code == 0 and json.loads(told.splitlines()[-1])["complete"]
            assert len(ends) < 20, told
        assert len(list((notes / "lots").glob("* killed"))) == 20
        assert ends.count(-signal.SIGKILL) == DRIVERS
        assert hashes(out) == reference
        expected = {row for unit in plan.units for row in rows_of_unit(plan, unit)}
        assert rows_of(out) == dict.fromkeys(expected, 1)
        times = begun(plan, notes)
        assert min(times.values()) >= 1
        assert sum(times.values()) - len(times) <= (20 - DRIVERS) + DRIVERS * self.OPTIONS["workers"]
        running.wait_until_nothing_is_left()


# --- a server that fails ----------------------------------------------------------------------------------------------


@nersemble.prepare.stage(seen="int32")
def hasty(image, background, camera, row) -> dict[str, int]:
    """Lets a worker that has made a picture try again at once what fails."""
    policy.FIRST_PAUSE = 0.001
    return {"seen": 1}


def check_a_server_that_dies(demo_folder: Path, folder: Path, monkeypatch: Any, **options: Any) -> None:
    """It stops the run, which goes on once it is there again."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.001)
    with DemoServer(demo_folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        plan = plan_of(None, folder / "notes", stages=[hasty])
        report = plan.run(
            folder / "out", progress=False, watch=lambda state: state.files_done == 4 and server.close(), **options
        )
        assert "the server failed 12 units in a row, and others too; the last one so: nersemble://" in report.stopped
        assert "could not be reached" in report.stopped
        assert secret_of(server) not in str(report)
        assert report.written >= 4
        assert report.not_tried > 0
        assert report.written + len(report.failed) + report.not_tried == len(plan.units)
        assert "run it again: it makes only what is not there" in str(report)
        server.start()
        again = plan.run(folder / "out", progress=False, **options)
        assert again.complete
        assert again.kept >= report.written  # and what was under way when it stopped


# --- the access URL ---------------------------------------------------------------------------------------------------


def secret_of(access) -> str:
    """The part of a demo server's URL that must be nowhere."""
    return access.url.rstrip("/").rpartition("/")[2]


def in_arguments(secret: str) -> list[str]:
    """Command lines of running processes that hold it."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = place.read_bytes()
            found += [line.decode(errors="replace")] if secret.encode() in line else []
    return found


def in_files(secret: str, *folders: Path) -> list[Path]:
    """Files that hold it."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert paths
    return [path for path in paths if secret.encode() in path.read_bytes()]
