"""``nersemble list``, ``download`` and ``status``, run as a user runs them: processes, terminals, real servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from _terminals import in_terminal

from nersemble.cli.options import join_assets
from nersemble.demo import MISSING_VIDEO, DemoHandler, DemoServer
from nersemble.errors import SelectionError
from nersemble.layout import SEQUENCES_CSV, SERIALS, AssetPath
from nersemble.progress import display

COMMAND = [sys.executable, "-m", "nersemble"]
#: The smallest selection with videos: one camera of one sequence.
ONE = ("--participant", "240", "--sequence", "EXP-1-head", "--camera", SERIALS[8])
ONE_VIDEO = str(AssetPath("video", 240, "EXP-1-head", SERIALS[8]))


@pytest.fixture
def place(tmp_path):
    """Where the commands run: a folder that holds nothing."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def run(place, environ):
    """Runs a command, and checks that no run shows a traceback or the access URL."""

    def run(*arguments: str, code: int = 0, given: str | None = None, **more: str) -> tuple[str, str]:
        stdin = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=place,
            env={**environ, **more},
            capture_output=True,
            text=True,
            timeout=120,
            **stdin,
        )
        shown = done.stdout + done.stderr
        assert done.returncode == code, shown
        assert_no_secret(shown, environ, more)
        return done.stdout, done.stderr

    return run


def assert_no_secret(shown: str, *environs: dict[str, str]) -> None:
    assert "Traceback" not in shown
    assert "127.0.0.1" not in shown
    for secret in (environ.get("NERSEMBLE_DATA_URL", "").rpartition("/")[2] for environ in environs):
        assert not secret or secret not in shown


def files_below(folder: Path) -> dict[str, bytes]:
    """The files that stand under their published names."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def fetched(server: DemoServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "GET"]


# --- list -------------------------------------------------------------------------------------------------------------


def test_list_prints_an_id_a_line_and_json(run):
    assert run("list") == ("50\n55\n240\n", "")
    assert json.loads(run("list", "--json")[0]) == {"participants": [50, 55, 240]}


@pytest.mark.parametrize(
    "arguments", [["240"], ["--participant", "240"], ["--participant=240"], ["--participant", "200-300"]]
)
def test_list_prints_the_sequences_of_one_participant_a_line_each(run, arguments):
    assert run("list", *arguments)[0] == "EXP-1-head\nEMO-1-shout+laugh\nSEN-07-fond_note_friend\n"


@pytest.mark.parametrize("arguments", [["50", "240"], ["--participant", "50-54,240"], ["--participant=50", "240"]])
def test_list_names_each_of_several_participants(run, arguments):
    held = {
        "50": ["EXP-1-head", "EMO-1-shout+laugh"],
        "240": ["EXP-1-head", "EMO-1-shout+laugh", "SEN-07-fond_note_friend"],
    }
    assert run("list", *arguments)[0] == "".join(f"{person}: {' '.join(names)}\n" for person, names in held.items())
    assert json.loads(run("list", "--json", *arguments)[0]) == {"sequences": held}


def test_list_asks_the_server_once_a_day(run, demo_server):
    for _ in range(3):
        run("list")
    assert fetched(demo_server) == [SEQUENCES_CSV]
    run("list", "--refresh")
    assert fetched(demo_server) == [SEQUENCES_CSV] * 2


def test_what_does_not_exist_is_one_sentence(run, place):
    for arguments, said in (
        (["list", "241"], "Did you mean 240"),
        (["list", "--participant", "x"], "'x' is no participant id"),
        (["download", "d", "--participant", "241"], "Did you mean 240"),
        (["download", "d", "--sequence", "EMO-1-shout"], "Did you mean EMO-1-shout+laugh"),
        (["download", "d", "--camera", "8"], "Did you mean 222200037"),
        (["download", "d", "--assets", "image"], "Did you mean images"),
        (["download", "d", "--max-rate", "fast"], "no rate"),
        (["status", "d"], "no folder"),
    ):
        out, err = run(*arguments, *(["--yes"] if arguments[0] == "download" else []), code=1)
        assert out == ""
        assert re.fullmatch(r"Error: [^\n]+\n", err[err.rfind("Error") :])
        assert said in err
    assert not (place / "d").exists() or files_below(place / "d") == {}


def test_without_an_access_url_a_sentence_says_what_to_do(run):
    assert "nersemble login" in run("list", code=1, NERSEMBLE_DATA_URL="")[1]
    assert "nersemble login" in run("download", "d", code=1, NERSEMBLE_DATA_URL="")[1]


@pytest.mark.parametrize("option", ["--participant", "--sequence", "--camera", "--assets"])
@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_empty_value_selects_nothing_instead_of_everything(run, place, option, value):
    """``--participant "$P"`` without a P must not begin a download of 1.5 TB."""
    _, err = run("download", "d", option, value, "--yes", code=1)
    assert f"{option} is empty" in err
    assert not (place / "d").exists()


@pytest.mark.parametrize(
    "arguments", [["--sequence", "--camera", SERIALS[8]], ["--camera", "--yes"], ["--participant"]]
)
def test_a_pattern_that_the_shell_made_vanish_selects_nothing(run, place, arguments):
    """``--sequence XYZ*`` where the shell drops patterns that match no file."""
    done = subprocess.run(
        [*COMMAND, "download", "d", *arguments], cwd=place, input="y\n", capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (1, 2)
    assert not (place / "d").exists()


# --- the summary and the question -------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_summary_and_writes_nothing(run, place, demo_server):
    out, err = run("download", "d", "--dry-run")
    assert "168 files selected" in out
    assert re.search(r"participants +3: 50 \(50\), 55 \(50\), 240 \(66\)", out)
    assert re.search(r"sequences +3: EXP-1-head \(32\)", out)
    assert "16: 222200042 (10)" in out
    assert "images (112)" in out
    assert re.search(r"To download +168 files, about .*, give or take", out)
    assert "Free space" in out
    assert err == ""
    assert list(place.iterdir()) == []
    assert fetched(demo_server) == [SEQUENCES_CSV]


def test_a_dry_run_as_json_is_one_object(run, place):
    shown = json.loads(run("download", "d", *ONE, "--dry-run", "--json")[0])
    assert shown["participants"] == {"240": 4}
    assert shown["sequences"] == {"EXP-1-head": 1}
    assert shown["cameras"] == {SERIALS[8]: 2}
    assert shown["assets"]["images"] == 1
    assert (shown["files"], shown["todo"], shown["done"]) == (6, 6, 0)
    assert shown["estimate"]["unknown"] == 6
    assert 0 < shown["estimate"]["error"] < shown["estimate"]["bytes"]
    assert shown["free_bytes"] > 0
    assert not (place / "d").exists()


def test_refine_asks_for_sizes_and_the_estimate_gets_closer(run, place, demo_server, demo_folder):
    true = sum(path.stat().st_size for path in demo_folder.rglob("*") if path.is_file())
    estimate = json.loads(run("download", "d", "--dry-run", "--json", "--refine")[0])["estimate"]
    heads = [request for request in demo_server.requests if request.method == "HEAD"]
    assert 0 < len(heads) <= 128
    assert abs(estimate["bytes"] - true) <= estimate["error"] < true / 5
    assert not (place / "d").exists()


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " y \n", "y\n" * 100])
def test_yes_downloads(run, place, answer):
    out, err = run("download", "d", *ONE, given=answer)
    assert "Proceed? [y/N]" in err
    assert "Proceed" not in out
    assert len(files_below(place / "d")) == 6


@pytest.mark.parametrize(
    ("answer", "said"), [("n\n", "Nothing"), ("\n", "Nothing"), ("no\n", "Nothing"), ("", "--yes")]
)
def test_anything_else_downloads_nothing(run, place, answer, said):
    out, err = run("download", "d", *ONE, given=answer, code=1)
    assert said in err
    assert out == ""
    assert not (place / "d").exists()


def test_where_nothing_is_to_be_done_nobody_is_asked(run, place, demo_server):
    run("download", "d", *ONE, "--yes")
    demo_server.reset()
    out, err = run("download", "d", *ONE)
    assert "Proceed" not in err
    assert "0 files fetched" in out
    assert demo_server.requests == []


# --- the download -----------------------------------------------------------------------------------------------------


def test_everything_arrives_and_what_the_server_lacks_is_named(run, place, demo_folder):
    out, err = run("download", "d", "--yes")
    assert files_below(place / "d") == files_below(demo_folder)
    assert re.search(r"167 files fetched", out)
    assert f"1 file not on the server: {MISSING_VIDEO}" in out
    assert "168 files selected" in err
    assert "Downloading: 168 of 168 files" in err


def test_quiet_says_nothing(run, place):
    assert run("download", "d", *ONE, "--yes", "--quiet") == ("", "")
    assert len(files_below(place / "d")) == 6


def test_quiet_does_not_tell_of_yesterdays_catalogue(run, environ, demo_folder):
    class Broken(DemoHandler):
        def respond(self, path: str) -> None:
            if path.endswith(SEQUENCES_CSV) and asked_before:
                self.send_head(503, {"Content-Length": "0", "Retry-After": "100000"})
            else:
                super().respond(path)

    asked_before, words = False, (*ONE, "--assets", "images", "--yes")
    with DemoServer(demo_folder, handler=Broken) as server:
        more = {"NERSEMBLE_DATA_URL": server.url, "PYTHONWARNINGS": "default"}
        run("list", **more)
        asked_before = True
        for kept in Path(environ["XDG_CACHE_HOME"]).rglob("*.kept"):
            head, _, data = kept.read_bytes().partition(b"\n")
            kept.write_bytes(json.dumps({**json.loads(head), "checked": time.time() - 200_000}).encode() + b"\n" + data)
        assert "Note: The catalogue of 2.3 days ago is used" in run("download", "d", *words, **more)[1]
        assert run("download", "d", *words, "--quiet", **more) == ("", "")


def test_json_events_alone_stand_on_stdout(run, place):
    out, _ = run("download", "d", "--participant", "55", "--yes", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["start", "end"]
    assert {event["event"] for event in events[1:-1]} == {"file", "progress"}
    files = {event["path"]: event for event in events if event["event"] == "file"}
    assert len(files) == events[0]["todo"] == 52
    assert files[str(MISSING_VIDEO)]["outcome"] == "missing"
    assert {path for path, event in files.items() if event["outcome"] == "fetched"} == set(files_below(place / "d"))
    assert events[-1]["fetched"] == 51
    assert events[-1]["complete"] is True
    assert events[-1]["missing"] == [str(MISSING_VIDEO)]
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last["files_done"] == last["files_total"] == 52
    assert last["bytes_done"] == last["bytes_total"] > 0


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (["d", "--assets", "images", "backgrounds"], {"mp4", "jpg"}),
        (["--assets", "calibration", "color_calibration", "--n_workers", "4", "d"], {"json"}),
        (["d", "--assets", "calibration", "metadata_participants", "--n-workers=2"], {"json", "csv"}),
        (["d", "--assets=images", "calibration"], {"mp4", "json"}),
        (["d", "--assets", "images,calibration", "--assets", "backgrounds"], {"mp4", "json", "jpg"}),
        (["d", "--assets", "all"], {"mp4", "json", "jpg", "csv"}),
        (["images", "--assets", "calibration"], {"json"}),
        (["--assets", "calibration", "--", "images"], {"json"}),
    ],
)
def test_the_kits_spellings_work(run, place, arguments, kinds):
    """The kit's own words, ``all`` for each option among them, and its question answered by ``yes |``."""
    everything = ["--sequence", "all", "--camera", SERIALS[8], "--participant", "50-60"]
    run("download", *everything, *arguments, given="y\n" * 9)
    (made,) = place.iterdir()
    assert {name.rpartition(".")[2] for name in files_below(made)} == kinds


def test_options_may_be_repeated_and_patterns_stay_patterns(run, place):
    (place / "EMO-1-shout+laugh").mkdir()  # what a shell, and some parsers, would put in the pattern's place
    out, _ = run("download", "d", "--participant", "50", "--participant", "200-300", "--sequence", "EMO-*,SEN-*",
                 "--camera", f"{SERIALS[0]},{SERIALS[8]}", "--assets", "images", "--dry-run", "--json")  # fmt: skip
    shown = json.loads(out)
    assert shown["participants"] == {"50": 2, "240": 4}
    assert shown["sequences"] == {"EMO-1-shout+laugh": 4, "SEN-07-fond_note_friend": 2}


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("d --assets images backgrounds --yes", "d --assets images,backgrounds --yes"),
        ("--assets images d", "--assets images d"),
        ("--assets=images backgrounds d", "--assets=images,backgrounds d"),
        ("--assets images, backgrounds d", "--assets images,,backgrounds d"),
        ("--assets images -- backgrounds", "--assets images -- backgrounds"),
        ("images backgrounds", "images backgrounds"),
        ("--assets", "--assets"),
        ("--assets a --camera images backgrounds", "--assets a --camera images backgrounds"),
    ],
)
def test_names_of_assets_are_joined_and_nothing_else(words, joined):
    assert join_assets(words.split()) == joined.split()


def test_a_folder_of_the_kit_is_continued(run, place, demo_folder, demo_server):
    kept = place / "d" / ONE_VIDEO
    kept.parent.mkdir(parents=True)
    kept.write_bytes((demo_folder / ONE_VIDEO).read_bytes())
    out, err = run("download", "d", *ONE, "--yes")
    assert "1 file, 1 of them to be compared" in err
    assert "5 files fetched" in out
    assert "1 kept" in out
    assert ONE_VIDEO not in fetched(demo_server)


def test_force_fetches_again(run, demo_server):
    run("download", "d", *ONE, "--yes")
    demo_server.reset()
    run("download", "d", *ONE, "--yes", "--force")
    assert ONE_VIDEO in fetched(demo_server)


def test_what_the_server_lacks_is_asked_for_again_with_recheck_only(run, demo_server):
    select = ("--participant", "55", "--sequence", "EMO-1-shout+laugh", "--assets", "images")
    run("download", "d", *select, "--yes")
    demo_server.reset()
    _, err = run("download", "d", *select, "--yes")
    assert "Not on server   1 file" in err
    assert demo_server.requests == []
    run("download", "d", *select, "--yes", "--recheck")
    assert str(MISSING_VIDEO) in {request.path for request in demo_server.requests}


class RefusingHandler(DemoHandler):
    """Refuses one video."""

    def respond(self, path: str) -> None:
        if path == ONE_VIDEO:
            self.send_status(403, "no")
        else:
            super().respond(path)


def test_what_failed_is_listed_and_alone_fetched_the_next_time(run, demo_folder, place, demo_server):
    with DemoServer(demo_folder, handler=RefusingHandler) as server:
        out, err = run("download", "d", *ONE, "--yes", code=2, NERSEMBLE_DATA_URL=server.url)
        assert "1 file failed" in out
        assert ONE_VIDEO in out
        assert "again" in out
        assert re.search(rf"^Failed: .*{re.escape(ONE_VIDEO)}", err, re.MULTILINE)
        _, err = run("download", "d", *ONE, "--yes", "--quiet", code=2, NERSEMBLE_DATA_URL=server.url)
        assert ONE_VIDEO in err
        out, _ = run("download", "d", *ONE, "--yes", "--json", code=2, NERSEMBLE_DATA_URL=server.url)
        assert list(json.loads(out.splitlines()[-1])["failed"]) == [ONE_VIDEO]
    assert not (place / "d" / ONE_VIDEO).exists()
    run("download", "d", *ONE, "--yes")
    assert [path for path in fetched(demo_server) if path.endswith((".mp4", ".jpg"))] == [ONE_VIDEO]


def test_a_dead_server_is_one_sentence(run, demo_folder):
    with DemoServer(demo_folder) as server:
        url = server.url
    _, err = run("download", "d", *ONE, "--yes", code=1, NERSEMBLE_DATA_URL=url)
    assert err.count("\n") == 1


# --- being stopped ----------------------------------------------------------------------------------------------------


class SlowHandler(DemoHandler):
    """Sends videos a kilobyte at a time."""

    def send_body(self, file, start, length):
        for at in range(start, start + length, 1024):
            super().send_body(file, at, min(1024, start + length - at))
            if length > 8192:
                time.sleep(0.2)


@contextlib.contextmanager
def slow(demo_folder: Path) -> Iterator[DemoServer]:
    with DemoServer(demo_folder, handler=SlowHandler) as server:
        yield server


@pytest.mark.parametrize(
    ("stop", "more"),
    [(signal.SIGINT, []), (signal.SIGINT, ["--json"]), (signal.SIGINT, ["--quiet"]), (signal.SIGTERM, [])],
)
def test_ctrl_c_stops_within_a_second_and_the_same_command_goes_on(run, place, environ, demo_folder, stop, more):
    """And so does what a scheduler sends before it takes the machine away."""
    command = ["download", "d", "--participant", "240", "--sequence", "EXP-1-head", "--yes", *more]
    with slow(demo_folder) as server:
        process = subprocess.Popen(
            [*COMMAND, *command],
            cwd=place,
            env={**environ, "NERSEMBLE_DATA_URL": server.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_for(lambda: list((place / "d").glob("240/.*.part")))
        time.sleep(1)
        os.killpg(process.pid, stop)
        start = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - start < 2  # a second, on a machine that has nothing else to do
        assert process.returncode == 130
    assert_no_secret(out + err, environ, {"NERSEMBLE_DATA_URL": server.url})
    assert err.endswith("\nStopped. What was downloaded is kept, and the same command goes on from there.\n")
    if "--json" in more:
        assert [json.loads(line) for line in out.splitlines()][-1]["event"] == "end"
    assert list((place / "d").glob("240/.*.part"))
    assert list((place / "d").glob("240/.*.by_*.part")) == []  # free for whoever comes, on whatever machine
    run(*command)
    whole = {name: data for name, data in files_below(demo_folder).items() if "240/" in name or name.endswith(".csv")}
    assert files_below(place / "d") == {
        name: data for name, data in whole.items() if "/EMO" not in name and "/SEN" not in name
    }
    assert list((place / "d").glob("240/.*.part")) == []


def test_ctrl_c_at_the_question_downloads_nothing(place, environ):
    process = subprocess.Popen(
        [*COMMAND, "download", "d", *ONE],
        cwd=place,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    shown = ""
    while "Proceed? [y/N] " not in shown:
        shown += process.stderr.read(1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "\nStopped. Nothing was downloaded.\n")
    assert not (place / "d").exists()


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_reader_that_leaves_early_is_no_traceback(place, environ):
    command = f"{sys.executable} -m nersemble download d --participant 240 --yes --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=place, env=environ, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["event"] == "start"
    assert "Traceback" not in done.stderr


# --- on a terminal ----------------------------------------------------------------------------------------------------


def test_bars_on_a_terminal_show_bytes_files_and_what_failed(place, environ, demo_folder):
    with DemoServer(demo_folder, handler=RefusingHandler) as server:
        environ["NERSEMBLE_DATA_URL"] = server.url
        shown, code = in_terminal(["download", "d", "--participant", "240"], place, environ, "y\n")
        assert code == 2
        assert_no_secret(shown, environ)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "\x1b[" in shown
    assert re.search(r"Downloading .*━+.* of .*B", plain)
    assert re.search(r"Files .*━+.* 68 of 68 +1 failed", plain)
    assert re.search(rf"Failed: .*{re.escape(ONE_VIDEO)}", plain)
    assert "67 files fetched" in plain


def test_a_list_fills_the_columns_of_a_terminal(place, environ):
    shown, code = in_terminal(["list"], place, environ)
    assert (shown.split(), code) == (["50", "55", "240"], 0)
    assert shown.count("\n") == 1


def test_a_dumb_terminal_gets_plain_lines(place, environ):
    process_environ = {**environ, "TERM": "dumb"}
    command = f"{sys.executable} -m nersemble download d --yes --participant 50 2>&1 >/dev/null | cat"
    done = subprocess.run(["bash", "-c", command], cwd=place, env=process_environ, capture_output=True, text=True)
    assert "Downloading: 52 of 52 files" in done.stdout
    assert "\x1b" not in done.stdout


def test_there_is_no_other_kind_of_display():
    with pytest.raises(SelectionError, match="lines"):
        display("balloons")


# --- python -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("progress", "said"), [("None", False), ("False", False), ("True", True)])
def test_the_python_function_shows_progress_where_it_is_wanted(place, environ, progress, said):
    code = f"import nersemble; nersemble.download('participant_240', 'd', assets='calibration', progress={progress})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert ("Downloading" in done.stderr) is said
    assert_no_secret(done.stderr, environ)


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_tells_what_is_there_and_what_is_lacking(run, place, demo_server):
    select = ("--participant", "55,240", "--sequence", "EMO-1-shout+laugh", "--assets", "images")
    run("download", "d", *select, "--yes")
    (place / "d" / ONE_VIDEO).parent.mkdir(parents=True)
    (place / "d" / ONE_VIDEO).write_bytes(b"another selection's")
    lost = AssetPath("video", 240, "EMO-1-shout+laugh", SERIALS[0])
    (place / "d" / str(lost)).unlink()
    demo_server.reset()
    out, err = run("status", "d")
    assert demo_server.requests == []
    assert err == ""
    numbers = dict(re.findall(r"^  (complete|to do|missing|not selected) +(\d+)", out, re.MULTILINE))
    assert numbers == {"complete": "30", "to do": "1", "missing": "1", "not selected": "1"}
    assert re.search(r"^240 +15 +0 +0 +1$", out, re.MULTILINE)
    assert re.search(r"^55 +15 +0 +1 +0$", out, re.MULTILINE)
    shown = json.loads(run("status", "d", "--json")[0])
    assert shown["to_do"] == [str(lost)]
    assert shown["missing"] == [str(MISSING_VIDEO)]
    assert shown["not_selected"] == [ONE_VIDEO]
    assert len(shown["complete"]) == 30


def test_status_of_another_selection_than_what_was_asked_for(run):
    run("download", "d", *ONE, "--yes")
    shown = json.loads(run("status", "d", "--participant", "50", "--json")[0])
    assert len(shown["to_do"]) == 50
    assert len(shown["not_selected"]) == 4


def test_status_works_without_a_server(run, demo_folder):
    out, err = run("status", str(demo_folder), NERSEMBLE_DATA_URL="")
    assert re.search(r"complete +16[78] files", out)
    assert "only the folder itself" in err


@pytest.fixture
def withdrawing(tmp_path, demo_folder, run):
    """A function that takes rows and columns out of the published catalogue; the run commands then see the rest."""
    folder = tmp_path / "published"
    shutil.copytree(demo_folder, folder)
    with DemoServer(folder) as server:

        def withdraw(*, participant: int | None = None, sequence: str = "") -> None:
            table = folder / SEQUENCES_CSV
            header, *lines = (line.split(",") for line in table.read_text().splitlines())
            kept = [at for at, name in enumerate(header) if name != sequence]
            lines = [[line[at] for at in kept] for line in lines if line[0] != str(participant)]
            table.write_text("".join(",".join(line) + "\n" for line in [[header[at] for at in kept], *lines]))
            run("list", "--refresh", NERSEMBLE_DATA_URL=server.url)

        withdraw.url = server.url
        yield withdraw


def test_status_names_a_participant_who_was_withdrawn_and_tells_the_rest(run, place, withdrawing):
    """In a folder for which three things were asked: of one of them nothing exists any more."""
    url = {"NERSEMBLE_DATA_URL": withdrawing.url}
    for participant in ("55", "240", "50,240"):
        run("download", "d", "--participant", participant, "--assets", "calibration", "--yes", **url)
    before = files_below(place / "d")
    withdrawing(participant=55)
    out, err = run("status", "d", **url)
    assert err.count("Note: ") == 1
    assert "Note: participant_55 was asked for before, and is passed over. No participant 55. Did you mean 50" in err
    numbers = dict(re.findall(r"^  (complete|to do|missing|not selected) +(\d+)", out, re.MULTILINE))
    assert numbers == {"complete": "2", "to do": "0", "missing": "0", "not selected": "1"}
    shown = json.loads(run("status", "d", "--json", **url)[0])
    assert list(shown["dropped"]) == ["participant_55"]
    assert "No participant 55" in shown["dropped"]["participant_55"]
    assert {path.partition("/")[0] for path in shown["complete"]} == {"050", "240"}
    assert {path.partition("/")[0] for path in shown["not_selected"]} == {"055"}
    assert (shown["to_do"], shown["partial"], shown["missing"]) == ([], {}, [])
    assert shown["bytes"] == sum(map(len, before.values()))
    assert files_below(place / "d") == before


def test_status_names_one_of_two_participants_who_was_withdrawn_and_keeps_the_other(run, withdrawing):
    """Who was asked for in one go."""
    url = {"NERSEMBLE_DATA_URL": withdrawing.url}
    run("download", "d", "--participant", "55,240", "--assets", "calibration", "--yes", **url)
    withdrawing(participant=55)
    shown = json.loads(run("status", "d", "--json", **url)[0])
    assert list(shown["dropped"]) == ["participant_55"]
    assert {path.partition("/")[0] for path in shown["complete"]} == {"240"}
    assert {path.partition("/")[0] for path in shown["not_selected"]} == {"055"}
    assert shown["to_do"] == []


def test_status_names_a_sequence_that_was_withdrawn_and_tells_the_rest(run, withdrawing):
    url = {"NERSEMBLE_DATA_URL": withdrawing.url}
    more = ("--camera", SERIALS[8], "--assets", "images", "--yes")
    for sequence in ("SEN-07-fond_note_friend", "EXP-1-head"):
        run("download", "d", "--participant", "240", "--sequence", sequence, *more, **url)
    withdrawing(sequence="SEN-07-fond_note_friend")
    err = run("status", "d", **url)[1]
    assert "Note: sequence_SEN-07-fond_note_friend" in err
    assert "No sequence 'SEN-07-fond_note_friend'" in err
    shown = json.loads(run("status", "d", "--json", **url)[0])
    assert list(shown["dropped"]) == ["sequence_SEN-07-fond_note_friend"]
    assert shown["complete"] == [ONE_VIDEO]
    assert [path.split("/")[2] for path in shown["not_selected"]] == ["SEN-07-fond_note_friend"]


def test_status_of_a_folder_of_which_all_was_withdrawn(run, withdrawing):
    """Nothing is left to do, above all not everything; asked for by name, a withdrawn participant is an error."""
    url = {"NERSEMBLE_DATA_URL": withdrawing.url}
    run("download", "d", "--participant", "55", "--assets", "calibration", "--yes", **url)
    withdrawing(participant=55)
    shown = json.loads(run("status", "d", "--json", **url)[0])
    assert list(shown["dropped"]) == ["participant_55"]
    assert {path.partition("/")[0] for path in shown["not_selected"]} == {"055"}
    assert (shown["complete"], shown["to_do"]) == ([], [])
    assert "No participant 55" in run("status", "d", "--participant", "55", code=1, **url)[1]


def test_two_downloads_share_a_folder(run, place, demo_folder):
    failures = []

    def work() -> None:
        try:
            run("download", "d", "--yes", "--workers", "4")
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert files_below(place / "d") == files_below(demo_folder)
