"""What a download does to a folder that holds something already, or that refuses to hold more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from _faults import LONG_AGO, UNPRIVILEGED, Scene, files_in, misbehaving, plain, put, send, video, whole_traceback

import nersemble
from nersemble.catalog_cache import published_catalog
from nersemble.demo import DemoHandler
from nersemble.downloads import get
from nersemble.errors import CatalogError
from nersemble.transport import policy

COMMAND = [sys.executable, "-m", "nersemble"]
SEQUENCES, PARTICIPANTS = "metadata_sequences.csv", "metadata_participants.csv"
PEOPLE = b"ID,gender,age\n240,f,33\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.004)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch) as made:
        put(made.truth, PARTICIPANTS, PEOPLE)
        yield made


def kept_tables(scene):
    """The tables in the cache, by their name."""
    return {path.name: path.read_bytes() for path in scene.folder.parent.rglob("*.kept")}


# --- tables that are none ---------------------------------------------------------------------------------------------

NO_IDS = b"name,EXP-1-head\n240,x\n"
NO_TABLES = {
    "a web page": b"<!DOCTYPE html><html>Please, sign in</html>",
    "an empty body": b"",
    "a sentence": b"The quota of this account is used up, try again tomorrow\n",
    "no text": b"ID,EXP-1-head\n\xff\xfe\x00\n",
}


def answering(body, *, table):
    def answer(handler, path, number):
        if path == table:
            send(handler, 200, {"Content-Length": str(len(body)), "Content-Type": "text/csv", "ETag": '"no"'}, body)
        else:
            plain(handler, path, number)

    return misbehaving(answer, suffix=".csv")


@pytest.mark.parametrize(
    ("table", "body"),
    [
        *((table, body) for table in (SEQUENCES, PARTICIPANTS) for body in NO_TABLES.values()),
        (SEQUENCES, NO_IDS),
    ],
)
def test_what_is_no_table_does_not_replace_one(scene, table, body):
    """Neither in the folder nor in the cache; the download says so and fetches the rest."""
    scene.serve()
    options = {"assets": "metadata,images", "cameras": scene.cameras}
    scene.download(**options)
    good, kept = (scene.folder / table).read_bytes(), kept_tables(scene)
    assert good == (scene.truth / table).read_bytes()
    assert set(kept) == {f"{SEQUENCES}.kept", f"{PARTICIPANTS}.kept"}
    again = scene.serve_like(answering(body, table=table))
    report = scene.download(force=True, **options)
    assert {str(asset) for asset in report.failed} == {table}
    (reason,) = report.failed.values()
    assert "is not the table it should be" in reason
    assert "nersemble login" in reason
    assert (report.fetched, report.kept) == (4, 1)  # the videos, and the other table as it was
    assert [request.path for request in again.requests if request.path == table] == [table]
    assert (scene.folder / table).read_bytes() == good
    assert kept_tables(scene)[f"{table}.kept"] == kept[f"{table}.kept"]


@pytest.mark.parametrize("body", [*NO_TABLES.values(), NO_IDS])
def test_a_first_catalogue_that_is_none_ends_the_download(scene, body):
    """Before anything is made or fetched."""
    server = scene.serve(answering(body, table=SEQUENCES))
    with pytest.raises(CatalogError, match="is not the table it should be") as caught:
        scene.download(assets="metadata,images")
    assert server.prefix not in whole_traceback(caught.value)
    assert kept_tables(scene) == {}
    assert not scene.folder.exists()
    assert {request.path for request in server.requests} == {SEQUENCES}


@pytest.mark.parametrize("body", NO_TABLES.values(), ids=NO_TABLES)
def test_a_first_table_of_participants_that_is_none_is_not_kept(scene, body):
    scene.serve(answering(body, table=PARTICIPANTS))
    report = scene.download(assets="metadata,images", cameras=scene.cameras)
    assert {str(asset) for asset in report.failed} == {PARTICIPANTS}
    assert set(files_in(scene.folder)) == {SEQUENCES, *scene.videos}
    assert set(kept_tables(scene)) == {f"{SEQUENCES}.kept"}


@pytest.mark.parametrize("body", [NO_IDS, b"participant_id,age\n240,31\n", b"name,ID\nsomebody,\n"])
def test_a_table_of_participants_may_have_any_columns(scene, body):
    put(scene.truth, PARTICIPANTS, body)
    scene.serve()
    report = scene.download(assets="metadata,images", cameras=scene.cameras)
    assert not report.failed
    assert (scene.folder / PARTICIPANTS).read_bytes() == body


def test_a_bad_table_of_a_folder_is_not_copied(scene, monkeypatch):
    """Where the access URL leads to a folder, as on a cluster that has the data on a disk."""
    monkeypatch.setenv("NERSEMBLE_DATA_URL", str(scene.truth))
    scene.download(assets="metadata,images", cameras=scene.cameras)
    put(scene.truth, PARTICIPANTS, NO_TABLES["a web page"])
    report = scene.download(assets="metadata,images", force=True, but=[PARTICIPANTS])
    assert {str(asset) for asset in report.failed} == {PARTICIPANTS}
    assert (scene.folder / PARTICIPANTS).read_bytes() == PEOPLE


# --- files that the server has no more --------------------------------------------------------------------------------

PARAMS = "240/calibration/camera_params.json"
ASSETS = "metadata_participants,calibration,images"
GONE = "the server does not have it any more"


class Emptied(DemoHandler):
    """Has nothing but the catalogue any more."""

    def respond(self, path):
        self.send_file(path) if path == SEQUENCES else self.send_status(404)


@pytest.fixture
def held(scene, demo_folder):
    """A folder that has a table, a calibration and four videos whole, all of which the server has no more."""
    put(scene.truth, PARAMS, b'{"world_2_cam": {}, "intrinsics": []}')
    for path in scene.videos:
        put(scene.truth, path, (demo_folder / path).read_bytes())
    scene.serve()
    report = scene.download(assets=ASSETS)
    assert (report.complete, report.fetched, report.withdrawn) == (True, 6, [])
    scene.server = scene.serve_like(Emptied)
    return scene


def download_again(scene, **options):
    """The report, and of which files it was told that the server has no more of them."""
    told = {}
    plan = nersemble.plan_download(folder=scene.folder, cameras=scene.cameras, assets=ASSETS, **options)
    report = plan.run(workers=4, on_file=lambda event: told.update({str(event.asset): event}))
    scene.check(report)
    gone = {path for path, event in told.items() if event.reason == GONE}
    assert {told[path].outcome for path in gone} <= {"kept"}
    assert {str(asset) for asset in report.withdrawn} == set(report.as_dict()["withdrawn"]) == gone
    return report, gone


def asked_for(scene):
    return {request.path for request in scene.server.requests} - {SEQUENCES}


def test_what_is_known_to_be_whole_is_not_even_asked_for(held):
    report, gone = download_again(held)
    assert (report.complete, report.kept, report.missing) == (True, 6, [])
    assert gone == asked_for(held) == set()
    assert len(files_in(held.folder)) == 6


def test_what_is_whole_is_kept_where_nobody_knows_its_size(held):
    """As in a folder that the official kit made."""
    (held.folder / ".nersemble.tsv").unlink()
    for kept in held.folder.parent.rglob(f"{PARTICIPANTS}.kept"):
        kept.unlink()
    everything = set(files_in(held.folder))
    for _ in range(2):
        report, gone = download_again(held)
        assert (report.complete, report.kept, report.missing, report.failed) == (True, 6, [], {})
        assert gone == asked_for(held) == everything == set(files_in(held.folder))
        assert "6 files kept that the server has no more: 240/calibration" in str(report)
        held.server.reset()
    found = nersemble.folder_status(held.folder)
    assert (len(found.complete), found.missing, found.to_do) == (6, [], [])


def test_what_is_whole_is_kept_also_if_it_is_to_be_fetched_again(held):
    everything = set(files_in(held.folder))
    report, gone = download_again(held, force=True)
    assert (report.complete, report.kept, report.missing, report.failed) == (True, 6, [], {})
    assert gone == asked_for(held) == everything == set(files_in(held.folder))


def test_a_better_estimate_does_not_lose_what_is_there(held):
    plan = nersemble.plan_download(folder=held.folder, cameras=held.cameras, assets="images", force=True)
    held.folder.joinpath(".nersemble.tsv").unlink()
    plan.record.sizes.clear()
    plan.refine()
    assert asked_for(held) == held.videos
    report = plan.run()
    assert (report.complete, report.kept, report.missing) == (True, 4, [])


@pytest.mark.parametrize("known", [True, False])
def test_what_is_cut_off_counts_as_missing_and_stays_all_the_same(held, known):
    path = video(2)
    half = (held.folder / path).read_bytes()[:-3000]
    put(held.folder, path, half)
    if not known:
        (held.folder / ".nersemble.tsv").unlink()
    report = nersemble.download(folder=held.folder, cameras=held.cameras, assets="images", progress=False)
    assert [str(asset) for asset in report.missing] == [path]
    assert (report.complete, report.kept) == (True, 3)
    assert (held.folder / path).read_bytes() == half


def test_the_command_tells_what_it_keeps_though_the_server_has_it_no_more(held):
    (held.folder / ".nersemble.tsv").unlink()
    arguments = ["download", str(held.folder), "--assets", "images", "--camera", ",".join(held.cameras), "--yes"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=True)
    assert "4 files kept that the server has no more: 240/sequences/EXP-1-head/images/cam_" in done.stdout
    assert "not on the server" not in done.stdout
    done = subprocess.run([*COMMAND, *arguments, "--force", "--json"], capture_output=True, text=True, check=True)
    *_, end = events = [json.loads(line) for line in done.stdout.splitlines()]
    files = {event["path"]: (event["outcome"], event["reason"]) for event in events if event["event"] == "file"}
    assert files == dict.fromkeys(held.videos, ("kept", GONE))
    assert (end["kept"], set(end["withdrawn"]), end["missing"]) == (4, held.videos, [])


# --- selections of which something was withdrawn ----------------------------------------------------------------------


def fetch(scene, **selection):
    nersemble.download(folder=scene.folder, cameras=scene.cameras, assets="images", progress=False, **selection)
    scene.check()


def withdraw(scene, *participants):
    """Take participants out of the published catalogue; a new one is then in use."""
    table = scene.truth / SEQUENCES
    lines = [line for line in table.read_bytes().splitlines() if line.partition(b",")[0] not in participants]
    put(scene.truth, SEQUENCES, b"\n".join([*lines, b""]), changed=LONG_AGO + 100)
    published_catalog(refresh=True)


def test_those_withdrawn_out_of_a_range_are_named(tmp_path, monkeypatch):
    """A range stands for each of those who were in it when it was asked for."""
    with Scene(tmp_path, monkeypatch, participants=range(10, 16), cameras=1, size=100) as scene:
        scene.serve()
        fetch(scene, participants="11-14")
        withdraw(scene, b"12", b"13", b"15")
        found = nersemble.folder_status(scene.folder)
        assert set(found.dropped) == {"participant_12", "participant_13"}
        assert found.dropped["participant_12"].startswith("No participant 12.")
        assert [asset.participant for asset in found.complete] == [11, 14]
        assert [asset.participant for asset in found.not_selected] == [12, 13]
        assert found.to_do == []


def test_a_selection_that_is_empty_by_now_is_named(tmp_path, monkeypatch):
    """The participant and the sequence exist, but the one has not the other any more."""
    names = ("EXP-1-head", "HAIR")
    with Scene(tmp_path, monkeypatch, participants=(10, 11), sequences=names, cameras=1, size=100) as scene:
        scene.serve()
        fetch(scene, participants=10, sequences="HAIR")
        fetch(scene, participants=11, sequences="HAIR")
        header, ten, eleven = (line.split(b",") for line in (scene.truth / SEQUENCES).read_bytes().splitlines())
        ten[header.index(b"HAIR")] = b""
        table = b"".join(b",".join(line) + b"\n" for line in (header, ten, eleven))
        put(scene.truth, SEQUENCES, table, changed=LONG_AGO + 100)
        published_catalog(refresh=True)
        found = nersemble.folder_status(scene.folder)
        (name,) = found.dropped
        assert name.startswith("participant_10__sequence_HAIR")
        assert "None of the selected participants has any of the sequences HAIR" in found.dropped[name]
        assert [asset.participant for asset in found.complete] == [11]
        assert [asset.participant for asset in found.not_selected] == [10]


# --- two downloads of one process -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"force": True}])
def test_two_downloads_of_one_process_share_a_folder(tmp_path, monkeypatch, options):
    """Both end well and no file is fetched twice, though the server is slow enough for both to be at each of them."""
    both_planned = threading.Barrier(2)
    requests, lock = {}, threading.Lock()

    def slow(handler, path, number):
        with lock:
            requests[path] = requests.get(path, 0) + 1
        time.sleep(0.02)
        handler.send_file(path)

    with Scene(tmp_path, monkeypatch, sequences=("HAIR", "FREE"), cameras=4, size=200_000) as scene:
        put(scene.truth, PARTICIPANTS, PEOPLE)
        scene.serve(slow)
        results = []

        def work():
            selection = {"cameras": scene.cameras, "assets": "images,metadata", **options}
            plan = nersemble.plan_download(folder=scene.folder, **selection)
            both_planned.wait(60)
            results.append(plan.run(workers=4))

        if options:
            scene.download()
            requests.clear()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for report in results:
            scene.check(report)
            assert (report.complete, report.fetched + report.kept, report.missing) == (True, 10, [])
        assert len(results) == 2
        assert set(requests) == scene.videos
        assert max(requests.values()) == (2 if options else 1)  # what is forced is fetched for each of them


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_during_a_download_is_at_none_of_its_files(tmp_path, monkeypatch):
    asked, release = threading.Event(), threading.Event()

    def hold(handler, path, number):
        asked.set()
        release.wait(60)
        handler.send_file(path)

    with Scene(tmp_path, monkeypatch, cameras=1) as scene:
        scene.serve(hold)
        target = scene.folder / video()
        thread = threading.Thread(target=scene.download)
        thread.start()
        assert asked.wait(60)
        child = os.fork()
        if not child:
            with get._alone_at(target) as alone:
                os._exit(0 if alone else 1)
        with get._alone_at(target) as alone:
            assert not alone
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        release.set()
        thread.join(60)
        with get._alone_at(target) as alone:
            assert alone


# --- folders that refuse ----------------------------------------------------------------------------------------------


@pytest.fixture
def command(scene, tmp_path):
    """Runs ``nersemble download`` as somebody whom permissions hold; gives exit code, stdout and stderr."""

    def run(folder, *arguments):
        words = ["download", str(folder), "--assets", "images", "--camera", ",".join(scene.cameras), *arguments]
        done = subprocess.run(
            [*UNPRIVILEGED, *COMMAND, *words, "--yes", "--quiet"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        shown = done.stdout + done.stderr
        assert not [secret for secret in [*scene.secrets, "127.0.0.1", "Traceback"] if secret in shown]
        return done.returncode, done.stdout, done.stderr

    yield run
    for path in [tmp_path, *tmp_path.rglob("*")]:  # so that it can be removed
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def closed(folder):
    """Make a folder that lets nobody write into it."""
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    return folder


def fetched_from(server):
    return [request.path for request in server.requests if request.path.endswith(".mp4")]


@pytest.mark.parametrize("kind", ["the folder", "its parent", "a file for its parent", "a link to nothing in it"])
def test_a_folder_that_refuses_is_one_error_before_anything_is_fetched(scene, command, tmp_path, kind):
    server = scene.serve()
    if kind == "the folder":
        folder, said = closed(tmp_path / "closed"), "permission denied"
    elif kind == "its parent":
        folder, said = closed(tmp_path / "closed") / "a" / "b", "permission denied"
    elif kind == "a file for its parent":
        (tmp_path / "file").write_bytes(b"here")
        folder, said = tmp_path / "file" / "a", "not a directory"
    else:
        folder, said = (
            tmp_path / "link",
            "there is no folder but something else, such as a link to a disk that is not mounted",
        )
        folder.symlink_to(tmp_path / "closed" / "nowhere")
        closed(tmp_path / "closed")
    code, out, err = command(folder)
    assert (code, out) == (1, "")
    assert err == f"Error: {folder} cannot be written: {said}. Choose another folder, or mend this one.\n"
    assert fetched_from(server) == []
    made = [path for path in tmp_path.rglob("*") if not path.is_relative_to(scene.truth)]
    assert not [path for path in made if path.suffix in (".mp4", ".part", ".tsv")]


def test_a_file_for_the_folder_is_one_error(scene, command, tmp_path):
    server = scene.serve()
    (tmp_path / "file").write_bytes(b"here")
    code, out, err = command(tmp_path / "file")
    assert (code, out) == (1, "")
    assert err == f"Error: {tmp_path / 'file'} is a file. Name a folder to download to.\n"
    assert fetched_from(server) == []
    assert (tmp_path / "file").read_bytes() == b"here"


@pytest.mark.parametrize("kind", ["closed", "a file", "a link to nothing"])
def test_one_participants_folder_that_refuses_does_not_stop_the_others(tmp_path, monkeypatch, kind):
    """Their files are fetched; those that cannot be written are listed, and nothing is asked of the server for them."""
    with Scene(tmp_path, monkeypatch, participants=(10, 11, 12), cameras=4, size=5000) as scene:
        server = scene.serve()
        scene.folder.mkdir()
        refusing = scene.folder / "011"
        if kind == "closed":
            closed(refusing)
        elif kind == "a file":
            refusing.write_bytes(b"here")
        else:
            refusing.symlink_to(tmp_path / "missing" / "disk")
        words = ["download", str(scene.folder), "--assets", "images", "--camera", ",".join(scene.cameras), "--yes"]
        done = subprocess.run([*UNPRIVILEGED, *COMMAND, *words], capture_output=True, text=True, timeout=120)
        refusing.chmod(0o755) if kind == "closed" else refusing.unlink()
        assert done.returncode == 2, done.stderr
        assert "8 files fetched" in done.stdout
        assert "4 files failed:" in done.stdout
        reasons = [line for line in done.stdout.splitlines() if line.startswith("  nersemble://011/")]
        assert len(reasons) == 4
        assert [line for line in reasons if f"could not be written to {refusing}" not in line] == []
        assert not [secret for secret in [*scene.secrets, "Traceback"] if secret in done.stdout + done.stderr]
        others = {path for path in scene.videos if not path.startswith("011/")}
        assert set(fetched_from(server)) == others
        assert scene.check() - {"011"} == others
        report = scene.download()
        assert (report.complete, report.fetched, report.kept) == (True, 4, 8)
