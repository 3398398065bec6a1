"""Downloading processes that are killed, interrupted, run side by side, or run out of disk."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from _faults import (
    DRIVER,
    SIZE,
    Scene,
    eventually,
    files_in,
    finish_download,
    misbehaving,
    part_of,
    parts_in,
    plain,
    put,
    reset,
    start_download,
    video,
)

from nersemble.layout import find_asset
from nersemble.transport.exchange import PIECE
from nersemble.transport.fetch import OVERLAP
from nersemble.transport.part_file import list_parts

TESTS = Path(__file__).parent
LARGE, STEP = 3_000_000, 1_000_000
#: What is on disk of a step that came, while the next piece is waited for.
WRITTEN = STEP // PIECE * PIECE


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch, size=LARGE) as made:
        yield made


def stalling(release):
    """Sends a step of what was asked for, and then nothing until it is released."""
    return part_of(STEP, lambda handler: (release().wait(60), setattr(handler, "close_connection", True)))


def sizes_of_parts(scene):
    try:
        return [part.stat().st_size for part in parts_in(scene.folder)]
    except FileNotFoundError:  # renamed meanwhile
        return []


def holds(scene, *, files, least):
    sizes = sizes_of_parts(scene)
    return len(sizes) == files and min(sizes) >= least


# --- killed and interrupted -------------------------------------------------------------------------------------------


def test_a_process_that_is_killed_again_and_again_is_gone_on_with(scene):
    """Each one begins where the one before ended, but for what had not reached the disk."""
    lives = [threading.Event() for _ in range(3)]
    life = 0

    def answer(handler, path, number):
        (stalling(lambda: lives[life]) if life < 3 else plain)(handler, path, number)

    server = scene.serve(answer)
    held = {}
    for life in range(4):
        process = start_download(scene.folder, cameras=scene.cameras)
        if life == 3:
            report = finish_download(process)
        else:
            least = (life + 1) * (WRITTEN - OVERLAP)
            eventually(lambda least=least: holds(scene, files=4, least=least))
            process.kill()
            process.communicate()
            lives[life].set()
            assert scene.check() == set()
            assert [part for part in parts_in(scene.folder) if ".by_" not in part.name] == []
        asked = {r.path: r.range for r in server.requests if r.path.endswith(".mp4")}
        assert asked == {path: f"bytes={held[path] - OVERLAP}-" if held else None for path in scene.videos}
        held = sizes_held(scene)
        server.reset()
    assert (report["complete"], report["fetched"]) == (True, 4)
    assert report["bytes"] < 4 * (LARGE - least + OVERLAP)
    assert scene.check() == scene.videos
    assert parts_in(scene.folder) == []


def sizes_held(scene):
    """Bytes of each file that is half downloaded, by its published path."""
    return {f"240/{part.key.replace('~', '/')}": part.size for part in list_parts(scene.folder / "240")}


def test_ctrl_c_ends_a_download_within_a_second_and_keeps_what_came(scene):
    release = threading.Event()
    server = scene.serve(stalling(lambda: release))
    process = start_download(scene.folder, cameras=scene.cameras)
    eventually(lambda: holds(scene, files=4, least=WRITTEN))
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.wait(30)
    assert time.monotonic() - began < 1
    out, err = process.communicate()
    assert "KeyboardInterrupt" in err
    assert process.returncode in (-signal.SIGINT, 130)
    for secret in (server.prefix, "127.0.0.1"):
        assert secret not in out + err
    release.set()
    assert scene.check() == set()
    assert holds(scene, files=4, least=WRITTEN)
    assert [part for part in parts_in(scene.folder) if ".by_" in part.name] == []
    again = scene.serve()
    report = scene.download()
    assert report.complete
    assert report.bytes <= 4 * (LARGE - WRITTEN + OVERLAP)
    assert {request.status for request in again.requests if request.path.endswith(".mp4")} == {206}


@pytest.mark.parametrize("waiting", ["pause", "answer", "reset"])
def test_ctrl_c_ends_whatever_a_download_waits_for(scene, waiting):
    """A pause that the server asked for, an answer that does not come, and tries that go on and on."""
    release, asked = threading.Event(), threading.Barrier(5)

    def answer(handler, path, number):
        if number == 1:
            asked.wait(60)
        if waiting == "pause":
            handler.send_status(429, "", {"Retry-After": "600"})
        elif waiting == "answer":
            release.wait(60)
        else:
            reset(handler)

    scene.serve(answer)
    script = DRIVER.replace("FIRST_PAUSE = 0.01", "FIRST_PAUSE = 30")
    process = start_download(scene.folder, script=script, cameras=scene.cameras)
    asked.wait(60)
    if waiting == "pause":
        eventually(lambda: threads_sleep(process.pid))
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.wait(30)
    assert time.monotonic() - began < 1
    out, err = process.communicate()
    assert "KeyboardInterrupt" in err
    assert not [secret for secret in scene.secrets if secret in out + err]
    release.set()
    assert scene.check() == set()


def threads_sleep(pid):
    """Whether no thread of a process has anything to do."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"S"}


# --- side by side -----------------------------------------------------------------------------------------------------


def test_two_processes_share_a_folder(tmp_path, monkeypatch):
    """Both end well, and every file is fetched about once in all."""
    both_at_work, lock = threading.Barrier(8), threading.Lock()
    begun = []

    def answer(handler, path, number):
        with lock:
            begun.append(path)
            place = len(begun)
        if place <= 8:  # four workers of each
            both_at_work.wait(60)
        handler.send_file(path)

    with Scene(tmp_path, monkeypatch, sequences=("HAIR", "FREE", "GLASSES"), cameras=16, size=200_000) as scene:
        server = scene.serve(answer)
        processes = [start_download(scene.folder, cameras=scene.cameras) for _ in range(2)]
        reports = [finish_download(process) for process in processes]
        assert [report["complete"] for report in reports] == [True, True]
        assert [report["fetched"] + report["kept"] for report in reports] == [48, 48]
        assert min(report["fetched"] for report in reports) > 0
        whole = [r for r in server.requests if r.path.endswith(".mp4") and (r.method, r.status) == ("GET", 200)]
        assert {request.path for request in whole} == scene.videos
        assert len(whole) == sum(report["fetched"] for report in reports) <= 48 + 2  # a look at a folder is no lock
        assert scene.check() == scene.videos
        assert parts_in(scene.folder) == []


def test_a_process_takes_over_what_another_one_left_when_it_was_killed(scene):
    """It waits as long as the other one lives, and goes on from where that one was."""
    release = threading.Event()
    held, other = video(0), video(1)

    def answer(handler, path, number):
        if path == held and number == 1:
            stalling(lambda: release)(handler, path, number)
        else:
            handler.send_file(path)

    server = scene.serve(answer)
    cameras = [find_asset(path)[1].camera for path in (held, other)]
    one = start_download(scene.folder, cameras=cameras[:1])
    eventually(lambda: holds(scene, files=1, least=WRITTEN))
    two = start_download(scene.folder, cameras=cameras)
    eventually(lambda: files_in(scene.folder) == [other])
    eventually(lambda: threads_sleep(two.pid))  # between two looks at the other one's part
    assert [request for request in server.requests_so_far() if request.path == held] == []
    one.kill()
    one.communicate()
    (had,) = sizes_of_parts(scene)
    release.set()
    report = finish_download(two)
    assert (report["complete"], report["fetched"]) == (True, 2)
    assert report["bytes"] == LARGE + LARGE - had + OVERLAP
    assert scene.check() == {held, other}
    assert parts_in(scene.folder) == []


def test_a_process_keeps_what_another_one_has_finished(scene):
    """Also what that one was still at when this one began."""
    release = threading.Event()
    held = video(0)

    def answer(handler, path, number):
        if path == held:
            release.wait(60)
        handler.send_file(path)

    server = scene.serve(answer)
    one = start_download(scene.folder, cameras=scene.cameras, workers=1)
    eventually(lambda: parts_in(scene.folder))
    two = start_download(scene.folder, cameras=scene.cameras, workers=1)
    eventually(lambda: len(files_in(scene.folder)) == 3)
    release.set()
    reports = [finish_download(one), finish_download(two)]
    assert [report["complete"] for report in reports] == [True, True]
    assert reports[0]["fetched"] + reports[1]["fetched"] == 4
    assert len([r for r in server.requests if r.path.endswith(".mp4") and r.method == "GET"]) == 4
    assert scene.check() == scene.videos
    assert parts_in(scene.folder) == []


# --- disks ------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def namespace():
    """How a process gets mounts of its own, which end with it: as root, or as the root of a namespace."""
    ways = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
    for way in ways:
        probe = [*way, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return way
    raise OSError("Neither root nor a user namespace may mount a tmpfs here, so what a full disk does is not known.")


#: What the scripts below have in common.  They look at the small disk themselves: nobody else can see it.
PRELUDE = """
import json, os, resource, subprocess, sys
from pathlib import Path
options = json.loads(sys.argv[1])
sys.path.insert(0, options["tests"])
import nersemble
from _faults import check_folder, check_report, files_in, parts_in
from nersemble.transport import policy

policy.FIRST_PAUSE = 0.01
disk, truth = Path(options["folder"]), Path(options["truth"])
folder = disk / "data"
secrets = [os.environ["NERSEMBLE_DATA_URL"].rpartition("/")[2]]

def plan(**more):
    return nersemble.plan_download(folder=folder, cameras=options["cameras"], assets="images", **more)

def run(on_file=None):
    report = plan().run(workers=4, on_file=on_file)
    check_report(report, secrets)
    check_folder(folder, truth, secrets)
    if report.complete:
        assert parts_in(folder) == []
    return report

def free():
    return plan().free_bytes

def left():
    held = [path.stat().st_size for path in parts_in(folder) if path.stat().st_size]
    return (len(options["cameras"]) - len(files_in(folder))) * options["size"] - sum(held)
"""


def on_a_small_disk(scene, script, mount="size=16m", when_told=None):
    """Run a script on a tmpfs of its own; what it prints last, from JSON.  ``when_told`` is called at the first."""
    disk = scene.folder
    disk.mkdir()
    shell = f'mount -t tmpfs -o {mount} tmpfs "$0" && exec "$@"'
    options = {"tests": str(TESTS), "truth": str(scene.truth), "cameras": scene.cameras, "size": SIZE}
    prefix = [*namespace(), "sh", "-c", shell, str(disk)]
    process = start_download(disk, script=PRELUDE + script, prefix=prefix, **options)
    if when_told is not None:
        process.stdout.readline()
        when_told()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    assert list(disk.iterdir()) == []  # it was a disk of its own
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def many(tmp_path, monkeypatch):
    """16 videos, 11 MB."""
    with Scene(tmp_path, monkeypatch, cameras=16) as made:
        yield made


def test_a_disk_that_becomes_full_stops_the_queue_and_says_what_is_missing(many):
    """Another program fills it meanwhile; once there is room, the download goes on."""
    filled, lock = threading.Event(), threading.Lock()
    begun = []

    def answer(handler, path, number):
        with lock:
            begun.append(path)
            waits = len(begun) > 4
        if waits:
            filled.wait(60)
        handler.send_file(path)

    server = many.serve(answer)
    told = on_a_small_disk(
        many,
        """
ballast, events = disk / "ballast", []

def fill(event):
    events.append(event)
    if len(events) == 4:  # the workers wait for the next four
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free() - 1_500_000)
        print("filled", flush=True)

report = run(fill)
facts = {"stopped": report.stopped, "failed": len(report.failed), "left": left(), "free": free()}
facts["rest"] = report.not_tried + len(report.failed) + report.fetched
try:
    report.raise_if_incomplete()
except nersemble.StorageError as error:
    facts["raised"] = str(error)
ballast.unlink()
facts["again"] = run().as_dict()
print(json.dumps(facts))
""",
        when_told=filled.set,
    )
    assert "is full" in told["stopped"]
    assert "is full" in told["raised"]
    assert told["rest"] == 16
    assert 1 <= told["failed"] <= 4
    assert told["free"] < 300_000
    number = told["stopped"].partition("(")[2].partition(" bytes")[0]
    assert int(number.replace(",", "")) == pytest.approx(told["left"] - told["free"], abs=1_000_000)
    assert told["again"]["complete"]
    asked = [request for request in server.requests if request.method == "GET" and request.path.endswith(".mp4")]
    assert len(asked) < 16 + 4 + 4


def test_a_disk_without_room_is_noticed_before_the_start(many):
    server = many.serve()
    told = on_a_small_disk(
        many,
        """
try:
    run()
except nersemble.StorageError as error:
    print(json.dumps({"error": str(error), "errno": error.errno, "free": free(), "files": files_in(disk)}))
""",
        mount="size=6m",
    )
    assert told["files"] == []
    assert told["errno"] == 28
    missing = 16 * SIZE - told["free"]
    number = told["error"].partition("(")[2].partition(" bytes)")[0]
    assert int(number.replace(",", "")) == pytest.approx(missing, abs=100_000)  # the folder itself needs some
    assert {request.method for request in server.requests if request.path.endswith(".mp4")} == {"HEAD"}


def test_a_disk_without_names_left_is_full_too(many):
    """Bytes are free, inodes are not: a new file cannot even be begun."""
    many.serve()
    told = on_a_small_disk(
        many,
        """
report = run()
print(json.dumps({"stopped": report.stopped, "fetched": report.fetched, "not_tried": report.not_tried,
                  "failed": list(report.failed.values()), "files": files_in(folder)}))
""",
        mount="size=64m,nr_inodes=14",
    )
    assert "the disk is full" in told["stopped"]
    assert "0 bytes" not in told["stopped"]
    assert 0 < told["fetched"] < 10
    assert told["not_tried"] > 0
    assert len(told["files"]) == told["fetched"]
    assert [reason for reason in told["failed"] if "the disk is full" not in reason] == []


def test_a_disk_that_can_only_be_read_is_one_error(many):
    """Nothing is asked for that could not be written; a folder that is complete needs no writing."""
    server = many.serve()
    told = on_a_small_disk(
        many,
        """
def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

folder.mkdir()
remount("ro")
facts = {}
try:
    run()
except nersemble.StorageError as error:
    facts["error"] = str(error)
remount("rw")
facts["again"] = run().as_dict()
remount("ro")
facts["last"] = run().as_dict()
print(json.dumps(facts))
""",
    )
    assert "read-only" in told["error"]
    assert (told["again"]["complete"], told["again"]["fetched"]) == (True, 16)
    assert (told["last"]["complete"], told["last"]["kept"]) == (True, 16)
    asked = [request for request in server.requests if request.path.endswith(".mp4")]
    assert len([request for request in asked if request.method == "GET"]) == 16


def test_a_disk_that_can_only_be_read_cannot_be_made_a_folder_on(many):
    many.serve()
    told = on_a_small_disk(
        many,
        """
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
try:
    run()
except nersemble.StorageError as error:
    print(json.dumps({"error": str(error)}))
""",
    )
    assert "cannot be written" in told["error"]
    assert "ead-only" in told["error"]


def test_a_file_that_the_disk_does_not_take_does_not_stop_the_others(many):
    """A limit on the length of files: the others are fetched."""
    small = video(5)
    put(many.truth, small, b"small")
    many.serve()
    told = on_a_small_disk(
        many,
        """
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
report = run()
facts = {"fetched": report.fetched, "stopped": report.stopped, "failed": list(report.failed.values())}
facts["files"] = files_in(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
facts["again"] = run().as_dict()
print(json.dumps(facts))
""",
    )
    assert told["files"] == [small]
    assert (told["fetched"], told["stopped"]) == (1, "")
    assert len(told["failed"]) == 15
    assert [reason for reason in told["failed"] if "file too large" not in reason] == []
    assert (told["again"]["complete"], told["again"]["fetched"], told["again"]["kept"]) == (True, 15, 1)
    # What had come before the limit was kept.
    assert told["again"]["bytes"] == 15 * (SIZE - 500_000 + OVERLAP)


def test_a_table_that_the_disk_does_not_take_leaves_nothing_behind(many):
    """What an earlier process left of one, when it was killed, goes too."""
    many.serve()
    told = on_a_small_disk(
        many,
        """
from nersemble.transport.part_file import PartFile

def tables():
    report = nersemble.download(folder=folder, assets="metadata_sequences", progress=False)
    check_report(report, secrets)
    return report, sorted(path.name for path in folder.iterdir())

folder.mkdir()
if not os.fork():
    PartFile.claim(folder, "metadata_sequences.csv").write(memoryview(b"half"))
    os._exit(0)
os.wait()
facts = {"left": len(parts_in(folder))}
nersemble.plan_download(folder=folder)  # so that the cache has the table
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
report, facts["first"] = tables()
facts["failed"] = list(report.failed.values())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report, facts["second"] = tables()
facts["complete"] = report.complete
check_folder(folder, truth, secrets)
print(json.dumps(facts))
""",
    )
    assert told["left"] == 1
    assert "metadata_sequences.csv" in told["failed"][0]
    assert "metadata_sequences.csv" not in told["first"]
    assert len([name for name in told["first"] if name.endswith(".part")]) <= 1
    assert told["second"] == [".nersemble.tsv", "metadata_sequences.csv"]
    assert told["complete"]


# --- the processes show nothing ---------------------------------------------------------------------------------------


def test_no_process_shows_the_access_url(scene):
    """Neither its arguments, nor what it prints when it fails."""
    server = scene.serve(misbehaving(lambda handler, path, number: handler.send_status(403, handler.path)))
    process = start_download(scene.folder, cameras=scene.cameras, wait=True)
    assert process.stdout.readline() == "ready\n"
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    report = finish_download(process)
    assert not report["complete"]
    assert server.prefix not in json.dumps(report)
    assert server.prefix.encode() not in arguments
