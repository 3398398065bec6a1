"""A process is told from every other one, also from a later one of its number and one that has ended unasked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nersemble.writers import has_ended, this_process

TELL = "from nersemble.writers import this_process; print(this_process(), flush=True)"


@pytest.fixture
def other():
    """Another process, which says its name and ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{TELL}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_one_that_runs_has_not_ended(other):
    assert not has_ended(this_process())
    name = other.stdout.readline().strip()
    assert not has_ended(name)
    other.kill()
    other.wait()
    assert has_ended(name)


def test_a_zombie_has_ended(other):
    """Orphans of a container whose first process collects nobody stay so for good."""
    name = other.stdout.readline().strip()
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    os.kill(other.pid, 0)
    assert has_ended(name)


def test_a_later_process_of_the_same_number_is_another_one():
    here, pid, started = this_process().split("_")
    assert started.isdecimal()
    assert has_ended(f"{here}_{pid}_{int(started) - 1}")
    assert has_ended(f"{here}_{2**70}_1")


def test_of_another_machine_nothing_is_known():
    _, pid, started = this_process().split("_")
    assert not has_ended(f"elsewhere_{pid}_{int(started) - 1}")


@pytest.mark.parametrize("name", ["", "_", "by", "a_b_c"])
def test_what_names_no_process_has_not_ended(name):
    assert not has_ended(name)
    assert not has_ended(f"{this_process().partition('_')[0]}_{name}")


def test_a_forked_process_has_a_name_of_its_own():
    before, (reads, writes) = this_process(), os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, this_process().encode())
        os._exit(0)
    os.waitpid(child, 0)
    name = os.read(reads, 200).decode()
    os.close(reads), os.close(writes)
    assert name != before
    assert name.partition("_")[0] == before.partition("_")[0]
    assert has_ended(name)
