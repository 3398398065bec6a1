"""Published files that are replaced on the server while they are open: an error, never bytes of both versions."""

from __future__ import annotations

import os
import pickle
import threading

import pytest
from _faults import LONG_AGO, Scene, put, video, without
from _videos import encode, number_in

from nersemble import NersembleFileSystem, TransportError, VideoDecoder
from nersemble.opening import open_video

VIDEO = video()
SIZE = 1_000_000
OLD = bytes(range(1, 101)) * (SIZE // 100)
#: What tells the versions apart, with the headers that the server leaves out and the length of the new one.
SIGNS = {
    "ETag": (["Last-Modified"], SIZE),
    "Last-Modified": (["ETag"], SIZE),
    "a longer file": (["ETag", "Last-Modified"], SIZE + 1),
    "a shorter file": (["ETag", "Last-Modified"], SIZE // 2),
    "all of them": ([], SIZE + 1),
}


@pytest.fixture(params=SIGNS.values(), ids=SIGNS)
def sign(request):
    return request.param


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch, cameras=1) as made:
        yield made


@pytest.fixture
def replace(scene, sign):
    """Serves the old version; the function that is given puts the new one in its place."""
    lacking, length = sign
    put(scene.truth, VIDEO, OLD)
    scene.serve(without(*lacking))

    def replace(data=None):
        new = bytes(200 - byte for byte in OLD[:100]) * (length // 100 + 1) if data is None else data
        put(scene.truth, VIDEO, new[:length], changed=LONG_AGO + 500)

    return replace


def refused(scene, read, *arguments):
    with pytest.raises(TransportError, match=r"changed on the server.*Open it again") as caught:
        read(*arguments)
    assert f"nersemble://{VIDEO}" in str(caught.value)
    scene.check_error(caught.value)


@pytest.mark.parametrize("at", [40_000, 300_000, SIZE - 100, SIZE - 1])
def test_a_range_of_the_new_version_is_refused(scene, replace, at):
    """However often it is asked for, also behind the end of a shorter one; what was read before stays readable."""
    file = NersembleFileSystem().source(VIDEO)
    assert file.read_at(0, 100) == OLD[:100]
    replace()
    for _ in range(2):
        refused(scene, file.read_at, at, at + 1)
    again = NersembleFileSystem().source(VIDEO)
    assert again.read_at(0, 10) == (scene.truth / VIDEO).read_bytes()[:10]


def test_a_file_that_is_read_from_its_beginning_to_its_end_has_one_version(scene, replace):
    """Bytes of the old one up to the error."""
    with NersembleFileSystem().open(VIDEO) as file:
        read = file.read(200_000)
        replace()
        pieces = [read]
        refused(scene, lambda: pieces.extend(iter(lambda: file.read(10_000), b"")))
    read = b"".join(pieces)
    assert len(read) >= 200_000
    assert read == OLD[: len(read)]


READS = {
    "the rest": lambda file: file.read(),
    "the end": lambda file: (file.seek(0, os.SEEK_END), file.seek(SIZE // 2 - 10), file.read()),
    "lines": list,
}


@pytest.mark.parametrize("mode", ["rb", "rt"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_other_ways_to_read_are_refused_too(scene, replace, mode, read):
    options = {} if mode == "rb" else {"encoding": "latin-1"}
    with NersembleFileSystem().open(VIDEO, mode, **options) as file:
        file.read(10)
        replace()
        refused(scene, read, file)


def test_threads_that_share_a_file_see_one_version(scene, replace):
    """All of them are refused, whichever notices first."""
    file = NersembleFileSystem().source(VIDEO)
    assert file.read_at(0, 1) == OLD[:1]
    replace()
    refusals = []

    def read(start):
        try:
            file.read_at(start, start + 10)
        except TransportError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=read, args=(start,)) for start in range(1000, 400_000, 50_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refusals) == len(threads)


def test_a_file_that_was_pickled_is_opened_again(scene, replace):
    """It holds no bytes of the old version, so that the new one is right."""
    file = NersembleFileSystem().open(VIDEO)
    file.seek(100)
    assert file.read(10) == OLD[:10]
    replace()
    again = pickle.loads(pickle.dumps(file))
    new = (scene.truth / VIDEO).read_bytes()
    assert again.tell() == 110
    assert again.read(50) == new[110:160]
    assert again.read() == new[160:]
    again.close()
    file.close()


# --- videos -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films():
    """A video whose header comes first, and one of which it comes last; both are larger than what is read at once."""
    plain = {"size": (320, 240), "noise": 60, "count": 96}
    return {"header first": encode(mux="+faststart", **plain), "header last": encode(**plain)}


@pytest.mark.parametrize("film", ["header first", "header last"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_video_never_shows_frames_of_two_versions(scene, sign, films, film, closed):
    """Each frame is the old one's or refused, also after the decoder was closed and opens its file anew."""
    old, lacking = films[film], sign[0]
    new = bytes(reversed(old)) + (b"" if sign[1] == SIZE else bytes(8))
    put(scene.truth, VIDEO, old)
    scene.serve(without(*lacking))
    decoder = open_video(f"nersemble://{VIDEO}", first_read=4096)
    assert number_in(decoder.get_frame_at(3)) == 3
    put(scene.truth, VIDEO, new, changed=LONG_AGO + 500)
    if closed:
        decoder.close()
    wanted = (95, 40, 3, 60, 0)
    shown = [number_or_refusal(scene, decoder, timestep) for timestep in wanted]
    assert [pair for pair in zip(wanted, shown, strict=True) if pair[1] not in (pair[0], "refused")] == []
    assert shown.count("refused") >= 3
    decoder.close()


def number_or_refusal(scene, decoder, timestep):
    """What number the frame shows."""
    try:
        return number_in(decoder.get_frame_at(timestep))
    except TransportError as error:
        scene.check_error(error)
        return "refused" if "changed on the server" in str(error) else str(error)


def test_a_video_that_is_replaced_while_it_is_opened_is_refused(scene, sign, films):
    """Between its first bytes and its header, which stands at its end."""
    old, lacking = films["header last"], sign[0]
    # Longer by a box that says nothing: the two films can be of one length.
    new = films["header first"] + b"\0\0\0\x10free" + bytes(8) if sign[1] != SIZE else bytes(reversed(old))
    put(scene.truth, VIDEO, old)

    def answer(handler, path, number):
        if number == 2:
            put(scene.truth, VIDEO, new, changed=LONG_AGO + 500)
        handler.send_file(path)

    scene.serve(without(*lacking, after=answer))
    source = NersembleFileSystem().source(VIDEO)
    refused(scene, lambda: VideoDecoder(source, first_read=4096))
