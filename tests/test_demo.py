"""The synthetic capture is complete, true to its geometry, and knows its frames."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nersemble import demo
from nersemble.demo.encode import write_video
from nersemble.errors import AssetNotFoundError, FrameError, NersembleError, SelectionError
from nersemble.layout import BACKGROUND, FPS, SEQUENCES, SERIALS, AssetPath

OPTIONS = demo.DemoOptions(
    participants=(55, 240), sequences=("EXP-1-head", "EMO-1-shout+laugh"), frames=14, gop=6, crf=15
)
SOUND = AssetPath("video", 240, "EMO-1-shout+laugh", SERIALS[8])


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return demo.make_capture(tmp_path_factory.mktemp("demo") / "capture", OPTIONS)


def decode(path):
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- identity


@pytest.mark.parametrize(
    "identity",
    [
        demo.FrameIdentity(0, "GLASSES", SERIALS[0], 0),
        demo.FrameIdentity(240, "SEN-07-fond_note_friend", SERIALS[8], 429),
        demo.FrameIdentity(2047, "SEN-10-port_strong_smokey", SERIALS[15], 4095),
        demo.FrameIdentity(55, BACKGROUND, SERIALS[3], 0),
    ],
)
@pytest.mark.parametrize("size", [(276, 402), (138, 201), (69, 100), (550, 802), (200, 200)])
def test_an_identity_survives_resizing(identity, size):
    picture = demo.stamp(np.full((402, 276, 3), 128, np.uint8), identity)
    resized = Image.fromarray(picture).resize(size)
    assert demo.read_identity(resized) == identity
    assert demo.read_identity(np.asarray(resized)) == identity
    assert demo.read_identity(np.asarray(resized, np.float32) / 255) == identity


def test_an_identity_survives_strong_compression_and_colour_correction(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (402, 276, 3), np.uint8) for _ in range(12)]
    wanted = [demo.FrameIdentity(55 + i, SEQUENCES[2 * i], SERIALS[i], 300 * i) for i in range(12)]
    for frame, identity in zip(frames, wanted, strict=True):
        demo.stamp(frame, identity)
    write_video(tmp_path / "hard.mp4", frames, (276, 402), crf=28)
    ccm = np.array([[1.12, -0.06, 0.02], [0.03, 0.88, -0.05], [-0.04, 0.05, 1.1]])
    for picture, identity in zip(decode(tmp_path / "hard.mp4"), wanted, strict=True):
        corrected = np.clip(255 * (np.clip((picture / 255) ** 2.2 @ ccm.T, 0, 1) ** (1 / 2.2)), 0, 255).astype(np.uint8)
        for seen in (picture, corrected):
            assert demo.read_identity(Image.fromarray(seen).resize((138, 201))) == identity
            assert demo.read_identity(Image.fromarray(seen).resize((69, 100))) == identity


def test_a_damaged_code_is_an_error_and_never_another_identity():
    identity = demo.FrameIdentity(240, "HAIR", SERIALS[4], 77)
    picture = demo.stamp(np.zeros((402, 276, 3), np.uint8), identity)
    for row in range(2):
        for column in range(24):
            damaged = picture.copy()
            x, y = round(276 / 27 * (column + 1.5)), round(402 / 36 * (row + 0.5))
            block = damaged[y : y + 11, x : x + 10]
            block[:] = 255 - block
            with pytest.raises(FrameError, match="checksum"):
                demo.read_identity(damaged)


@pytest.mark.parametrize(
    "picture", [np.zeros((402, 276, 3), np.uint8), np.zeros((3,)), np.full((50, 40), 200, np.uint8)]
)
def test_a_picture_without_a_code_is_an_error(picture):
    with pytest.raises(FrameError):
        demo.read_identity(picture)


@pytest.mark.parametrize(
    "identity",
    [
        demo.FrameIdentity(2048, "HAIR", SERIALS[0], 0),
        demo.FrameIdentity(1, "HAIR", SERIALS[0], 4096),
        demo.FrameIdentity(1, "EXP-99", SERIALS[0], 0),
        demo.FrameIdentity(1, "HAIR", "123", 0),
    ],
)
def test_an_identity_the_code_has_no_room_for_is_refused(identity):
    with pytest.raises(SelectionError):
        demo.stamp(np.zeros((402, 276, 3), np.uint8), identity)


# ---- the files


def test_the_capture_holds_exactly_the_published_layout(capture):
    found = files_below(capture)
    assert set(found) == {str(asset) for asset in OPTIONS.files()}
    parsed = [AssetPath.parse(path) for path in found]
    assert None not in parsed
    kinds = [asset.kind for asset in parsed if asset]
    assert kinds.count("background") == 32
    assert kinds.count("video") == 3 * 16 - 1
    assert [path.name for path in capture.parent.iterdir()] == ["capture"]


def test_one_listed_video_is_missing(capture):
    (missing,) = OPTIONS.missing_files()
    assert missing == demo.MISSING_VIDEO
    assert missing in OPTIONS.listed_videos()
    assert not (capture / str(missing)).exists()
    assert OPTIONS.num_frames(missing) == 0


@pytest.mark.parametrize("old_spelling", [False, True])
def test_the_csvs_list_what_there_is_with_both_marks(tmp_path, old_spelling):
    options = demo.DemoOptions(width=128, frames=1, old_spelling=old_spelling)
    folder = demo.make_capture(tmp_path / "capture", options)
    with open(folder / "metadata_sequences.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    name = "SEN-07-fond_note_fried" if old_spelling else "SEN-07-fond_note_friend"
    expected = [name if sequence.startswith("SEN-07") else sequence for sequence in SEQUENCES]
    assert list(rows[0]) == ["ID", "wears_glasses", BACKGROUND, *expected]
    marked = {int(row["ID"]): [name for name in expected if row[name]] for row in rows}
    assert marked == {
        50: ["EXP-1-head", "EMO-1-shout+laugh"],
        55: ["EMO-1-shout+laugh", name],
        240: ["EXP-1-head", "EMO-1-shout+laugh", name],
    }
    for number, sequences in marked.items():
        assert sorted(sequences) == sorted(p.name for p in folder.glob(f"{number:03d}/sequences/E*")) + sorted(
            p.name for p in folder.glob(f"{number:03d}/sequences/SEN*")
        )
    assert {row[name] for row in rows for name in expected} == {"", "x", "m"}
    with open(folder / "metadata_participants.csv", newline="") as file:
        assert [int(row["ID"]) for row in csv.DictReader(file)] == [50, 55, 240]


def test_every_frame_of_every_video_says_which_it_is(capture):
    for asset in OPTIONS.files():
        if asset.kind == "video":
            read = [demo.read_identity(picture) for picture in decode(capture / str(asset))]
            count = OPTIONS.num_frames(asset)
            assert read == [
                demo.FrameIdentity(asset.participant, asset.sequence, asset.camera, t) for t in range(count)
            ]


def test_one_camera_is_three_frames_short():
    counts = {asset: OPTIONS.num_frames(asset) for asset in OPTIONS.listed_videos()}
    assert counts.pop(demo.SHORT_VIDEO) == 11
    assert counts.pop(demo.MISSING_VIDEO) == 0
    assert set(counts.values()) == {14}


def test_stills_say_that_they_are_backgrounds_and_show_no_person(capture):
    for number in OPTIONS.participants:
        for serial in SERIALS:
            with Image.open(capture / str(AssetPath("background", number, None, serial))) as still:
                assert still.size == (276, 402)
                assert demo.read_identity(still) == demo.FrameIdentity(number, BACKGROUND, serial, 0)
                # A wall is smooth: hardly an edge below the code.
                rows = np.asarray(still.convert("L"), int)[40:]
                assert np.abs(np.diff(rows, axis=1)).max() < 25


def test_videos_are_h264_with_b_frames_several_gops_and_one_slice_a_frame(capture):
    for serial in SERIALS[6:10]:
        with av.open(str(capture / str(dataclasses.replace(SOUND, camera=serial)))) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.format.name, stream.average_rate) == ("h264", "yuv420p", FPS)
            assert (stream.width, stream.height) == (276, 402)
            packets = [packet for packet in container.demux(stream) if packet.size]
            assert [packet.is_keyframe for packet in packets].count(True) == 3
            assert [packet.pts for packet in packets] != sorted(packet.pts for packet in packets)
            for packet in packets:
                assert count_slices(bytes(packet)) == 1


def count_slices(data):
    """The slices in one packet, whose units each follow their length in four bytes."""
    count = 0
    while data:
        length = int.from_bytes(data[:4], "big")
        count += data[4] & 31 in (1, 5)
        data = data[4 + length :]
    return count


def test_a_few_videos_have_sound_and_some_have_their_index_behind(capture):
    sound, behind = set(), set()
    videos = [asset for asset in OPTIONS.files() if asset.kind == "video"]
    for asset in videos:
        data = (capture / str(asset)).read_bytes()
        if data.index(b"moov") > data.index(b"mdat"):
            behind.add(asset)
        with av.open(str(capture / str(asset))) as container:
            if container.streams.audio:
                sound.add(asset)
                assert container.streams.audio[0].codec_context.name == "aac"
                assert sum(frame.samples for frame in container.decode(audio=0)) >= 48000 * 14 / FPS - 1024
    assert sound == {asset for asset in videos if OPTIONS.has_audio(asset)}
    assert behind == {asset for asset in videos if not OPTIONS.index_in_front(asset)}
    assert SOUND in sound
    assert 0 < len(sound) < len(videos) / 4
    assert 0 < len(behind) < len(videos) / 2


def test_a_full_size_picture_is_2200_by_3208():
    options = demo.DemoOptions(width=2200)
    assert (options.width, options.height) == (2200, 3208)
    rig = demo.demo_rig(240, options.width, options.height)
    assert rig.intrinsics[0, 0] == rig.intrinsics[1, 1] == pytest.approx(8185, abs=10)
    assert rig.intrinsics[:2, 2] == pytest.approx([1100, 1604], abs=10)


# ---- geometry and colour


def calibration(capture, participant):
    home = capture / f"{participant:03d}" / "calibration"
    return (json.loads((home / f"{name}.json").read_text()) for name in ("camera_params", "color_calibration"))


def test_cameras_are_rigid_stand_a_metre_away_and_look_at_the_head(capture):
    params, ccms = calibration(capture, 240)
    assert list(params["world_2_cam"]) == list(ccms) == list(SERIALS)
    positions = []
    for matrix in map(np.array, params["world_2_cam"].values()):
        turn = matrix[:3, :3]
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        assert matrix[3].tolist() == [0, 0, 0, 1]
        positions.append(-turn.T @ matrix[:3, 3])
        assert np.linalg.norm(positions[-1]) == pytest.approx(1, abs=0.03)
        assert turn[2] @ positions[-1] < -0.97
    azimuths = np.degrees([np.arctan2(x, z) for x, _, z in positions])
    assert azimuths[8] == pytest.approx(0, abs=1)
    assert (np.diff(azimuths) > 0).all()
    assert azimuths[[0, 15]] == pytest.approx([-45, 45], abs=1)
    assert len({json.dumps(ccm) for ccm in ccms.values()}) == 16
    assert np.array(list(ccms.values())) == pytest.approx(np.tile(np.eye(3), (16, 1, 1)), abs=0.2)


def corrected(picture, ccm):
    """Colour correction by its definition, in linear light; float, 0 to 1."""
    share = picture / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(ccm).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def blob(picture, colour, reach):
    """(x, y) and the least half-width of the patch of a colour, by colour alone: what is around the surest pixels."""
    away = np.linalg.norm(picture - np.array(colour) / 255, axis=2)
    ys, xs = np.nonzero(away < 0.16)
    if not len(xs):
        return 0, 0, 0
    around = np.hypot(*np.ogrid[-np.median(ys) : len(away) - np.median(ys), -np.median(xs) : 276 - np.median(xs)])
    ys, xs = np.nonzero((away < 0.30) & (around < reach))
    # Half the radius is how far the pixels of a whole disc scatter in any direction; in one half hidden they do less.
    return xs.mean(), ys.mean(), 2 * np.sqrt(np.linalg.eigvalsh(np.cov(xs, ys))[0])


@pytest.mark.parametrize(
    ("participant", "sequence", "timestep"), [(240, "EXP-1-head", 9), (55, "EMO-1-shout+laugh", 4)]
)
def test_landmarks_project_onto_their_pictures(capture, participant, sequence, timestep):
    params, ccms = calibration(capture, participant)
    intrinsics = np.array(params["intrinsics"])
    colors = demo.landmark_colors()
    points = demo.landmarks(participant, sequence, timestep)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in colors}
    for serial, matrix in params["world_2_cam"].items():
        path = capture / str(AssetPath("video", participant, sequence, serial))
        if not path.exists():
            continue
        picture = corrected(decode(path)[timestep], ccms[serial])
        picture[:40] = 0
        for name, colour in colors.items():
            seen = np.array(matrix)[:3] @ np.append(points[name], 1)
            radius = 0.0075 * intrinsics[0, 0] / seen[2]
            x, y, half = blob(picture, colour, 1.4 * radius)
            if half > 0.93 * radius:  # else the head hides a part of it
                pixel = intrinsics @ seen
                errors[name].append(np.array([x, y]) - pixel[:2] / pixel[2])
    everything = np.concatenate(list(errors.values()))
    assert min(map(len, errors.values())) >= 4
    assert len(everything) >= 50
    assert np.linalg.norm(everything, axis=1).max() < 1
    # Half a pixel, the other convention of where (0, 0) is, would show in the mean.
    assert np.abs(everything.mean(axis=0)).max() < 0.2


def test_correction_makes_the_cameras_agree(capture):
    _, ccms = calibration(capture, 240)
    raw, right = [], []
    for serial in SERIALS:
        with Image.open(capture / str(AssetPath("background", 240, None, serial))) as still:
            patch = np.asarray(still)[150:250, 50:100]
        raw.append(patch.mean(axis=(0, 1)))
        right.append(255 * corrected(patch, ccms[serial]).mean(axis=(0, 1)))
    assert np.std(raw, axis=0).min() > 2
    assert np.std(right, axis=0).max() < 1


def test_corrected_landmarks_have_their_colours(capture):
    params, ccms = calibration(capture, 240)
    for name, colour in demo.landmark_colors().items():
        point = np.append(demo.landmarks(240, "EXP-1-head", 3)[name], 1)
        pixel = np.array(params["intrinsics"]) @ np.array(params["world_2_cam"][SERIALS[8]])[:3] @ point
        x, y = np.rint(pixel[:2] / pixel[2]).astype(int)
        picture = decode(capture / str(AssetPath("video", 240, "EXP-1-head", SERIALS[8])))[3]
        patch = corrected(picture[y - 2 : y + 3, x - 2 : x + 3], ccms[SERIALS[8]])
        assert 255 * patch.mean(axis=(0, 1)) == pytest.approx(np.array(colour), abs=25), name


def test_the_head_moves_smoothly_and_differently():
    def path(participant, sequence):
        return np.array([demo.landmarks(participant, sequence, t)["crown"] for t in range(120)])

    tracks = [path(240, "EXP-1-head"), path(240, "EMO-1-shout+laugh"), path(55, "EMO-1-shout+laugh")]
    for track in tracks:
        steps = np.linalg.norm(np.diff(track, axis=0), axis=1)
        assert steps.max() < 0.006
        assert np.ptp(track, axis=0).max() > 0.005
    assert np.abs(tracks[0] - tracks[1]).max() > 0.005
    assert np.abs(tracks[1] - tracks[2]).max() > 0.005
    assert np.array_equal(path(240, "SEN-07-fond_note_fried"), path(240, "SEN-07-fond_note_friend"))


# ---- making and keeping


SMALL = demo.DemoOptions(participants=(55,), sequences=("EMO-1-shout+laugh",), frames=3, width=128)


def test_equal_options_give_equal_bytes_whatever_the_number_of_processes(tmp_path):
    one = files_below(demo.make_capture(tmp_path / "one", SMALL, workers=1))
    three = files_below(demo.make_capture(tmp_path / "three", SMALL, workers=3))
    assert one == three
    assert len(one) == 2 + 2 + 16 + 15


def test_progress_ends_at_the_total(tmp_path):
    calls: list[tuple[int, int]] = []
    demo.make_capture(tmp_path / "capture", SMALL, workers=2, progress=lambda *call: calls.append(call))
    assert calls[-1] == (31, 31)
    assert calls == sorted(calls)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert demo.make_capture(folder, SMALL) == folder
    (folder / "mine.txt").write_text("keep me")
    before = files_below(folder)
    with pytest.raises(SelectionError, match="empty"):
        demo.make_capture(folder, SMALL)
    assert files_below(folder) == before


def test_a_failure_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.make_capture(tmp_path / "place" / "capture", SMALL, workers=2, progress=stop)
    # A quality that x264 cannot read: the processes fail.
    with pytest.raises(NersembleError, match="failed"):
        demo.make_capture(tmp_path / "place" / "capture", dataclasses.replace(SMALL, crf="bad"), workers=2)
    assert list((tmp_path / "place").iterdir()) == []


def test_a_second_call_finds_the_capture_and_other_options_get_another(tmp_path):
    first = demo.ensure_capture(SMALL, tmp_path)
    before = (first / "metadata_sequences.csv").stat().st_mtime_ns
    assert demo.ensure_capture(SMALL, tmp_path) == first
    assert (first / "metadata_sequences.csv").stat().st_mtime_ns == before
    assert demo.ensure_capture(dataclasses.replace(SMALL, frames=2), tmp_path) != first


def test_two_processes_at_once_both_get_the_whole_capture(tmp_path):
    code = (
        "from nersemble import demo\n"
        "options = demo.DemoOptions(participants=(55,), sequences=('EMO-1-shout+laugh',), frames=3, width=128)\n"
        "print(demo.ensure_capture(options))\n"
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    root = str(Path(demo.__file__).parents[2])
    # From standard input, where multiprocessing could not start its children.
    both = [
        subprocess.Popen([sys.executable, "-"], stdin=-1, stdout=-1, stderr=-1, text=True, env=env, cwd=root)
        for _ in "12"
    ]
    for process in both:
        process.stdin.write(code)
        process.stdin.close()
    outputs = [(process.stdout.read(), process.stderr.read(), process.wait()) for process in both]
    for process in both:
        process.stdout.close()
        process.stderr.close()
    assert [output[1:] for output in outputs] == [("", 0), ("", 0)]
    (folder,) = {Path(output[0].strip()) for output in outputs}
    assert folder.parent == tmp_path / "nersemble" / "demo"
    assert list(folder.parent.iterdir()) == [folder]
    assert set(files_below(folder)) == {str(asset) for asset in SMALL.files()}


@pytest.mark.parametrize(
    "changes",
    [
        {"sequences": ("EXP-99",)},
        {"sequences": ()},
        {"participants": ()},
        {"participants": (5000,)},
        {"frames": 0},
        {"frames": 4097},
        {"width": 277},
        {"width": 64},
        {"gop": 0},
    ],
)
def test_options_that_cannot_be_made_are_refused(changes):
    with pytest.raises(SelectionError):
        demo.DemoOptions(**changes)


# ---- the server


PLUS = "240/sequences/EMO-1-shout+laugh/images/cam_222200037.mp4"


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "root" / PLUS
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(256)) * 4000)
    (tmp_path / "root" / "empty.csv").touch()
    (tmp_path / "secret.txt").write_text("outside the folder")
    with demo.DemoServer(tmp_path / "root") as server:
        yield server


@pytest.fixture
def ask(server):
    """A client with one connection, which it keeps."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:

        def request(path, *, method="GET", **headers):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path if path.startswith("/") else f"/{server.prefix}/{path}", headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()

        yield request


def test_a_file_is_served_whole_with_its_facts(server, ask):
    status, headers, body = ask(PLUS)
    assert (status, body) == (200, bytes(range(256)) * 4000)
    assert headers["Content-Length"] == "1024000"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"].startswith('"')
    assert "Last-Modified" in headers
    assert ask("empty.csv")[::2] == (200, b"")
    assert ask(PLUS.replace("+", "%2B"))[0] == 200
    assert server.url == f"http://127.0.0.1:{server.port}/{server.prefix}"
    assert len(server.prefix) >= 20


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("0-9", 0, 9),
        ("100-100", 100, 100),
        ("1023990-", 1023990, 1023999),
        ("-5", 1023995, 1023999),
        ("1023999-5000000", 1023999, 1023999),
        ("-9999999", 0, 1023999),
    ],
)
def test_ranges_are_answered_exactly(ask, wanted, first, last):
    status, headers, body = ask(PLUS, Range=f"bytes={wanted}")
    assert (status, headers["Content-Range"]) == (206, f"bytes {first}-{last}/1024000")
    assert body == (bytes(range(256)) * 4000)[first : last + 1]
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("wanted", ["bytes=1024000-", "bytes=-0", "bytes=9999999-99999999"])
def test_a_range_behind_the_end_is_416(ask, wanted):
    status, headers, body = ask(PLUS, Range=wanted)
    assert (status, headers["Content-Range"], body) == (416, "bytes */1024000", b"")


@pytest.mark.parametrize("wanted", ["bytes=9-3", "bytes=0-1,5-6", "lines=0-3", "bytes=a-b", "bytes=-"])
def test_a_range_that_means_nothing_is_ignored(ask, wanted):
    assert ask(PLUS, Range=wanted)[0] == 200


def test_head_has_the_headers_and_no_body(server, ask):
    get, head = ask(PLUS)[1], ask(PLUS, method="HEAD")
    assert head[0] == 200
    assert head[2] == b""
    for name in ("ETag", "Content-Length", "Last-Modified", "Content-Type"):
        assert head[1][name] == get[name]
    assert ask("missing", method="HEAD")[::2] == (404, b"")
    assert [request.body_bytes for request in server.requests] == [1024000, 0, 0]


def test_an_etag_follows_the_file(server, ask):
    etag = ask(PLUS)[1]["ETag"]
    modified = ask(PLUS)[1]["Last-Modified"]
    assert ask(PLUS, If_None_Match=etag)[::2] == (304, b"")
    assert ask(PLUS, If_None_Match=f'"other", {etag}')[0] == 304
    assert ask(PLUS, If_None_Match="*")[0] == 304
    assert ask(PLUS, If_None_Match='"other"')[0] == 200
    assert ask(PLUS, Range="bytes=0-3", If_Range=etag)[0] == 206
    assert ask(PLUS, Range="bytes=0-3", If_Range=modified)[0] == 206
    (server.folder / PLUS).write_bytes(b"y" * 1024000)
    status, headers, body = ask(PLUS, Range="bytes=0-3", If_Range=etag)
    assert (status, body) == (200, b"y" * 1024000)
    assert headers["ETag"] != etag


def test_outside_the_prefix_all_is_forbidden(server, ask):
    for path in ("/", f"/{PLUS}", "/wrong/" + PLUS, f"/{server.prefix}x/{PLUS}"):
        assert ask(path)[0] == 403
    assert {request.status for request in server.requests} == {403}


@pytest.mark.parametrize(
    "path",
    [
        "nothing.mp4",
        "",
        "240",
        "240/",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "240/../../secret.txt",
        "..%2fsecret.txt",
        "..\\secret.txt",
        "%00",
        "/etc/passwd",
        f"{PLUS}/x",
        "240/sequences/EMO-1-shout laugh".replace(" ", "%20"),
    ],
)
def test_what_is_no_file_of_the_folder_is_404(server, ask, path):
    assert ask(f"/{server.prefix}/{path}")[0] == 404


def test_requests_are_recorded_and_forgotten_on_reset(server, ask):
    ask(PLUS, Range="bytes=5-9")
    ask("missing.mp4?x=1")
    ask("/elsewhere")
    ask(PLUS, method="POST")
    assert server.requests == [
        demo.Request("GET", PLUS, "bytes=5-9", 206, 5),
        demo.Request("GET", "missing.mp4", None, 404, len("Not found.")),
        demo.Request("GET", "/elsewhere", None, 403, len("Forbidden: not a valid access URL.")),
        demo.Request("POST", f"/{server.prefix}/{PLUS}", None, 501, server.requests[-1].body_bytes),
    ]
    server.reset()
    assert server.requests == []


def test_many_clients_are_served_at_once_on_kept_connections(server):
    def work():
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            for start in range(0, 5000, 100):
                headers = {"Range": f"bytes={start}-{start + 99}"}
                connection.request("GET", f"/{server.prefix}/{PLUS}", headers=headers)
                sockets.add(connection.sock.getsockname())
                bodies.append((start, connection.getresponse().read()))

    bodies: list[tuple[int, bytes]] = []
    sockets: set[object] = set()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = bytes(range(256)) * 4000
    assert len(bodies) == len(server.requests) == 400
    assert all(body == whole[start : start + 100] for start, body in bodies)
    assert len(sockets) == 8


def test_a_client_that_hangs_up_is_no_news(server, capfd):
    (server.folder / "big.mp4").write_bytes(bytes(30_000_000))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"/{server.prefix}/big.mp4")
    connection.getresponse().read(10)
    connection.close()
    time.sleep(0.3)
    (request,) = server.requests
    assert request.status == 200
    assert request.body_bytes < 30_000_000
    assert capfd.readouterr() == ("", "")


def test_a_faulty_server_is_a_handler_that_overrides_respond(server):
    class Faulty(demo.DemoHandler):
        def respond(self, path):
            if len(self.demo.requests_so_far()) == 0:
                self.send_status(503, "Busy.", {"Retry-After": "1"})
            else:
                super().respond(path)

    with demo.DemoServer(server.folder, prefix="p", handler=Faulty) as faulty:
        statuses = []
        for _ in range(2):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", faulty.port, timeout=10)) as connection:
                connection.request("GET", f"/p/{PLUS}")
                response = connection.getresponse()
                statuses.append((response.status, len(response.read())))
        assert statuses == [(503, 5), (200, 1024000)]


def test_a_closed_server_is_gone_and_can_come_back(server, ask):
    assert ask("empty.csv")[0] == 200
    port, url = server.port, server.url
    started = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - started < 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    server.start()
    assert server.url == url
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", f"/{server.prefix}/empty.csv")
        assert connection.getresponse().status == 200


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(AssetNotFoundError, match="nothing_here"):
        demo.DemoServer(tmp_path / "nothing_here")


# ---- the contact sheet


def test_a_contact_sheet_shows_every_picture_with_its_label():
    pictures = [Image.new("RGB", (55, 80), (10 * index, 200, 255 - 10 * index)) for index in range(16)]
    sheet = demo.contact_sheet(
        pictures, [f"camera {index}" for index in range(16)], columns=8, tile_width=160, title="T"
    )
    assert sheet.width > 8 * 160
    shown = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert {picture.getpixel((0, 0)) for picture in pictures} <= shown
    unlabelled = demo.contact_sheet(pictures, [""] * 16, columns=8, tile_width=160, title="T")
    assert sheet.tobytes() != unlabelled.tobytes()
    with pytest.raises(SelectionError):
        demo.contact_sheet(pictures, ["one"])


def test_importing_the_package_loads_no_demo():
    code = "import nersemble, sys; print([name for name in sys.modules if name.startswith('nersemble.demo')])"
    root = str(Path(demo.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
