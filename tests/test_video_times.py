"""Times, flags and checksums beside plain mp4: good files are read whole, and damaged ones give no wrong frame."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from _videos import decode_all, encode, frames_span, number_in, picture_of, replace, x264, x265
from PIL import Image

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder

COUNT = 48
H264 = {"options": x264("keyint=12:min-keyint=12:bframes=3")}
HEVC = {"codec": "libx265", "options": x265("keyint=12:min-keyint=12:bframes=3:open-gop=0")}
#: Where no container says how long the file is to be, and where the table of packets comes with them.
STREAMS = {
    "ts": ("mpegts", {}, H264),
    "ts of hevc": ("mpegts", {}, HEVC),
    "flv": ("flv", {}, H264),
    "live mkv": ("matroska", {"live": "1"}, H264),
    "fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov"}, H264),
}


def remuxed(
    data: bytes,
    path: Path,
    container: str,
    options: dict[str, str],
    change: Callable[[list[av.Packet], list[bytes]], list[bytes]],
) -> Path:
    """A video in another container; ``change`` gets its packets, whose times it may set, and returns their bytes."""
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format=container, options=options) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet, new in zip(packets, change(packets, [bytes(packet) for packet in packets]), strict=True):
            made = av.Packet(new)
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.duration, made.is_keyframe, made.stream = packet.duration, packet.is_keyframe, stream
            out.mux(made)
    return path


def read(path: Path) -> dict[int, int | None]:
    """The numbers in the frames that are given, each by a decoder of its own and by one for all."""
    found: dict[int, int | None] = {}
    with contextlib.suppress(FrameError), VideoDecoder(path) as whole:
        for timestep in range(len(whole)):
            with contextlib.suppress(FrameError):
                found[timestep] = number_in(whole.get_frame_at(timestep))
            with contextlib.suppress(FrameError), VideoDecoder(path) as lone:
                assert number_in(lone.get_frame_at(timestep)) == found.setdefault(timestep, timestep)
    return found


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_a_late_time_in_the_middle_hides_no_picture(tmp_path, stream):
    container, options, video = STREAMS[stream]
    data = encode(count=COUNT, **video)
    for damaged in (5, 13, 24, 31, 40):

        def late(packets: list[av.Packet], data: list[bytes], damaged: int = damaged) -> list[bytes]:
            packet = packets[damaged]
            packet.pts += round(4 / packet.time_base)
            return data

        found = read(remuxed(data, tmp_path / "video", container, options, late))
        assert all(number == timestep for timestep, number in found.items())
        assert len(found) > 3


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(("place", "steps"), [(46, 10), (47, 1), (45, 2), (2, 30)])
def test_a_pause_in_front_of_the_last_frames_hides_none_of_them(tmp_path, stream, place, steps):
    container, options, video = STREAMS[stream]
    data = encode(count=COUNT, pts=lambda number: number + steps * (number >= place), **video)
    path = remuxed(data, tmp_path / "video", container, options, lambda _, data: data)
    with VideoDecoder(path) as decoder:
        assert [number_in(picture) for picture in decoder] == list(range(COUNT))


@pytest.mark.parametrize("count", [37, 25])
@pytest.mark.parametrize("stream", ["ts", "ts of hevc", "flv"])
def test_a_pause_in_front_of_a_last_keyframe_hides_it_not(tmp_path, stream, count):
    container, options, video = STREAMS[stream]
    data = encode(count=count, pts=lambda number: number + 20 * (number == count - 1), **video)
    path = remuxed(data, tmp_path / "video", container, options, lambda _, data: data)
    with VideoDecoder(path) as decoder:
        assert [number_in(picture) for picture in decoder] == list(range(count))


def test_a_late_time_of_a_codec_that_counts_nothing_hides_no_picture(tmp_path):
    """Far in front of the end of the file, where no cut can be."""

    def late(packets: list[av.Packet], data: list[bytes]) -> list[bytes]:
        packets[5].pts += round(4 / packets[5].time_base)
        return data

    data = encode(codec="mpeg4", options={"bf": "2", "g": "12"}, container="mpegts", count=COUNT)
    with VideoDecoder(remuxed(data, tmp_path / "video", "mpegts", {}, late)) as decoder:
        assert len(decoder) == COUNT


@pytest.mark.parametrize("video", [H264, HEVC], ids=["h264", "hevc"])
def test_a_picture_that_an_edit_list_should_hide_is_refused(tmp_path, video):
    """Its time is that of a shown one, though a hidden keyframe follows: players disagree on how many there are."""

    def strayed(packets: list[av.Packet], data: list[bytes]) -> list[bytes]:
        step = packets[1].dts - packets[0].dts
        for packet in packets:
            packet.pts, packet.dts = packet.pts - 17 * step, packet.dts - 17 * step
        packets[4].pts = 5 * step + step // 2
        return data

    data = encode(count=COUNT, **video)
    with pytest.raises(FrameError, match="stand in front of it, so that its frames cannot be counted"):
        VideoDecoder(remuxed(data, tmp_path / "video.mp4", "mp4", {}, strayed))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "container"),
    [
        ("mjpeg", "yuvj420p", "matroska"),
        ("mjpeg", "yuvj420p", "mov"),
        ("ffv1", "yuv420p", "matroska"),
        ("libvpx", "yuv420p", "matroska"),
        ("libvpx-vp9", "yuv420p", "mp4"),
    ],
)
def test_times_that_contradict_a_codec_without_reordering_are_refused(tmp_path, codec, pix_fmt, container):
    data = encode(codec=codec, options={}, container="matroska", pix_fmt=pix_fmt, count=24)
    path = remuxed(data, tmp_path / "video", container, {}, lambda _, data: data)
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 24

    def late(packets: list[av.Packet], data: list[bytes]) -> list[bytes]:
        packets[9].pts += round(4 / packets[9].time_base)
        return data

    remuxed(data, path, container, {}, late)
    with pytest.raises(
        FrameError, match=r"other presentation times than their order in the file.*Its times are damaged"
    ):
        VideoDecoder(path)


# --- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("video", [H264, HEVC], ids=["h264", "hevc"])
@pytest.mark.parametrize("kind", ["exchanged", "repeated"])
def test_packets_in_each_others_place_give_no_wrong_picture(tmp_path, video, kind):
    data = encode(count=COUNT, **video)
    for place in range(1, COUNT - 1, 3 if kind == "exchanged" else 2):

        def change(packets: list[av.Packet], data: list[bytes], place: int = place) -> list[bytes]:
            if kind == "exchanged":
                data[place : place + 2] = data[place + 1], data[place]
            elif not packets[place - 1].is_keyframe:  # which HEVC does not number
                data[place] = data[place - 1]
            return data

        found = read(remuxed(data, tmp_path / "video.mp4", "mp4", {}, change))
        assert all(number == timestep for timestep, number in found.items()), place
        assert found


@pytest.mark.parametrize("gap", [1, 2])
@pytest.mark.parametrize("options", ["keyint=12:bframes=0:ref=1", "keyint=24:interlaced=1:bframes=3:b-adapt=0"])
def test_a_packet_that_is_there_twice_gives_no_wrong_picture_behind_it(tmp_path, options, gap):
    """Whatever is asked for first: pictures that are not counted, or that lean on what was pushed out by it."""
    data = encode(count=24, options=x264(options))
    path = tmp_path / "video.mp4"
    for place in range(gap + 1, 24):

        def again(packets: list[av.Packet], data: list[bytes], place: int = place) -> list[bytes]:
            if not any(packet.is_keyframe for packet in packets[place - gap : place + 1]):
                data[place] = data[place - gap]
            return data

        remuxed(data, path, "mp4", {}, again)
        for timestep in range(24):
            with contextlib.suppress(FrameError), VideoDecoder(path) as decoder:
                assert number_in(decoder.get_frame_at(timestep)) == timestep, place
        assert all(number == timestep for timestep, number in read(path).items()), place


def test_a_keyframe_of_h264_that_is_there_twice_gives_no_wrong_picture(tmp_path):
    data = encode(count=COUNT, **H264)

    def again(_: list[av.Packet], data: list[bytes]) -> list[bytes]:
        data[13] = data[12]
        return data

    found = read(remuxed(data, tmp_path / "video.mp4", "mp4", {}, again))
    assert all(number == timestep for timestep, number in found.items())
    assert len(found) > 20


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_one_keyframe_that_is_looped_is_read_as_often(tmp_path, container):
    data = encode(count=1, options=x264("keyint=1"))
    path = tmp_path / "video"
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", format=container) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packet = next(packet for packet in source.demux(video=0) if packet.size)
        for number in range(10):
            made = av.Packet(bytes(packet))
            made.pts = made.dts = number * packet.duration
            made.duration, made.time_base = packet.duration, packet.time_base
            made.is_keyframe, made.stream = True, stream
            out.mux(made)
    with VideoDecoder(path) as decoder:
        assert [number_in(decoder.get_frame_at(timestep)) for timestep in (7, 3, 0, 9)] == [0] * 4
        assert [number_in(picture) for picture in decoder] == [0] * 10


# --- checksums --------------------------------------------------------------------------------------------------------


def test_flipped_bits_that_a_checksum_of_the_file_tells_are_damage(tmp_path):
    data = encode(codec="libx265", options=x265("keyint=12:min-keyint=12:bframes=3:hash=1"), count=COUNT)
    start, stop = frames_span(data)
    path, refused = tmp_path / "video.mp4", 0
    path.write_bytes(data)
    truth = decode_all(path)
    with VideoDecoder(path) as decoder:
        assert all(map(np.array_equal, decoder, truth))
    for seed in range(40):
        chance = random.Random(seed)
        damaged = bytearray(data)
        damaged[chance.randrange(start + 2000, stop)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with VideoDecoder(path) as decoder:
            try:
                assert all(map(np.array_equal, decoder, truth))
            except FrameError:
                refused += 1
    assert refused > 20


# --- flags ------------------------------------------------------------------------------------------------------------


def test_an_apng_is_drawn_from_its_beginning(tmp_path):
    """Most of its packets hold a part of the picture, also those that the container calls keyframes."""
    path = tmp_path / "video.apng"
    path.write_bytes(encode(codec="apng", options={}, container="apng", pix_fmt="rgb24", count=24))
    truth = decode_all(path)
    for timestep in range(24):
        with VideoDecoder(path) as decoder:
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("codec", ["mpeg4", "libvpx", "ffv1"])
def test_a_file_that_knows_no_keyframe_is_read_from_its_beginning(tmp_path, codec):
    data = encode(codec=codec, options={}, container="matroska", count=24)

    def plain(packets: list[av.Packet], data: list[bytes]) -> list[bytes]:
        for packet in packets:
            packet.is_keyframe = False
        return data

    path = remuxed(data, tmp_path / "video.mkv", "matroska", {}, plain)
    truth = decode_all(path)
    with VideoDecoder(path) as decoder:
        assert len(decoder) == len(truth) == 24
        for timestep in (17, 3, 23, 0):
            assert np.array_equal(decoder.get_frame_at(timestep), truth[timestep])


@pytest.mark.parametrize("container", ["matroska", "avi", "mov"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_pictures_of_a_camera_with_its_own_notes_are_read(tmp_path, container, orientation):
    """JPEGs with EXIF, as of a time lapse; newer FFmpeg turns them as those say."""
    path = camera_pictures(tmp_path / "video", container, orientation)
    with av.open(str(path)) as source:
        turns = [frame.rotation % 360 for frame in source.decode(video=0)]
    with VideoDecoder(path) as decoder:
        assert len(decoder) == 6
        assert decoder.index.rotation == turns[0]
        assert (decoder.width, decoder.height) == ((96, 128) if turns[0] in (90, 270) else (128, 96))
        for timestep in (4, 0, 5):
            upright = np.rot90(decoder.get_frame_at(timestep), -turns[0] // 90)
            assert number_in(upright) == timestep


@pytest.mark.parametrize("orientation", [2, 4, 5, 7])
def test_pictures_of_a_camera_that_are_to_be_mirrored_are_refused(tmp_path, orientation):
    path = camera_pictures(tmp_path / "video", "matroska", orientation)
    with av.open(str(path)) as source:
        frame = next(source.decode(video=0))
    if is_turned_by_notes(frame):
        with pytest.raises(FrameError, match="asks players to mirror"):
            VideoDecoder(path)
    else:
        with VideoDecoder(path) as decoder:  # an older FFmpeg shows them as they are
            assert number_in(decoder.get_frame_at(3)) == 3


def is_turned_by_notes(frame: av.VideoFrame) -> bool:
    try:
        return bool(list(frame.side_data))
    except ValueError:  # of a kind that PyAV does not know
        return True


def camera_pictures(path: Path, container: str, orientation: int | None) -> Path:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        for number in range(6):
            notes, file = Image.Exif(), io.BytesIO()
            notes[0x10F] = "Camera"
            if orientation is not None:
                notes[0x112] = orientation
            Image.fromarray(picture_of(number, (128, 96))).save(file, "JPEG", exif=notes, quality=95)
            packet = av.Packet(file.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, 25), True, stream
            out.mux(packet)
    return path


@pytest.mark.parametrize("bit", [20, 25, 30])
@pytest.mark.parametrize("table", ["stts", "ctts"])
def test_a_damaged_length_of_a_run_takes_no_memory(table, bit):
    def longer(box: bytes) -> bytes:
        damaged = bytearray(box)
        last = len(box) - 8
        struct.pack_into(">I", damaged, last, struct.unpack_from(">I", box, last)[0] ^ 1 << bit)
        return bytes(damaged)

    data = replace(encode(count=24, **H264), f"/moov/trak/mdia/minf/stbl/{table}", longer)
    tracemalloc.start()
    try:
        with VideoDecoder(io.BytesIO(data)) as decoder:
            assert number_in(decoder.get_frame_at(5)) == 5
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
