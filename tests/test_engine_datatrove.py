"""The engine ``datatrove`` keeps what engines promise: on this machine, and handed to a scheduler."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from _engines import (
    EngineConformance,
    check_a_server_that_dies,
    hashes,
    in_arguments,
    in_files,
    plan_of,
    secret_of,
    wait_for,
)

from nersemble.errors import PrepareError, SelectionError

SLURM = {"engine": "datatrove", "executor": "slurm", "partition": "cpu", "time": "01:00:00", "cpus_per_task": 1}

#: Plays Slurm: notes what it was given, and leaves the script to the test.
SBATCH = """#!{python}
import json, os, shutil, sys
here = os.path.dirname(os.path.abspath(__file__))
number = len([name for name in os.listdir(here) if name.endswith(".slurm")]) + 1
shutil.copy(sys.argv[-1], os.path.join(here, f"{{number}}.slurm"))
with open(os.path.join(here, f"{{number}}.json"), "w") as file:
    json.dump({{"arguments": sys.argv[1:-1], "environment": dict(os.environ)}}, file)
print(f"Submitted batch job {{number}}")
"""
#: Play what a job calls on its node.
SRUN = '#!/bin/bash\nwhile [ "${1#-}" != "$1" ]; do if [ "$1" = -n ]; then shift; fi; shift; done\nexec "$@"\n'
SCONTROL = "#!/bin/bash\necho localhost\n"


class TestLocalExecutor(EngineConformance):
    OPTIONS = {"engine": "datatrove", "workers": 2}  # noqa: RUF012

    def test_marks_of_an_earlier_run_hide_nothing(self, plan, reference, tmp_path):
        self.run(plan, tmp_path / "out", logging_dir=tmp_path / "logs")
        assert len(list((tmp_path / "logs").rglob("completions/*"))) == len(plan.units)
        for path in (tmp_path / "out").rglob("*.parquet"):
            path.unlink()
        report = self.run(plan, tmp_path / "out", logging_dir=tmp_path / "logs")
        assert report.written == len(plan.units)
        assert hashes(tmp_path / "out") == reference

    def test_the_access_url_is_neither_in_arguments_nor_in_files(self, access, tmp_path, capfd):
        plan = plan_of(None, tmp_path / "notes", participants=50)
        secret, seen = secret_of(access), []

        def watch(_):
            seen.extend(in_arguments(secret))

        assert self.run(plan, tmp_path / "out", logging_dir=tmp_path / "logs", watch=watch).complete
        assert not seen
        assert list((tmp_path / "logs").rglob("*.json"))
        assert not in_files(secret, tmp_path)
        assert "".join(capfd.readouterr()) == ""

    def test_a_server_that_dies_stops_the_run_which_goes_on_later(self, demo_folder, tmp_path, monkeypatch):
        check_a_server_that_dies(demo_folder, tmp_path, monkeypatch, **self.OPTIONS)

    def test_a_killed_driver_leaves_nothing(self, driver, tmp_path):
        running = driver()
        wait_for(tmp_path / "notes" / "pictures")
        running.process.kill()
        assert running.wait()[0] == -signal.SIGKILL
        running.wait_until_nothing_is_left()

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"executor": "cloud"}, "local or slurm"),
            ({"partition": "cpu"}, "Of Slurm alone"),
            ({"executor": "slurm", "time": "1:00:00"}, "where and how long"),
            ({**SLURM, "memory": 3}, "take no memory"),
            ({**SLURM, "skip_completed": True}, "take no skip_completed"),
            ({**SLURM, "tasks": 0}, "1 or more"),
        ],
    )
    def test_options_that_are_none_are_refused(self, plan, tmp_path, options, told):
        with pytest.raises(SelectionError, match=told):
            self.run(plan, tmp_path, **options)


class Slurm:
    """A scheduler that keeps jobs until it is told to run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name, text in {"sbatch": SBATCH.format(python=sys.executable), "srun": SRUN, "scontrol": SCONTROL}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    @property
    def jobs(self) -> list[Path]:
        return sorted(self.folder.glob("*.slurm"))

    def submitted(self, number: int) -> dict:
        return json.loads((self.folder / f"{number}.json").read_text())

    def run(self, number: int, **environment: str) -> list[subprocess.CompletedProcess]:
        """Run the tasks of a job one after another, each as on a node of its own."""
        script = self.folder / f"{number}.slurm"
        (array,) = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --array=")]
        last = int(array.partition("-")[2].partition("=")[2].partition("-")[2].partition("%")[0])
        ends = []
        for task in range(last + 1):
            told = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": "1", "SLURM_NODELIST": "here", "RUN_OFFSET": "0"}
            node = {**self.submitted(number)["environment"], **told, **environment}
            ends.append(subprocess.run(["bash", str(script)], env=node, capture_output=True, text=True, timeout=240))
        return ends


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Slurm:
    made = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])]))
    return made


class TestSlurm:
    def test_what_is_not_there_is_submitted_until_nothing_is_missing(self, slurm, demo_folder, tmp_path):
        plan = plan_of(demo_folder, tmp_path / "notes", participants=50)
        options = {**SLURM, "logging_dir": tmp_path / "logs", "progress": False}
        report = plan.run(tmp_path / "out", tasks=3, **options)
        assert not report.complete
        assert f"Slurm job 1, 3 tasks for {len(plan.units)} units" in report.submitted
        (work,) = (tmp_path / "logs").rglob("work.json")
        assert stat.S_IMODE(work.stat().st_mode) == 0o600
        assert all(end.returncode == 0 for end in slurm.run(1)), slurm.run(1)[0].stderr
        lines = [line for path in (tmp_path / "logs").rglob("*.jsonl") for line in path.read_text().splitlines()]
        told = [json.loads(line) for line in lines]
        assert {one["unit"]: one["outcome"] for one in told} == dict.fromkeys((u.name for u in plan.units), "written")
        assert plan.verify(tmp_path / "out").sound
        lost = sorted((tmp_path / "out").rglob("*.parquet"))[2]
        before = hashes(tmp_path / "out")
        lost.unlink()
        report = plan.run(tmp_path / "out", **options)
        assert "Slurm job 2, 1 tasks for 1 units" in report.submitted
        assert report.kept == len(plan.units) - 1
        slurm.run(2)
        report = plan.run(tmp_path / "out", **options)
        assert report.complete
        assert report.kept == len(plan.units)
        assert (hashes(tmp_path / "out"), len(slurm.jobs)) == (before, 2)

    def test_slurm_never_gets_the_access_url_and_a_node_without_one_says_so(self, slurm, access, tmp_path):
        plan = plan_of(None, tmp_path / "notes", participants=50)
        report = plan.run(tmp_path / "out", tasks=1, logging_dir=tmp_path / "logs", progress=False, **SLURM)
        assert "Slurm job 1" in report.submitted
        assert os.environ["NERSEMBLE_DATA_URL"] == access.url
        assert not in_files(secret_of(access), tmp_path / "slurm", tmp_path / "logs")
        (end,) = slurm.run(1)
        assert end.returncode != 0
        assert f"On {os.uname().nodename}, where a worker ran: No access URL" in end.stdout + end.stderr
        (end,) = slurm.run(1, NERSEMBLE_DATA_URL=access.url)
        assert end.returncode == 0, end.stderr
        assert plan.verify(tmp_path / "out").sound
        assert not in_files(secret_of(access), tmp_path)

    def test_a_machine_without_slurm_and_a_task_of_slurm_are_told_of(self, demo_folder, monkeypatch, tmp_path):
        plan = plan_of(demo_folder, tmp_path / "notes", participants=50)
        options = {**SLURM, "logging_dir": tmp_path / "logs", "progress": False}
        with pytest.raises(PrepareError, match="Is `sbatch` at hand here"):
            plan.run(tmp_path / "out", **options)
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
        with pytest.raises(PrepareError, match="Use a login node"):
            plan.run(tmp_path / "out", **options)
