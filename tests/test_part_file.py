"""Parts of files: claimed by one process at a time, without locks, and gone on with by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nersemble.transport.part_file import FORGOTTEN, LostClaimError, PartFile, Version, is_written_elsewhere, list_parts

KEY = "sequences~EXP-1-head~images~cam_222200037.mp4"
ONE = Version('"one"', 1000)
OTHER = Version("Sun, 13 Sep 2020 12:26:40 GMT", 2000)

#: Claims a part in another process: what it should do then comes over stdin.
OTHER_PROCESS = """
import os, sys
from pathlib import Path
from nersemble.transport.part_file import PartFile, Version
folder, key = Path(sys.argv[1]), sys.argv[2]
part = PartFile.claim(folder, key)
if part.version is None:
    part.restart(Version('"one"', 1000))
part.go_on()
part.write(memoryview(b"x" * 300))
print(part.size, flush=True)
if sys.stdin.readline() == "release\\n":
    part.release()
"""


def begin(folder, version=ONE, data=b"x" * 300, key=KEY):
    """A part that was begun and left."""
    part = PartFile.claim(folder, key)
    part.restart(version)
    part.write(memoryview(data))
    part.release()


def other_process(folder, key=KEY):
    """A process that has claimed a part."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(folder), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip().isdigit()
    return process


def end(process, word=""):
    process.communicate(f"{word}\n", timeout=30)
    assert process.returncode == 0


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def claimed_by(folder, **changes):
    """The name of a part as if another had claimed it, with parts of the claim changed."""
    (mine,) = [name for name in names(folder) if ".by_" in name]
    head, _, claim = mine.removesuffix(".part").rpartition(".by_")
    facts = dict(zip(("here", "pid", "started", "chance"), claim.split("_"), strict=True)) | changes
    return mine, f"{head}.by_{'_'.join(map(str, facts.values()))}.part"


# --- one process ------------------------------------------------------------------------------------------------------


def test_a_part_is_left_to_the_next_and_gone_on_with(folder):
    begin(folder)
    (found,) = list_parts(folder)
    assert (found.key, found.version, found.size, found.free, found.own) == (KEY, ONE, 300, True, False)
    part = PartFile.claim(folder, KEY)
    assert (part.version, part.size, part.tail(2)) == (ONE, 300, b"xx")
    part.go_on()
    part.write(memoryview(b"y" * 700))
    part.finish(folder / "whole")
    assert names(folder) == ["whole"]
    assert (folder / "whole").read_bytes() == b"x" * 300 + b"y" * 700


def test_a_name_says_of_which_version_it_is(folder):
    begin(folder, ONE)
    begin(folder, OTHER, b"y" * 500)  # goes on with the first, and finds another version on the server
    assert {part.version: part.size for part in list_parts(folder, KEY)} == {OTHER: 500}


def test_of_two_versions_the_longer_part_is_gone_on_with_and_the_other_dropped_at_the_end(folder):
    longer = PartFile.claim(folder, KEY)
    longer.restart(OTHER)
    longer.write(memoryview(b"y" * 500))
    begin(folder, ONE)
    longer.release()
    part = PartFile.claim(folder, KEY)
    assert (part.version, part.size) == (OTHER, 500)
    part.finish(folder / "whole")
    assert names(folder) == ["whole"]


@pytest.mark.parametrize(("version", "data"), [(None, b"x"), (ONE, b"")])
def test_what_nobody_could_go_on_with_is_not_kept(folder, version, data):
    begin(folder, version, data)
    assert names(folder) == []


def test_a_part_that_is_longer_than_its_file_is_begun_anew(folder):
    begin(folder)
    (path,) = folder.iterdir()
    path.write_bytes(bytes(1001))
    part = PartFile.claim(folder, KEY)
    assert (part.version, part.size) == (None, 0)
    part.release()
    assert names(folder) == []


def test_two_threads_of_a_process_have_a_part_each(folder):
    begin(folder)
    one, two = PartFile.claim(folder, KEY), PartFile.claim(folder, KEY)
    assert (one.size, two.size) == (300, 0)
    assert [part.own for part in list_parts(folder)] == [True, True]
    assert not is_written_elsewhere(folder, KEY)
    two.restart(ONE)
    two.write(memoryview(b"z" * 1000))
    two.finish(folder / "whole")
    assert [part.size for part in list_parts(folder)] == [300]  # the other one's is not dropped under it
    one.write(memoryview(b"y"))
    one.finish(folder / "whole")
    assert names(folder) == ["whole"]


def test_a_restart_that_the_disk_refuses_closes_nothing_of_others(folder):
    begin(folder)
    part = PartFile.claim(folder, KEY)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        part.restart(ONE)
    other = folder.parent / "other"
    with open(other, "w+b") as file:  # is given the number that has become free
        part.release()
        file.write(b"unharmed")
    assert other.read_bytes() == b"unharmed"


def test_a_part_that_cannot_be_given_its_name_is_left_to_the_next(folder):
    (folder / "whole" / "folder").mkdir(parents=True)
    part = PartFile.claim(folder, KEY)
    part.restart(ONE)
    part.write(memoryview(b"x" * 1000))
    with pytest.raises(OSError, match="directory"):
        part.finish(folder / "whole")
    part.release()
    assert [(found.free, found.size) for found in list_parts(folder)] == [(True, 1000)]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "metadata_sequences.csv",
        "a",
        "a.b.c",
        "sequences~EMO-1-shout+laugh~images~cam_1.mp4",
        "sequences~by_me~images~cam.by_1_2_3_4.part",
        "x.part",
        "Müller ~ 頭.mp4",
        "a_b-c.-.-",
        "s" * 100 + ".mp4",
    ],
)
@pytest.mark.parametrize(
    "validator", ['"one"', '"a/b+c=.._-~"', '""', "Sun, 13 Sep 2020 12:26:40 GMT", '"' + "é" * 3 + '"']
)
def test_names_are_read_back_as_they_were_written(folder, key, validator):
    version = Version(validator, 123)
    begin(folder, version, b"x", key)
    begin(folder, version, b"x", f"{key}x")
    begin(folder, version, b"x", f"x.{key}")
    (free,) = list_parts(folder, key)
    assert (free.key, free.version, free.size, free.free) == (key, version, 1, True)
    part = PartFile.claim(folder, key)
    assert (part.version, part.size) == (version, 1)
    (claimed,) = list_parts(folder, key)
    assert (claimed.key, claimed.version, claimed.free, claimed.own) == (key, version, False, True)
    part.release()
    assert {found.key for found in list_parts(folder)} == {key, f"{key}x", f"x.{key}"}


@pytest.mark.parametrize("length", [50, 90, 97, 98, 99, 100, 101, 150, 5000])
@pytest.mark.parametrize("key", [KEY, "sequences~SEN-02-same_phrase_thirty_times~images~cam_222200037.mp4", "é" * 70])
def test_validators_that_fit_into_no_name_are_held_by_the_process_alone(folder, length, key):
    version = Version('"' + "e" * (length - 2) + '"', 10**13)
    part = PartFile.claim(folder, key)
    part.restart(version)
    part.write(memoryview(b"x"))
    assert part.version == version
    part.release()
    kept = [found.version for found in list_parts(folder)]
    assert kept in ([version], [])
    assert (kept == [version]) >= (length <= 50 and key == KEY)


def test_other_files_are_not_taken_for_parts(folder):
    others = [
        ".part",
        "..part",
        "...part",
        "....part",
        ".nersemble.tsv",
        "video.mp4.part",
        f".{KEY}.part",
        f".{KEY}.x.part",
        f"{KEY}.Im9uZSI.1000.part",
    ]
    for name in others:
        (folder / name).write_bytes(b"x")
    part = PartFile.claim(folder, KEY)
    assert part.size == 0
    part.restart(ONE)
    part.write(memoryview(b"x"))
    part.finish(folder / "whole")
    assert set(names(folder)) == {*others, "whole"}


# --- processes --------------------------------------------------------------------------------------------------------


def test_what_another_process_writes_is_left_alone(folder):
    begin(folder)
    process = other_process(folder)
    assert is_written_elsewhere(folder, KEY)
    part = PartFile.claim(folder, KEY)
    assert (part.version, part.size) == (None, 0)
    part.restart(ONE)
    part.write(memoryview(b"z" * 1000))
    part.finish(folder / "whole")
    (found,) = list_parts(folder)
    assert (found.size, found.free, found.own) == (600, False, False)
    end(process, "release")
    assert [(found.size, found.free) for found in list_parts(folder)] == [(600, True)]


@pytest.mark.parametrize("how", ["killed", "ended", "zombie"])
def test_the_claim_of_a_process_that_is_gone_is_taken_over(folder, how):
    """Also while nobody has asked for its exit status."""
    process = other_process(folder)
    if how == "ended":
        end(process)
    else:
        process.kill()
        if how == "killed":
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert not is_written_elsewhere(folder, KEY)
    part = PartFile.claim(folder, KEY)
    assert (part.version, part.size) == (ONE, 300)
    part.release()
    process.communicate()


def test_a_later_process_of_the_same_number_is_another_one(folder):
    process = other_process(folder)
    name, reused = claimed_by(folder, started=1)
    os.rename(folder / name, folder / reused)
    assert not is_written_elsewhere(folder, KEY)
    part = PartFile.claim(folder, KEY)
    assert part.size == 300
    part.release()
    end(process)


def test_this_process_itself_can_have_an_earlier_ones_number(folder):
    kept = PartFile.claim(folder, KEY)
    kept.restart(ONE)
    kept.write(memoryview(b"x"))
    name, reused = claimed_by(folder, started=1)
    os.rename(folder / name, folder / reused)
    (found,) = list_parts(folder)
    assert (found.free, found.own) == (True, False)
    kept.release()


def test_a_claim_of_another_machine_counts_as_long_as_something_comes(folder):
    """It cannot be asked whether its process lives, so that its silence has to say so."""
    process = other_process(folder)
    name, foreign = claimed_by(folder, here="0123456789ab")
    os.rename(folder / name, folder / foreign)
    assert is_written_elsewhere(folder, KEY)
    mine = PartFile.claim(folder, KEY)
    assert mine.size == 0
    mine.release()
    end(process)
    assert is_written_elsewhere(folder, KEY)
    silent = time.time() - FORGOTTEN - 1
    os.utime(folder / foreign, (silent, silent))
    assert not is_written_elsewhere(folder, KEY)
    part = PartFile.claim(folder, KEY)
    assert part.size == 300
    part.release()


def test_a_claim_on_an_old_part_is_a_new_claim(folder):
    """For other machines, too, which tell by its age whether it was given up."""
    begin(folder)
    (path,) = folder.iterdir()
    os.utime(path, (1, 1))
    part = PartFile.claim(folder, KEY)
    (path,) = folder.iterdir()
    assert time.time() - path.stat().st_mtime < 60
    part.release()


def test_whoever_lost_its_claim_notices_and_harms_nothing(folder):
    begin(folder)
    lost = PartFile.claim(folder, KEY)
    lost.go_on()
    name, taken = claimed_by(folder, here="0123456789ab")
    os.rename(folder / name, folder / taken)
    lost.write(memoryview(b"x" * 700))
    with pytest.raises(LostClaimError):
        lost.finish(folder / "whole")
    lost.release()
    assert names(folder) == [taken]
    assert (folder / taken).read_bytes() == b"x" * 1000  # of the same version, at the same place


def test_beginning_anew_leaves_a_lost_part_alone(folder):
    begin(folder)
    lost = PartFile.claim(folder, KEY)
    name, taken = claimed_by(folder, here="0123456789ab")
    os.rename(folder / name, folder / taken)
    lost.restart(OTHER)
    lost.write(memoryview(b"other"))
    assert (folder / taken).read_bytes() == b"x" * 300
    lost.release()


RACE = """
import sys
from pathlib import Path
from nersemble.transport.part_file import PartFile
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for number in range(rounds):
    sys.stdin.readline()
    part = PartFile.claim(folder, f"file{number}")
    print(part.size, flush=True)
    sys.stdin.readline()
    part.release()
    print("released", flush=True)
"""


def test_of_many_processes_one_gets_a_part(folder):
    """50 races of 4."""
    rounds, racers = 50, 4
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(racers)
    ]

    def tell_all():
        for process in processes:
            process.stdin.write("\n")
        return sorted(process.stdout.readline().strip() for process in processes)

    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for number in range(rounds):
        begin(folder, key=f"file{number}")
        assert tell_all() == ["0"] * (racers - 1) + ["300"]
        assert tell_all() == ["released"] * racers
        assert [part.size for part in list_parts(folder, f"file{number}")] == [300]
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_dead_claims_are_raced_for_too(folder):
    process = other_process(folder, "file0")
    process.kill()
    process.communicate()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder), "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    outputs = sorted(racer.stdout.readline() for racer in racers)
    assert outputs == ["0\n"] * 3 + ["300\n"]
    for racer in racers:
        racer.communicate("\n", timeout=30)


def test_a_forked_process_has_a_claim_of_its_own(folder):
    """The names are made for the process that asks, not for the one that imported this."""
    code = f"""
import os, sys
from pathlib import Path
from nersemble.transport.part_file import PartFile, is_written_elsewhere
folder = Path({str(folder)!r})
part = PartFile.claim(folder, "file")
child = os.fork()
if not child:
    os._exit(0 if is_written_elsewhere(folder, "file") else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "0\n"
