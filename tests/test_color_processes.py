"""Colour correction in threads and processes, and with a numba that is missing, broken or cannot keep its code."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from _color_reference import expected, matrix, picture

import nersemble
from nersemble.color import fastest_backend
from nersemble.color.threads import PIXELS_A_THREAD, share_out
from nersemble.cores import usable_cores

CCM = matrix("realistic", 10)
SHAPE = (300, 500)  # enough for several threads
CORRECT = """
import sys; sys.path.insert(0, {tests!r})
import threading
import numpy as np
import nersemble
from _color_reference import expected, matrix, picture
from nersemble.color import fastest_backend
from nersemble.errors import SelectionError
image, ccm = picture((300, 500)), matrix("realistic", 10)
"""
CHECK = """
assert np.array_equal(nersemble.correct_color(image, ccm), expected(image, ccm))
print(fastest_backend())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = CORRECT.format(tests=os.path.dirname(__file__)) + code
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=100, check=True
    )


def correct_here(seed: int) -> tuple[bool, str, int]:
    image = picture(SHAPE, seed)
    right = np.array_equal(nersemble.correct_color(image, CCM), expected(image, CCM))
    return right, fastest_backend(), usable_cores()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_threads_correct_side_by_side(backend):
    images = [picture(SHAPE, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        corrected = list(pool.map(lambda image: nersemble.correct_color(image, CCM, backend=backend), images * 3))
    for image, one in zip(images * 3, corrected, strict=True):
        assert np.array_equal(one, expected(image, CCM))


def test_the_first_call_may_come_from_several_threads_at_once():
    code = """
barrier, corrected = threading.Barrier(4), []
def correct():
    barrier.wait()
    corrected.append(nersemble.correct_color(image, ccm))
threads = [threading.Thread(target=correct) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(corrected) == 4 and all(np.array_equal(one, expected(image, ccm)) for one in corrected)
"""
    assert run(code + CHECK).stdout == "numba\n"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_worker_processes_correct_in_one_thread_each(method):
    nersemble.correct_color(picture(SHAPE), CCM)  # the parent first, with every thread it may use
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(correct_here, range(4)) == [(True, "numba", 1)] * 4


def test_a_fork_in_the_middle_of_loading_can_correct(tmp_path):
    """The child has not got the thread that loads, and must not wait for it."""
    code = """
import os, time
thread = threading.Thread(target=fastest_backend)
thread.start()
children = []
for _ in range(12):
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(nersemble.correct_color(image, ccm), expected(image, ccm)) else 1)
    children.append(child)
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 12
thread.join()
"""
    if sys.version_info >= (3, 12):  # which warns of every fork beside threads
        code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + code
    assert run(code + CHECK, NUMBA_CACHE_DIR=str(tmp_path)).stdout == "numba\n"


def test_a_lone_process_uses_the_cores_it_may_use():
    assert usable_cores() == len(os.sched_getaffinity(0))
    code = """
import os
from nersemble.cores import usable_cores
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
assert usable_cores() == 1
"""
    assert run(code + CHECK).stdout == "numba\n"


def test_the_parts_cover_all_once_and_no_thread_stays():
    count, done = 7 * PIXELS_A_THREAD + 3, []
    share_out(lambda start, stop: done.append((start, stop)), count)
    done.sort()
    assert done[0][0] == 0
    assert done[-1][1] == count
    assert all(one[1] == other[0] for one, other in itertools.pairwise(done))
    assert not [thread for thread in threading.enumerate() if thread.name == "nersemble-color"]


@pytest.mark.parametrize(("most", "parts"), [(1, 1), (2, min(2, usable_cores())), (None, min(7, usable_cores()))])
def test_no_more_threads_are_used_than_told(most, parts):
    """Each takes one part; NumPy's memory and pace depend on how many there are."""
    done = []
    share_out(lambda start, stop: done.append((start, stop)), 7 * PIXELS_A_THREAD, most=most)
    assert len(done) == parts


@pytest.mark.parametrize("first_part", [True, False])
def test_an_error_in_a_part_is_raised(first_part):
    def work(start: int, stop: int) -> None:
        if first_part == (start == 0) or (start == 0 and usable_cores() == 1):
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        share_out(work, 8 * PIXELS_A_THREAD)


@pytest.mark.parametrize("line", ["raise ImportError('an old llvmlite')", "raise RuntimeError('broken')", "njit = 1"])
def test_numpy_takes_over_where_numba_does_not_work(tmp_path, line):
    (tmp_path / "numba.py").write_text(line + "\n")
    code = """
try:
    nersemble.correct_color(image, ccm, backend="numba")
except SelectionError as error:
    print(error)
"""
    done = run(CHECK + code, PYTHONPATH=str(tmp_path))
    backend, message = done.stdout.splitlines()
    assert backend == "numpy"
    assert message.startswith("numba does not work here (")
    assert "Install the extra `fast`" in message
    assert done.stderr == ""


def test_a_cpu_with_few_instructions_is_served_as_well(tmp_path):
    code = "from nersemble.color import tables512\nprint(tables512.is_possible())"
    done = run(CHECK + code, NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "numba\nFalse\n"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Where a process kept its compiled code, to be copied by whoever changes it."""
    folder = tmp_path_factory.mktemp("compiled")
    assert run(CHECK, NUMBA_CACHE_DIR=str(folder)).stdout == "numba\n"
    return folder


def test_the_compiled_code_is_kept_for_the_next_process(compiled, tmp_path):
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")}
    assert kept
    assert run(CHECK, NUMBA_CACHE_DIR=str(tmp_path)).stdout == "numba\n"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")} == kept


def test_damaged_compiled_code_is_made_again(compiled, tmp_path):
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.nb*"):
        path.write_bytes(path.read_bytes()[:20])
    assert run(CHECK, NUMBA_CACHE_DIR=str(tmp_path)).stdout == "numba\n"


def test_compiled_code_that_can_be_kept_nowhere_is_made_anyway(tmp_path):
    """A package in a zip file has no folder, and the user's cache is no folder here either."""
    package = Path(nersemble.__file__).parent
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in package.rglob("*.py"):
            archive.write(path, Path("nersemble") / path.relative_to(package))
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "folder")
    code = f"sys.path.insert(0, {str(tmp_path / 'package.zip')!r})\n"
    program = code + CORRECT.format(tests=os.path.dirname(__file__)) + CHECK + "print(nersemble.__file__)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys\n" + program],
        env={**os.environ, "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.splitlines() == ["numba", str(tmp_path / "package.zip" / "nersemble" / "__init__.py")]
