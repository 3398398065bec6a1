"""``nersemble autoload``, in a scratch virtual environment that finds this package and what it stands on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import nersemble
from nersemble.autoload import FILE

REPOSITORY = Path(nersemble.__file__).parents[1]


class Scratch:
    """A virtual environment without pip, with one .pth file that leads to the packages of the running one."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        self.line = self.site / FILE
        # Read before nersemble-autoload.pth, as is the file of an editable install.
        self.path = self.site / "_running_environment.pth"
        self.path.write_text(f"{REPOSITORY}\n{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
        return subprocess.run(
            [str(self.python), *arguments],
            capture_output=True,
            text=True,
            env=environ,
            cwd=self.python.parent,
            timeout=120,
        )

    def autoload(self, action: str) -> str:
        done = self.run("-m", "nersemble", "autoload", action)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def loads(self) -> bool:
        done = self.run("-c", "import sys; print('nersemble' in sys.modules)")
        assert done.stderr == ""
        return done.stdout == "True\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Scratch(tmp_path_factory.mktemp("autoload") / "environment")


@pytest.fixture
def scratch(environment):
    environment.line.unlink(missing_ok=True)
    before = sorted(environment.site.iterdir())
    yield environment
    environment.line.unlink(missing_ok=True)
    assert sorted(environment.site.iterdir()) == before


def test_on_makes_every_start_import_the_package_and_off_ends_it(scratch):
    assert not scratch.loads()
    assert str(scratch.line) in scratch.autoload("on")
    assert scratch.line.read_text().count("\n") == 1
    assert scratch.loads()
    assert "is on" in scratch.autoload("on")
    assert "removed" in scratch.autoload("off")
    assert not scratch.loads()
    assert "there was no" in scratch.autoload("off")


def test_with_autoload_datasets_knows_the_name_without_an_import(scratch, access, tmp_path):
    code = "from datasets import get_dataset_config_names as names; print('participant_240' in names('nersemble'))"
    where = {"NERSEMBLE_DATA_URL": access.url, "HF_HOME": str(tmp_path / "huggingface")}
    assert scratch.run("-c", code, **where).stdout == ""
    scratch.autoload("on")
    done = scratch.run("-c", code, **where)
    assert done.stdout == "True\n", done.stderr


def test_nothing_heavy_is_imported_at_start(scratch):
    scratch.autoload("on")
    done = scratch.run("-c", "import sys; print(*sys.modules)")
    assert not {"datasets", "numpy", "av", "aiohttp", "torch", "typer"} & set(done.stdout.split())


def test_status_says_where_and_what_it_costs(scratch):
    for action, verb in (("off", "would add"), ("on", "adds")):
        scratch.autoload(action)
        status = scratch.autoload("status")
        assert f"Autoload is {action}: " in status
        assert str(scratch.line) in status
        cost = re.search(rf"It {verb} (\d+) ms to every start of {re.escape(str(scratch.python))} ", status)
        assert cost
        assert int(cost[1]) < 500


def test_an_uninstalled_package_leaves_python_quiet(scratch):
    scratch.autoload("on")
    kept = scratch.path.read_text()
    scratch.path.write_text("")
    try:
        assert not scratch.loads()
    finally:
        scratch.path.write_text(kept)


def test_on_refuses_where_it_would_have_no_effect(scratch):
    """The package is found when asked for, by PYTHONPATH, but not when this Python starts without it."""
    kept = scratch.path.read_text()
    scratch.path.write_text("")
    try:
        found = os.pathsep.join(kept.split())
        done = scratch.run("-m", "nersemble", "autoload", "on", PYTHONPATH=found)
    finally:
        scratch.path.write_text(kept)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "no effect" in done.stderr
    assert not scratch.line.exists()


def test_a_place_that_cannot_be_written_gets_a_sentence(scratch):
    scratch.line.mkdir()  # what root may write too is not a folder
    try:
        on, off = (scratch.run("-m", "nersemble", "autoload", action) for action in ("on", "off"))
    finally:
        scratch.line.rmdir()
    for done, verb in ((on, "write"), (off, "remove")):
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: Cannot {verb} {scratch.line}: ")
        assert done.stderr.count("\n") == 1
