"""``nersemble verify``: what is damaged is found, named and fetched again, and what is sound is not."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _videos import CLOSED, encode, flip_bits, frames_span, replace, x264

from nersemble.downloads.check_worker import check_contents
from nersemble.downloads.checks import content_problem, structure_problem
from nersemble.downloads.verify import verify_folder
from nersemble.errors import AssetNotFoundError, NersembleError, SelectionError
from nersemble.layout import SERIALS, AssetPath
from nersemble.video.mp4 import read_index
from nersemble.video.source import FileSource, WindowReader

COMMAND = [sys.executable, "-m", "nersemble"]
VIDEO = AssetPath("video", 240, "EXP-1-head", SERIALS[8])
STILL = AssetPath("background", 240, None, SERIALS[8])
PARAMS = AssetPath("camera_params", 240)
#: What of the demo's capture is copied: files of every kind, two of videos.
FEW = [
    AssetPath("participants"),
    AssetPath("sequences"),
    PARAMS,
    AssetPath("color_calibration", 240),
    STILL,
    VIDEO,
    AssetPath("video", 50, "EXP-1-head", SERIALS[8]),
]


@pytest.fixture
def folder(tmp_path, demo_folder) -> Path:
    """A folder as the official kit leaves it: published files and no record."""
    folder = tmp_path / "data"
    for asset in FEW:
        target = folder / str(asset)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(demo_folder / str(asset), target)
    return folder


@pytest.fixture
def run(tmp_path, environ, demo_server):
    def run(*arguments: str, code: int = 0, **more: str) -> tuple[str, str]:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env={**environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        shown = done.stdout + done.stderr
        assert done.returncode == code, shown
        assert "Traceback" not in shown
        assert demo_server.prefix not in shown
        assert "127.0.0.1" not in shown
        return done.stdout, done.stderr

    return run


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_what_was_downloaded_is_compared_with_its_remembered_sizes_without_a_request(run, tmp_path, demo_server):
    run("download", "data", "--participant", "240", "--yes")
    demo_server.reset()
    report = json.loads(run("verify", "data", "--json")[0])
    assert (report["sound"], report["findings"], report["strays"], report["partial"]) == (True, [], [], {})
    assert report["files"] == report["by_record"] + report["by_structure"] == 68
    assert report["by_structure"] == 2  # the tables
    assert demo_server.requests == []


def test_a_folder_of_the_kit_is_compared_with_the_server_once(run, folder, demo_server):
    report = json.loads(run("verify", "data", "--json")[0])
    assert (report["by_record"], report["by_server"], report["by_structure"], report["not_asked"]) == (0, 5, 2, "")
    assert sorted(request.method for request in demo_server.requests) == ["HEAD"] * 5
    demo_server.reset()
    report = json.loads(run("verify", "data", "--json")[0])
    assert (report["by_record"], report["by_server"]) == (5, 0)
    assert demo_server.requests == []


def test_without_an_access_url_files_are_looked_at(run, folder):
    report = json.loads(run("verify", "data", "--json", NERSEMBLE_DATA_URL="")[0])
    assert (report["sound"], report["by_structure"]) == (True, 7)
    assert "nersemble login" in report["not_asked"]


def test_a_folder_is_not_compared_with_itself(run, folder):
    report = json.loads(run("verify", "data", "--json", NERSEMBLE_DATA_URL=str(folder))[0])
    assert (report["by_server"], report["by_structure"]) == (0, 7)


@pytest.mark.parametrize("known", [True, False])
def test_another_size_is_found_and_the_next_download_fetches_that_file_alone(
    run, folder, demo_folder, demo_server, known
):
    if known:
        run("verify", "data")
    with open(folder / str(VIDEO), "ab") as file:
        file.write(b"more")
    size = (demo_folder / str(VIDEO)).stat().st_size
    out, _ = run("verify", "data", code=2)
    assert f"{VIDEO}: it has {size + 4:,} bytes instead of {size:,}" in out
    assert "1 file found damaged" in out
    demo_server.reset()
    select = ("--participant", "240", "--sequence", VIDEO.sequence, "--camera", VIDEO.camera)
    out, _ = run("download", "data", *select, "--yes")
    assert "1 file fetched" in out
    assert [request.path for request in demo_server.requests if "csv" not in request.path] == [str(VIDEO)]
    assert (folder / str(VIDEO)).read_bytes() == (demo_folder / str(VIDEO)).read_bytes()
    assert "Nothing wrong" in run("verify", "data")[0]


def test_a_table_that_grew_on_the_server_is_not_damaged(run, folder):
    table = folder / "metadata_sequences.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    assert json.loads(run("verify", "data", "--json")[0])["sound"]


# --- structure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asset", "change", "said"),
    [
        (VIDEO, lambda data: data[:-1000], "cut off: 1,000 bytes are missing"),
        (VIDEO, lambda data: data[:4], "no mp4"),
        (VIDEO, lambda data: data[:20], "bytes are missing"),
        (VIDEO, lambda data: data + b"123", "cut off inside"),
        (VIDEO, lambda data: data + bytes([0, 0, 0, 3]) + b"free", "breaks off at byte"),
        (VIDEO, lambda data: bytes(len(data)), "no mp4"),
        (VIDEO, lambda data: b"<html>Forbidden</html>", "no mp4"),
        (VIDEO, lambda data: data.replace(b"moov", b"free"), "no header"),
        (VIDEO, lambda data: b"", "empty"),
        (STILL, lambda data: data[:-1000], "mark at its end"),
        (STILL, lambda data: b"<html>", "no JPEG"),
        (STILL, lambda data: b"", "empty"),
        (PARAMS, lambda data: data[:-10], "no JSON"),
        (PARAMS, lambda data: b"\xff\xfe", "no JSON"),
        (PARAMS, lambda data: b"[1]", "no table"),
        (AssetPath("color_calibration", 240), lambda data: data[:-10], "no JSON"),
        (AssetPath("participants"), lambda data: b"<html>", "a web page"),
        (AssetPath("sequences"), lambda data: b"ID,x\n1,x\n", "no column is the name of a sequence"),
    ],
)
def test_a_look_finds_what_is_cut_off_or_something_else(run, folder, asset, change, said):
    path = folder / str(asset)
    path.write_bytes(change(path.read_bytes()))
    out, _ = run("verify", "data", code=2, NERSEMBLE_DATA_URL="")
    (line,) = (line for line in out.splitlines() if line.startswith(str(asset)))
    assert said in line
    assert "1 file found damaged" in out


@pytest.mark.parametrize("mux", ["", "+faststart", "+frag_keyframe+empty_moov"])
@pytest.mark.parametrize("ending", [b"", bytes([0, 0, 0, 8]) + b"free", bytes(4) + b"free" + b"padding"])
def test_sound_videos_of_other_structures_pass(tmp_path, mux, ending):
    path = tmp_path / "cam_1.mp4"
    path.write_bytes(encode(options=CLOSED, mux=mux) + ending)
    assert structure_problem(path, "video") == ""
    assert content_problem(path, "video") == ""


def test_a_large_box_passes_and_padding_after_a_jpeg_too(tmp_path, folder):
    from _videos import with_large_mdat

    path = tmp_path / "cam_1.mp4"
    path.write_bytes(with_large_mdat(encode(options=CLOSED)))
    assert structure_problem(path, "video") == ""
    with open(folder / str(STILL), "ab") as file:
        file.write(b"\0\0\r\n")
    assert structure_problem(folder / str(STILL), "background") == ""


# --- content ----------------------------------------------------------------------------------------------------------


def test_a_whole_capture_decodes(run, demo_folder):
    report = json.loads(run("verify", str(demo_folder), "--deep", "--json", NERSEMBLE_DATA_URL="")[0])
    assert (report["sound"], report["decoded"]) == (True, 167)


def test_a_damaged_video_is_found_by_decoding_it_alone_and_fetched_again(run, folder, demo_folder):
    path = folder / str(VIDEO)
    data = path.read_bytes()
    start, stop = frames_span(data)
    path.write_bytes(flip_bits(data, 1, 300, (start + stop) // 2, stop))
    assert "Nothing wrong" in run("verify", "data")[0]
    out, _ = run("verify", "data", "--deep", code=2)
    found = re.search(rf"^{re.escape(str(VIDEO))}: damaged from timestep (\d+) of (\d+): ", out, re.MULTILINE)
    assert found
    assert 0 < int(found[1]) < int(found[2])
    # Remembered, also by a check that does not decode.
    assert json.loads(run("verify", "data", "--json", code=2)[0])["findings"][0]["path"] == str(VIDEO)
    run("download", "data", "--participant", "240", "--sequence", VIDEO.sequence, "--camera", VIDEO.camera, "--yes")
    assert path.read_bytes() == data
    assert "Nothing wrong" in run("verify", "data", "--deep")[0]


def test_a_short_video_tells_how_many_frames_decode(tmp_path):
    data = encode(options=CLOSED, mux="+faststart", count=48)
    path = tmp_path / "cam_1.mp4"
    path.write_bytes(data[: len(data) * 2 // 3])
    found = re.fullmatch(r"short: (\d+) of 48 frames decode, then the file ends", content_problem(path, "video"))
    assert found
    assert 12 <= int(found[1]) < 48


def test_a_video_whose_end_holds_no_pictures_tells_where_it_ends(tmp_path):
    """All bytes are there, and the last ones are filler instead of slices."""
    data = bytearray(encode(options=x264("keyint=1:bframes=0"), mux="+faststart", count=20))
    path = tmp_path / "cam_1.mp4"
    path.write_bytes(data)
    index = read_index(WindowReader(FileSource(io.BytesIO(data))), 0)
    for offset, size in zip(index.offset[15:], index.size[15:], strict=True):
        data[offset : offset + size] = (int(size) - 4).to_bytes(4, "big") + b"\x0c" + b"\xff" * (int(size) - 5)
    path.write_bytes(data)
    assert content_problem(path, "video").startswith("damaged from timestep 15 of 20: ")


@pytest.mark.parametrize(
    ("asset", "change", "said"),
    [
        (STILL, lambda data: data[:-3000], "damaged: image file is truncated"),
        (STILL, lambda data: b"\xff\xd8nonsense\xff\xd9", "damaged: cannot identify"),
        (PARAMS, lambda data: b'{"world_2_cam": {}}', "has no 'intrinsics'"),
        (PARAMS, lambda data: re.sub(rb"\d+\.\d+", b"null", data, count=1), "matrix"),
        (AssetPath("color_calibration", 240), lambda data: b'{"222200037": [[1]]}', "matrix"),
        (VIDEO, lambda data: b"", "empty"),
        (VIDEO, lambda data: b"<html>", "no video"),
    ],
)
def test_what_cannot_be_read_is_found_by_reading_it(folder, asset, change, said):
    path = folder / str(asset)
    path.write_bytes(change(path.read_bytes()))
    problem = content_problem(path, asset.kind)
    assert said in problem
    assert str(folder) not in problem


def test_a_file_that_cannot_be_opened_is_found_and_is_no_traceback(folder):
    path = folder / "240" / "missing.json"
    assert "disappeared" in structure_problem(path, "camera_params")
    path.symlink_to(path)
    assert "cannot be read" in content_problem(path, "camera_params")


# --- the processes that decode ----------------------------------------------------------------------------------------


def read_proc(path: Path) -> bytes:
    """What the kernel says there, which is nothing of a thread or process that has ended meanwhile."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in read_proc(task / "children").split()]


def decoders_of(pid: int) -> list[int]:
    return [child for child in children(pid) if b"check_worker" in read_proc(Path(f"/proc/{child}/cmdline"))]


def end_a_decoder(folder: Path, number: signal.Signals) -> list[tuple[tuple[Path, str], str]]:
    """Check three files in one process, which a signal ends while it is at the second."""
    jobs = [(folder / str(asset), asset.kind) for asset in (PARAMS, VIDEO, STILL)]
    results = check_contents(jobs, 1)
    found = []
    for result in results:
        if result is not None:
            found.append(result)
            if len(found) == 1:
                (worker,) = decoders_of(os.getpid())
                os.kill(worker, signal.SIGSTOP)
                assert next(results) is None  # the second file waits for it by now
                os.kill(worker, number)
                os.kill(worker, signal.SIGCONT)
    return found


def test_a_file_that_crashes_the_decoder_is_found_and_the_others_are_checked(folder):
    found = end_a_decoder(folder, signal.SIGSEGV)
    assert [problem for _, problem in found] == ["", "damaged: it crashes the decoder (SIGSEGV)", ""]
    assert found[1][0][0] == folder / str(VIDEO)
    assert decoders_of(os.getpid()) == []


def test_a_process_that_somebody_ends_is_an_error_and_no_damaged_file(folder):
    with pytest.raises(NersembleError, match="memory"):
        end_a_decoder(folder, signal.SIGKILL)
    assert decoders_of(os.getpid()) == []


def test_a_header_that_asks_for_all_memory_ends_no_process(tmp_path):
    """Such a file is a finding or is read otherwise; it does not keep the others from being checked."""
    data = encode(options=CLOSED, mux="+faststart")
    huge = replace(data, "/moov/trak/mdia/minf/stbl/stsc", lambda _: struct.pack(">5I", 0, 1, 1, 0xB4000000, 1))
    assert huge != data
    (tmp_path / "huge.mp4").write_bytes(huge)
    (tmp_path / "sound.mp4").write_bytes(data)
    jobs = [(tmp_path / name, "video") for name in ("huge.mp4", "sound.mp4")]
    found = dict(result for result in check_contents(jobs, 1) if result is not None)
    assert list(found) == jobs
    assert found[jobs[1]] == ""


def test_a_script_without_a_main_guard_can_decode(folder, environ):
    code = (
        "from nersemble.downloads.verify import verify_folder\n"
        f"print(verify_folder({str(folder)!r}, deep=True).decoded)\n"
    )
    done = subprocess.run([sys.executable, "-"], input=code, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_ctrl_c_stops_within_a_second_and_leaves_no_process(folder, environ, tmp_path):
    long = encode(options=x264("keyint=250"), mux="+faststart", count=600, size=(640, 480))
    for serial in SERIALS[:4]:
        (folder / str(AssetPath("video", 240, "EXP-1-head", serial))).write_bytes(long)
    for number in range(60, 80):
        target = folder / str(AssetPath("video", number, "EXP-1-head", SERIALS[0]))
        target.parent.mkdir(parents=True)
        target.write_bytes(long)
    process = subprocess.Popen(
        [*COMMAND, "verify", "data", "--deep", "--workers", "3"],
        cwd=tmp_path,
        env={**environ, "NERSEMBLE_DATA_URL": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(decoders_of(process.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1)
    workers = decoders_of(process.pid)
    assert len(workers) == 3
    os.killpg(process.pid, signal.SIGINT)
    start = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 2  # a second, on a machine that has nothing else to do
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("Stopped.")
    assert "Traceback" not in err
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


# --- what else lies there ---------------------------------------------------------------------------------------------


def test_strays_are_counted_and_half_downloaded_files_named(run, folder):
    (folder / "notes.txt").write_text("mine")
    (folder / "masks").mkdir()
    (folder / "masks" / "0.png").write_text("")
    (folder / "240" / "sequences" / "EXP-1-head" / "images" / "frame_0.jpg").write_text("")
    (folder / "240" / "sequences" / "EXP-1-head" / "images" / "jpg" / "deep").mkdir(parents=True)
    (folder / "240" / ".sequences~HAIR~images~cam_1.mp4.ImEi.900.part").write_bytes(b"12345")
    (folder / "240" / "other.mp4.part").write_bytes(b"123")
    out, _ = run("verify", "data")
    assert "2 files half downloaded: 240/sequences/HAIR/images/cam_1.mp4, 240/other.mp4.part" in out
    assert "4 strays" in out
    assert "7 files checked" in out
    report = json.loads(run("verify", "data", "--json")[0])
    assert report["partial"] == {"240/sequences/HAIR/images/cam_1.mp4": 5, "240/other.mp4.part": 3}
    assert report["strays"] == [
        "masks",
        "notes.txt",
        "240/sequences/EXP-1-head/images/frame_0.jpg",
        "240/sequences/EXP-1-head/images/jpg",
    ]


def test_participants_can_be_selected(run, folder):
    (folder / str(FEW[-1])).write_bytes(b"damaged")
    assert json.loads(run("verify", "data", "--participant", "200-300", "--json")[0])["files"] == 4
    assert json.loads(run("verify", "data", "--participant", "50", "--json", code=2)[0])["files"] == 1
    _, err = run("verify", "data", "--participant", "51", code=1)
    assert "Did you mean 50" in err


def test_folders_without_data_are_an_error_and_never_sound(run, tmp_path, folder):
    with pytest.raises(AssetNotFoundError, match="no folder"):
        verify_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssetNotFoundError, match="no file of the data set"):
        verify_folder(tmp_path / "empty")
    with pytest.raises(AssetNotFoundError, match="above it"):
        verify_folder(folder / "240")
    with pytest.raises(SelectionError, match="workers"):
        verify_folder(folder, deep=True, workers=0)
    assert run("verify", "nowhere", code=1)[1].count("\n") == 1


def test_progress_and_findings_go_where_they_belong(run, folder):
    out, err = run("verify", "data")
    assert "Checking: 7 of 7 files" in err
    assert "7 files checked" in out
    out, err = run("verify", "data", "--deep", "--quiet")
    assert (out, err) == ("", "")
    (folder / str(VIDEO)).write_bytes(b"damaged")
    out, err = run("verify", "data", "--quiet", code=2)
    assert out.startswith(f"{VIDEO}: ")
    assert out.count("\n") == 1
    assert err == ""


def test_a_folder_that_cannot_be_written_can_be_checked(run, folder):
    (folder / str(VIDEO)).write_bytes(b"damaged")
    (folder / ".nersemble.tsv").mkdir()  # what not even root can write as a file
    assert "1 file found damaged" in run("verify", "data", code=2)[0]
