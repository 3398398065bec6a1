"""What has to pass: ``nox -s lint``, the tests on each Python, and the builder's tests on each line of ``datasets``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
#: The builder itself: what Python imports, pickles and hands to other processes.
BUILDER_TESTS = [
    "test_batches.py",
    "test_builder*.py",
    "test_loading_script.py",
    "test_registration*.py",
    "test_streaming*.py",
]
#: What each line of ``datasets`` makes of a pushed data set, and the ``huggingface_hub`` that it asks for of a push.
PUSH_TESTS = ["test_hub.py", "test_push.py"]
#: Oldest served, last of the lines between, newest; each on a Python of its own, so that the builder's tests meet the
#: lines and the Pythons in one go.  The README's test command runs all on the newest line already, on the Python
#: between: of it there is the builder alone here, for the newest Python.
DATASETS = {
    "3.6": ("3.10", "datasets==3.6.0", [*BUILDER_TESTS, *PUSH_TESTS]),
    "4.7": ("3.12", "datasets==4.7.0", [*BUILDER_TESTS, *PUSH_TESTS]),
    "5": ("3.13", "datasets>=5,<6", BUILDER_TESTS),
}
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
#: What the oldest Python runs beside these.  Its newest PyAV brings another FFmpeg than that of the others: all of
#: video, and what encodes shards and holds frames in flight.  Its standard library is the oldest: what calls the most
#: of it (processes and signals, source texts and pickles of stages), and every example of the documents, which is what
#: users do first.  What else there is to preparing and to checking (plans, refusals, claims of folders, samples, the
#: words of the commands) calls on neither, and runs on the Python of the README's test command.
OLDEST_TESTS = [
    "test_access.py",
    "test_bad_input.py",
    "test_docs.py",
    "test_engines.py",
    "test_open_folder.py",
    "test_prepare_fingerprint.py",
    "test_prepare_memory.py",
    "test_prepare_shards.py",
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
    """Ruff, its formatter, and mypy on the package, which may use no name that the oldest Python lacks."""
    session.install(".", "mypy", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for version in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--python-version", version)


@nox.session(python=PYTHONS)
def python(session: nox.Session) -> None:
    """What leans on Python, and on the oldest more."""
    session.install("-e", ".[test]")
    more = OLDEST_TESTS if session.python == PYTHONS[0] else []
    tests = _tests(*LEANING_TESTS, *more)
    session.run("python", "-m", "pytest", "-q", *WITHOUT_EXTRAS, *tests, *session.posargs)


@nox.session
@nox.parametrize("python,line,tests", list(DATASETS.values()), ids=list(DATASETS))
def datasets(session: nox.Session, line: str, tests: list[str]) -> None:
    """The builder's tests on one release line of ``datasets``."""
    session.install("-e", ".[test]", line)
    session.run("python", "-c", "import datasets; print('datasets', datasets.__version__)")
    session.run("python", "-m", "pytest", "-q", *_tests(*tests), *session.posargs)


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
