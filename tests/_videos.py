"""Makes odd videos: every structure of a file in which a frame can be mistaken for its neighbour.

Each frame shows its number as black and white blocks, twice and in two codes, so that ``number_in`` reads it back from
the pixels or says that it cannot; a picture put together from two frames has no number.  What an encoder does not make
is patched into the bytes with ``rewrite``.
"""

from __future__ import annotations

import contextlib
import io
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.stream
import numpy as np
import PIL.Image

from nersemble.errors import FrameError
from nersemble.video import VideoDecoder

COLUMNS = 8
FPS = 73
COUNT = 48
#: Two odd factors: the codes of neighbouring numbers differ in many bits.
CODES = (167, 89)
CONTAINERS = {"moov", "trak", "mdia", "minf", "stbl", "edts"}


def picture_of(number: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """``(H, W, 3)`` uint8 that shows ``number``: each code in one row of blocks, and its complement in the next."""
    rows = []
    for factor in CODES:
        bits = [number * factor % 256 >> bit & 1 for bit in range(COLUMNS)]
        rows += [bits, [1 - bit for bit in bits]]
    width, height = size
    grid = np.array(rows, np.uint8) * 215 + 20
    y = np.arange(height) * len(rows) // height
    x = np.arange(width) * COLUMNS // width
    return np.repeat(grid[y][:, x, None], 3, axis=2)


def number_in(picture: np.ndarray) -> int | None:
    """The number that a picture shows, None if it shows none without doubt."""
    height, width = picture.shape[:2]
    found = set()
    for row, factor in zip((0, 2), CODES, strict=True):
        code = 0
        for bit in range(COLUMNS):
            x = int((bit + 0.5) * width / COLUMNS)
            above, below = (int((r + 0.5) * height / 4) for r in (row, row + 1))
            block = [picture[y - 3 : y + 3, x - 2 : x + 2].mean() for y in (above, below)]
            if abs(block[0] - block[1]) < 100:
                return None
            code |= int(block[0] > block[1]) << bit
        found.add(code * pow(factor, -1, 256) % 256)
    return found.pop() if len(found) == 1 else None


def x264(parameters: str) -> dict[str, str]:
    """Options that give the same bytes every time; mbtree would read beside pictures as small as these."""
    return {"crf": "18", "x264-params": f"slices=1:threads=1:scenecut=0:mbtree=0:{parameters}"}


def x265(parameters: str) -> dict[str, str]:
    return {"x265-params": f"log-level=none:pools=none:frame-threads=1:scenecut=0:{parameters}"}


CLOSED = x264("keyint=12:min-keyint=12:bframes=3")
OPEN = x264("keyint=12:min-keyint=12:bframes=3:open-gop=1")


def encode(
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    mux: str = "",
    container: str = "mp4",
    pts: Callable[[int], int] = lambda i: i,
    time_base: Fraction = Fraction(1, FPS),
    count: int = COUNT,
    size: tuple[int, int] = (96, 64),
    pix_fmt: str = "yuv420p",
    tag: str | None = None,
    sound: str = "",
    noise: int = 0,
) -> bytes:
    """A video of ``count`` numbered frames as bytes.

    ``sound`` is ``before`` or ``after`` for an audio track in front of or behind the video track, whose packets are
    interleaved with the video's.  ``noise`` of some grey levels makes the file large.
    """
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:  # by name: putting the header in front reads the file again
        path = Path(folder) / "video"
        with av.open(str(path), "w", format=container, options={"movflags": mux} if mux else {}) as out:
            audio = out.add_stream("aac", rate=48000, layout="mono") if sound == "before" else None
            video: Any = out.add_stream(codec, rate=FPS)
            video.width, video.height = size
            video.pix_fmt = pix_fmt
            video.time_base = video.codec_context.time_base = time_base
            video.options = CLOSED if options is None else options
            if tag:
                video.codec_context.codec_tag = tag
            if sound == "after":
                audio = out.add_stream("aac", rate=48000, layout="mono")
            for number in range(count):
                picture = picture_of(number, size)
                if noise:
                    grain = chance.integers(-noise, noise + 1, picture.shape, np.int16)
                    picture = (picture + grain).clip(0, 255).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = pts(number), time_base
                out.mux(video.encode(frame))
                if audio is not None:
                    out.mux(audio.encode(_tone(number)))
            for stream in filter(None, (video, audio)):
                out.mux(stream.encode(None))
        return path.read_bytes()


def _tone(number: int) -> av.AudioFrame:
    samples = 48000 // FPS
    wave = np.sin(np.arange(samples) * 0.05).astype(np.float32)[None] * 0.1
    block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    block.sample_rate, block.pts, block.time_base = 48000, number * samples, Fraction(1, 48000)
    return block


# --- patching bytes -------------------------------------------------------------------------------------------------


def boxes(data: bytes) -> Iterator[tuple[str, int, int, int]]:
    """The boxes of an mp4: kind, where each begins, where its contents begin, where it ends."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind.decode("latin-1"), position, position + 8, position + size
        position += size


def rewrite(data: bytes, change: Callable[[str, bytes], list[tuple[str, bytes]] | None], path: str = "") -> bytes:
    """Rewrite boxes, by ``change(path, body)``: None to keep one, or the boxes in its place.

    Changing sizes in a header that lies in front of the frames would break the offsets of the frames: give files whose
    header comes last.
    """
    out = []
    for kind, _, start, stop in boxes(data):
        here, body = f"{path}/{kind}", data[start:stop]
        if kind in CONTAINERS:
            body = rewrite(body, change, here)
        for name, contents in change(here, body) or [(kind, body)]:
            out.append(struct.pack(">I4s", len(contents) + 8, name.encode("latin-1")) + contents)
    return b"".join(out)


def replace(data: bytes, box: str, new: Callable[[bytes], bytes]) -> bytes:
    """Replace the contents of every box of one path, such as ``/moov/trak/tkhd``."""
    done = []

    def change(path: str, body: bytes) -> list[tuple[str, bytes]] | None:
        if path != box:
            return None
        done.append(path)
        return [(path.rsplit("/")[-1], new(body))]

    data = rewrite(data, change)
    if not done:
        raise LookupError(f"the file has no box {box}")
    return data


def edit_list(*rows: tuple[int, int], version: int = 0) -> bytes:
    """Contents of an ``elst`` box from rows of (duration in the movie's time unit, media time in the track's)."""
    row = ">Qqhh" if version else ">Iihh"
    return struct.pack(">B3xI", version, len(rows)) + b"".join(struct.pack(row, *one, 1, 0) for one in rows)


def with_edits(data: bytes, *rows: tuple[int, int], version: int = 0) -> bytes:
    return replace(data, "/moov/trak/edts/elst", lambda _: edit_list(*rows, version=version))


def with_movie_timescale(data: bytes, timescale: int) -> bytes:
    return replace(data, "/moov/mvhd", lambda body: body[:12] + struct.pack(">I", timescale) + body[16:])


def timescales(data: bytes) -> tuple[int, int]:
    """Time units a second of the movie and of its (one) track."""
    found: dict[str, int] = {}

    def note(path: str, body: bytes) -> None:
        if path in ("/moov/mvhd", "/moov/trak/mdia/mdhd"):
            found[path] = struct.unpack_from(">I", body, 12)[0]

    rewrite(data, note)
    return found["/moov/mvhd"], found["/moov/trak/mdia/mdhd"]


def with_matrix(data: bytes, a: float, b: float, c: float, d: float, *, of_movie: bool = False) -> bytes:
    """Set the display matrix: a point (x, y) of the picture is shown at (a x + c y, b x + d y), y pointing down."""
    a, b, c, d = (round(value * 65536) for value in (a, b, c, d))
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    box, at = ("/moov/mvhd", 36) if of_movie else ("/moov/trak/tkhd", 40)
    return replace(data, box, lambda body: body[:at] + matrix + body[at + 36 :])


SAMPLE_ENTRY = "/moov/trak/mdia/minf/stbl/stsd"


def with_colours(data: bytes, primaries: int, transfer: int, matrix: int, *, full_range: bool) -> bytes:
    """Say in the container which colours the pictures have, by the codes of ISO/IEC 23091-2."""
    box = struct.pack(">I4s4s3HB", 19, b"colr", b"nclx", primaries, transfer, matrix, full_range << 7)
    return replace(data, SAMPLE_ENTRY, lambda body: body[:8] + struct.pack(">I", len(body) - 8 + 19) + body[12:] + box)


def with_height(data: bytes, height: int) -> bytes:
    """Say in the container that only the upper part of the pictures is shown."""
    return replace(data, SAMPLE_ENTRY, lambda body: body[:42] + struct.pack(">H", height) + body[44:])


def with_co64(data: bytes) -> bytes:
    """Offsets of 64 bits."""

    def change(path: str, body: bytes) -> list[tuple[str, bytes]] | None:
        if not path.endswith("/stco"):
            return None
        offsets = np.frombuffer(body, ">u4", -1, 8)
        return [("co64", body[:8] + offsets.astype(">u8").tobytes())]

    return rewrite(data, change)


def with_large_mdat(data: bytes) -> bytes:
    """A size of 64 bits in front of the frames, in the room of the empty box there."""
    found = {kind: (start, stop) for kind, start, _, stop in boxes(data)}
    free, mdat = found["free"], found["mdat"]
    if free != (mdat[0] - 8, mdat[0]):
        raise LookupError("no empty box in front of mdat")
    header = struct.pack(">I4sQ", 1, b"mdat", mdat[1] - free[0])
    return data[: free[0]] + header + data[mdat[0] + 8 :]


def frames_span(data: bytes) -> tuple[int, int]:
    """Where the packets begin and end in the file."""
    return next((start, stop) for kind, _, start, stop in boxes(data) if kind == "mdat")


def flip_bits(data: bytes, seed: int, count: int, start: int, stop: int) -> bytes:
    """Flip ``count`` random bits between two places."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(count):
        damaged[chance.randrange(start, stop)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def overwrite(data: bytes, seed: int, length: int, start: int, stop: int, *, zeros: bool) -> bytes:
    """Overwrite a stretch somewhere between two places, with zeros or with noise."""
    chance = random.Random(seed)
    at = chance.randrange(start, max(stop - length, start + 1))
    length = min(length, stop - at)
    return data[:at] + (bytes(length) if zeros else chance.randbytes(length)) + data[at + length :]


# --- the collection -------------------------------------------------------------------------------------------------


def _edited(
    rows: Callable[[Callable[[float], int], Callable[[float], int]], list[tuple[int, int]]], **more: Any
) -> bytes:
    """A file whose edit list is ``rows(duration, media)``, both giving time units for a number of frames."""
    version = more.pop("version", 0)
    data = encode(**more)
    movie, track = timescales(data)
    return with_edits(data, *rows(lambda n: round(n * movie / FPS), lambda n: round(n * track / FPS)), version=version)


def _tied_edit() -> bytes:
    """An edit whose end lies half a time unit behind a frame: rounding to the even number would lose the frame."""
    data = encode()
    _, track = timescales(data)
    data = with_movie_timescale(data, 2 * track)
    step = track // FPS
    return with_edits(data, (2 * 20 * step + 1, 2 * step))


def three_edits(length: Callable[[float], int], at: Callable[[float], int]) -> list[tuple[int, int]]:
    return [(length(6), at(4)), (length(6), at(16)), (length(8), at(31))]


VIDEOS: dict[str, Callable[[], bytes]] = {
    "closed-gop.mp4": encode,
    "open-gop.mp4": lambda: encode(options=OPEN),
    "b-pyramid.mp4": lambda: encode(options=x264("keyint=24:bframes=7:b-adapt=0:b-pyramid=normal:ref=4")),
    "long-gop.mp4": lambda: encode(options=x264("keyint=250:bframes=3")),
    "three-keyframes.mp4": lambda: encode(options=x264("keyint=60:min-keyint=60:bframes=3"), count=146),
    "low-delay.mp4": lambda: encode(options=x264("keyint=12:bframes=0")),
    "intra.mp4": lambda: encode(options=x264("keyint=1")),
    "intra-refresh.mp4": lambda: encode(options=x264("keyint=16:intra-refresh=1:bframes=0")),
    "slices.mp4": lambda: encode(options={"x264-params": "slices=4:mbtree=0:keyint=12:bframes=3"}),
    "interlaced.mp4": lambda: encode(options=x264("keyint=12:bframes=3:tff=1")),
    "10-bit.mp4": lambda: encode(pix_fmt="yuv420p10le"),
    "avc3.mp4": lambda: encode(tag="avc3"),
    "hevc.mp4": lambda: encode(codec="libx265", options=x265("keyint=12:min-keyint=12:bframes=3:open-gop=0")),
    "hevc-open.mp4": lambda: encode(codec="libx265", options=x265("keyint=12:min-keyint=12:bframes=3:open-gop=1")),
    "hevc-hvc1.mp4": lambda: encode(codec="libx265", options=x265("keyint=12:bframes=4:b-pyramid=1"), tag="hvc1"),
    "hevc-10-bit.mp4": lambda: encode(codec="libx265", options=x265("keyint=12"), pix_fmt="yuv420p10le"),
    "mpeg4.mp4": lambda: encode(codec="mpeg4", options={"bf": "2", "g": "12", "qscale": "3"}),
    "moov-first.mp4": lambda: encode(mux="+faststart"),
    "fragmented.mp4": lambda: encode(mux="frag_keyframe+empty_moov"),
    "matroska.mkv": lambda: encode(container="matroska"),
    "matroska-open.mkv": lambda: encode(container="matroska", options=OPEN),
    "quicktime.mov": lambda: encode(container="mov"),
    "later-start.mp4": lambda: encode(pts=lambda i: i + 37),
    "edit-in-gop.mp4": lambda: encode(pts=lambda i: i - 17),
    "edit-in-open-gop.mp4": lambda: encode(pts=lambda i: i - 17, options=OPEN),
    "edit-in-hevc-open-gop.mp4": lambda: encode(
        pts=lambda i: i - 14, codec="libx265", options=x265("keyint=12:min-keyint=12:bframes=3:open-gop=1")
    ),
    "negative-offsets.mp4": lambda: encode(mux="+negative_cts_offsets"),
    "edit-with-negative-offsets.mp4": lambda: encode(mux="+negative_cts_offsets", pts=lambda i: i - 7),
    "variable-rate.mp4": lambda: encode(time_base=Fraction(1, 7300), pts=lambda i: i * 100 + i % 7 * 13),
    "dropped-frames.mp4": lambda: encode(pts=lambda i: i + i // 5 * 3),
    "edit-bytes.mp4": lambda: _edited(lambda length, at: [(length(20), at(9))]),
    "edit-bytes-open.mp4": lambda: _edited(lambda length, at: [(length(21), at(13))], options=OPEN),
    "edit-between-frames.mp4": lambda: _edited(lambda length, at: [(length(20.4), at(9.5))]),
    "edit-rounding.mp4": _tied_edit,
    "edit-to-last.mp4": lambda: _edited(lambda length, at: [(length(1), at(COUNT + 1))]),
    "edit-empty-first.mp4": lambda: _edited(lambda length, at: [(length(30), -1), (length(30), at(8))]),
    "edit-version-1.mp4": lambda: _edited(lambda length, at: [(length(20), at(9))], version=1),
    "edit-empty-version-1.mp4": lambda: _edited(lambda length, at: [(length(5), -1), (length(20), at(9))], version=1),
    "two-edits.mp4": lambda: _edited(lambda length, at: [(length(10), at(2)), (length(10), at(26))]),
    "two-edits-touching.mp4": lambda: _edited(lambda length, at: [(length(10), at(2)), (length(10), at(12))]),
    "two-edits-open.mp4": lambda: _edited(lambda length, at: [(length(10), at(2)), (length(10), at(26))], options=OPEN),
    "three-edits.mp4": lambda: _edited(three_edits),
    "three-edits-open.mp4": lambda: _edited(three_edits, options=OPEN),
    "edits-backwards.mp4": lambda: _edited(lambda length, at: [(length(10), at(20)), (length(9), at(5))], options=OPEN),
    "edits-overlapping.mp4": lambda: _edited(lambda length, at: [(length(9), at(6)), (length(9), at(9))], options=OPEN),
    "sound-first.mp4": lambda: encode(sound="before"),
    "sound-after.mp4": lambda: encode(sound="after", mux="+faststart"),
    "co64.mp4": lambda: with_co64(encode()),
    "large-mdat.mp4": lambda: with_large_mdat(encode()),
    "turned-left.mp4": lambda: with_matrix(encode(), 0, -1, 1, 0),
    "turned-over.mp4": lambda: with_matrix(encode(), -1, 0, 0, -1),
    "turned-right.mp4": lambda: with_matrix(encode(), 0, 1, -1, 0),
    "odd-size.mp4": lambda: encode(size=(98, 66)),
    "hevc-odd-size.mp4": lambda: encode(codec="libx265", options=x265("keyint=12"), size=(98, 66)),
    "one-frame.mp4": lambda: encode(count=1),
    "two-frames.mp4": lambda: encode(count=2),
}

#: Steps from frame to frame where edits jump.
JUMPS = {
    "two-edits.mp4": {15},
    "two-edits-open.mp4": {15},
    "three-edits.mp4": {7, 10},
    "three-edits-open.mp4": {7, 10},
    "edits-backwards.mp4": {-24},
    "edits-overlapping.mp4": {-5},
}

#: Counter-clockwise quarter turns from the coded picture to the one shown.
TURNS = {"turned-left.mp4": 1, "turned-over.mp4": 2, "turned-right.mp4": 3}


def write(folder: Path, name: str) -> Path:
    """One video of the collection, made when first asked for."""
    path = folder / name
    if not path.exists():
        path.write_bytes(VIDEOS[name]())
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    """The truth: every frame by plain sequential decoding, as ``(H, W, 3)`` uint8, turned as its file says."""
    with av.open(str(path)) as container:
        return [np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) for frame in container.decode(video=0)]


def decode_what_is_valid(path: Path) -> dict[int, np.ndarray]:
    """By timestep, what one codec thread shows of every packet in order, where it finds no fault."""
    pictures = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}
        for packet in container.demux(stream):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    if not frame.is_corrupt:
                        pictures[round(frame.time * FPS)] = frame.to_ndarray(format="rgb24")
    return pictures


def read(path: Path) -> list[np.ndarray | None]:
    """What ``VideoDecoder`` gives for each timestep, None where it raises."""
    with VideoDecoder(path) as decoder:
        return [_picture_at(decoder, timestep) for timestep in range(len(decoder))]


def _picture_at(decoder: VideoDecoder, timestep: int) -> np.ndarray | None:
    try:
        return decoder.get_frame_at(timestep)
    except FrameError:
        return None


def with_cover(data: bytes, mux: str) -> bytes:
    """The video behind a still picture, as players show it in lists."""
    file = io.BytesIO()
    PIL.Image.fromarray(picture_of(99)).save(file, "JPEG")
    still = av.Packet(file.getvalue())
    still.pts = still.dts = 0
    with tempfile.TemporaryDirectory() as folder, av.open(io.BytesIO(data)) as source:
        path = Path(folder) / "video"
        with av.open(str(path), "w", format="mp4", options={"movflags": mux} if mux else {}) as out:
            cover: Any = out.add_stream("mjpeg", width=96, height=64, pix_fmt="yuvj420p")
            cover.disposition = av.stream.Disposition.attached_pic
            film = out.add_stream_from_template(source.streams.video[0])
            still.stream, still.time_base = cover, Fraction(1, FPS)
            out.mux(still)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = film
                    out.mux(packet)
        return path.read_bytes()


def without_packets(data: bytes, lost: set[int]) -> bytes:
    """The video as it is when packets got lost before it was put into its file; counted in decode order."""
    with tempfile.TemporaryDirectory() as folder, av.open(io.BytesIO(data)) as source:
        path = Path(folder) / "video"
        with av.open(str(path), "w", format="mp4") as out:
            film = out.add_stream_from_template(source.streams.video[0])
            for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
                if number not in lost:
                    packet.stream = film
                    out.mux(packet)
        return path.read_bytes()


def sound_alone() -> bytes:
    """An mp4 without a video track."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        with av.open(str(path), "w", format="mp4") as out:
            audio = out.add_stream("aac", rate=48000, layout="mono")
            for number in range(COUNT):
                out.mux(audio.encode(_tone(number)))
            out.mux(audio.encode(None))
        return path.read_bytes()
