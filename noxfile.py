"""What has to pass: ``nox -s lint``, the tests on each Python, and the builder's tests on each line of ``datasets``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
#: Oldest served, last of the lines between, newest.
DATASETS = {"3.6": "datasets==3.6.0", "4.7": "datasets==4.7.0", "5": "datasets>=5,<6"}
BUILDER_TESTS = [
    "test_batches.py",
    "test_builder*.py",
    "test_hub.py",
    "test_loading_script.py",
    "test_push.py",
    "test_registration*.py",
    "test_streaming*.py",
]
LEANING_TESTS = [
    "test_color_processes.py",
    "test_download_faults.py",
    "test_filesystem.py",
    "test_part_file.py",
    "test_secret.py",
    "test_video.py",
    "test_video_access.py",
    "test_video_arguments.py",
    "test_video_forks.py",
    "test_workers.py",
]
#: What the oldest Python runs beside both: what calls the most of the standard library, what users do first, and all of
#: video, since its newest PyAV brings another FFmpeg than that of the others.
OLDEST_TESTS = [
    "test_access.py",
    "test_bad_input.py",
    "test_cli_prepare.py",
    "test_docs.py",
    "test_engines.py",
    "test_open_folder.py",
    "test_prepare*.py",
    "test_verify.py",
    "test_video_*.py",
]
#: Torch has CPU builds for one Python only where this runs, so these tests have a session of their own: ``torch``.
TORCH_TESTS = "test_torch*.py"
#: These need an extra each, and have a session each.
ENGINE_TESTS = "test_engine_*.py"
WITHOUT_EXTRAS = [f"--ignore-glob=*/{TORCH_TESTS}", f"--ignore-glob=*/{ENGINE_TESTS}"]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.download_python = "never"
nox.options.reuse_existing_virtualenvs = False


def _find_pythons_of_pyenv() -> None:
    """Put pyenv's newest release of each version in front of PATH: its shims answer for chosen versions only."""
    root = os.environ.get("PYENV_ROOT") or "~/.pyenv"
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
    for version in PYTHONS:
        releases = Path(root).expanduser().glob(f"versions/{version}.*/bin/python{version}")
        newest = max(
            releases,
            key=lambda path: [int(part) for part in path.parts[-3].split(".") if part.isdecimal()],
            default=None,
        )
        if newest:
            os.environ["PATH"] = os.pathsep.join([str(newest.parent), os.environ["PATH"]])


_find_pythons_of_pyenv()


def _tests(*patterns: str) -> list[str]:
    """The test files that match; a pattern that matches none is an error, not a session that passes."""
    found = {pattern: sorted(Path("tests").glob(pattern)) for pattern in patterns}
    missing = [pattern for pattern, files in found.items() if not files]
    if missing:
        raise FileNotFoundError(f"no test file matches {missing}")
    return sorted({str(path) for files in found.values() for path in files})


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Ruff, its formatter, and mypy on the package."""
    session.install(".", "mypy", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHONS)
def python(session: nox.Session) -> None:
    """What leans on Python; on the oldest and the newest the builder's tests too, and on the oldest more."""
    session.install("-e", ".[test]")
    builder = BUILDER_TESTS if session.python in (PYTHONS[0], PYTHONS[-1]) else []
    more = OLDEST_TESTS if session.python == PYTHONS[0] else []
    tests = _tests(*LEANING_TESTS, *builder, *more)
    session.run("python", "-m", "pytest", "-q", *WITHOUT_EXTRAS, *tests, *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("line", list(DATASETS), ids=list(DATASETS))
def datasets(session: nox.Session, line: str) -> None:
    """The builder's tests on one release line of ``datasets``."""
    session.install("-e", ".[test]", DATASETS[line])
    session.run("python", "-c", "import datasets; print('datasets', datasets.__version__)")
    session.run("python", "-m", "pytest", "-q", *_tests(*BUILDER_TESTS), *session.posargs)


# With pip, which follows the machine's configuration to builds for the CPU.
@nox.session(python="3.11", venv_backend="virtualenv")
def torch(session: nox.Session) -> None:
    """The tests that need torch."""
    session.install("-e", ".[test,torch]")
    session.run("python", "-m", "pytest", "-q", *_tests(TORCH_TESTS), *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("engine", ["ray", "datatrove"], ids=["ray", "datatrove"])
def engine(session: nox.Session, engine: str) -> None:
    """The tests of an engine that needs an extra."""
    session.install("-e", f".[test,{engine}]")
    session.run("python", "-m", "pytest", "-q", *_tests(f"test_engine_{engine}.py"), *session.posargs)
