"""``nersemble://`` through fsspec: over a real server, over faulty ones, and over a folder."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from nersemble import AccessError, AssetNotFoundError, CatalogError, NersembleFileSystem, TransportError
from nersemble.demo import DemoHandler, DemoOptions, DemoServer
from nersemble.layout import BACKGROUND, SERIALS, AssetPath

OPTIONS = DemoOptions()
VIDEO = str(AssetPath("video", 240, "EXP-1-head", SERIALS[0]))
PLUS = str(AssetPath("video", 50, "EMO-1-shout+laugh", SERIALS[3]))
PARAMS = str(AssetPath("camera_params", 240))
COLORS = str(AssetPath("color_calibration", 50))
CSV = "metadata_sequences.csv"


@pytest.fixture
def serve(demo_folder, monkeypatch):
    """Serve the demo, or another folder, with a handler of one's own; gives the server, its URL in force."""
    servers = []

    def start(handler=DemoHandler, folder=demo_folder):
        server = DemoServer(folder, handler=handler).start()
        servers.append(server)
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def impatient(monkeypatch):
    """Pauses between tries that a test can wait for."""
    monkeypatch.setattr("nersemble.transport.policy.FIRST_PAUSE", 0.01)


def truth(demo_folder: Path, path: str) -> bytes:
    return (demo_folder / path).read_bytes()


def seen_paths(server) -> set[str]:
    return {request.path for request in server.requests}


# --- found by fsspec ------------------------------------------------------------------------------------------------


def test_fsspec_finds_it_without_an_import(access):
    code = (
        "import sys, fsspec; assert 'nersemble' not in sys.modules;"
        f"print(fsspec.open('nersemble://{CSV}', 'rb').open().read(2).decode());"
        "print(fsspec.filesystem('nersemble').ls('')[0]['name'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["ID", "050"], done.stderr


def test_urls_of_other_tools_lead_to_it(access, demo_folder):
    filesystem, path = fsspec.url_to_fs(f"nersemble://{PLUS}")
    assert isinstance(filesystem, NersembleFileSystem)
    assert path == PLUS
    with fsspec.open(f"nersemble://{CSV}", "rt") as file:
        assert file.read() == truth(demo_folder, CSV).decode()


# --- listings -------------------------------------------------------------------------------------------------------


def test_the_root_holds_participants_and_tables(fs):
    entries = {entry["name"]: entry["type"] for entry in fs.ls("")}
    tables = {"metadata_participants.csv": "file", CSV: "file"}
    assert entries == {f"{p:03d}": "directory" for p in OPTIONS.participants} | tables
    assert fs.ls("nersemble://", detail=False) == list(entries)


def test_each_directory_lists_what_the_catalogue_says(fs):
    assert set(fs.ls("240", detail=False)) == {"240/calibration", "240/sequences"}
    calibration = {PARAMS, str(AssetPath("color_calibration", 240))}
    assert set(fs.ls("nersemble://240/calibration/", detail=False)) == calibration
    names = {name.rsplit("/")[-1] for name in fs.ls("050/sequences", detail=False)}
    assert names == {*OPTIONS.sequences_of(50), BACKGROUND}
    assert len(fs.ls("240/sequences/EXP-1-head/images")) == 16
    stills = fs.ls("240/sequences/BACKGROUND", detail=False)
    assert stills == [str(AssetPath("background", 240, camera=serial)) for serial in SERIALS]


def test_what_is_there_and_what_is_not(fs):
    missing = ["999", "240/none.json", "240/sequences/EXP-9-jaw-2", "24", "0240", VIDEO + "x"]
    assert fs.isdir("240")
    assert fs.isdir("240/sequences/EXP-1-head/images/")
    assert fs.isfile(VIDEO)
    assert fs.exists(VIDEO)
    assert fs.exists("nersemble://050/sequences")
    assert not fs.isfile("240")
    assert not fs.isdir(VIDEO)
    assert [path for path in missing if fs.exists(path) or fs.isdir(path) or fs.isfile(path)] == []
    for path in missing:
        with pytest.raises(FileNotFoundError, match=path):
            fs.ls(path)
        with pytest.raises(AssetNotFoundError):
            fs.info(path)


def test_info_says_the_size(fs, demo_folder):
    info = fs.info(f"nersemble://{VIDEO}")
    assert (info["name"], info["size"], info["type"]) == (VIDEO, len(truth(demo_folder, VIDEO)), "file")
    assert fs.size(VIDEO) == info["size"]
    assert fs.info("240")["type"] == "directory"


def test_find_walk_and_glob_see_every_listed_file(fs):
    listed = {str(asset) for asset in OPTIONS.listed_videos()}
    found = set(fs.find(""))
    assert {path for path in found if path.endswith(".mp4")} == listed
    assert {f"{root}/{name}" for root, _, names in fs.walk("240") for name in names} == set(fs.find("240"))
    assert set(fs.glob("nersemble://*/sequences/*/images/*.mp4")) == listed
    assert fs.glob("240/sequences/EXP-*/images/cam_222200037.mp4") == [
        str(AssetPath("video", 240, "EXP-1-head", "222200037"))
    ]
    assert fs.glob("*/nothing") == []


def test_listings_make_no_request_a_file(access):
    fs = NersembleFileSystem()
    fs.find("")
    fs.ls("240/sequences/EXP-1-head/images")
    fs.glob("**/*.mp4")
    list(fs.walk("050"))
    assert seen_paths(access) <= {CSV}
    assert len(access.requests) <= 1


# --- bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [VIDEO, PLUS, PARAMS, CSV])
def test_a_file_is_read_whole(fs, demo_folder, path):
    data = truth(demo_folder, path)
    assert fs.cat_file(path) == fs.cat(f"nersemble://{path}") == data
    with fs.open(path) as file:
        assert file.read() == data


RANGES = [(0, 10), (100, 200), (5, None), (None, 7), (-9, None), (None, -9), (-20, -4), (10, 10), (20, 10), (0, 10**9)]


@pytest.mark.parametrize(("start", "end"), RANGES)
def test_a_part_of_a_file_is_what_a_slice_gives(fs, demo_folder, start, end):
    assert fs.cat_file(VIDEO, start, end) == truth(demo_folder, VIDEO)[start:end]


def test_a_range_beyond_the_end_is_empty(fs, demo_folder):
    size = len(truth(demo_folder, VIDEO))
    assert fs.cat_file(VIDEO, size, size + 5) == fs.cat_file(VIDEO, size + 5, size + 9) == b""


def test_many_ranges_and_files_are_read_at_once(fs, demo_folder):
    paths, starts, ends = [VIDEO, PLUS, VIDEO], [0, 5, 1000], [4, 9, 1100]
    wanted = [truth(demo_folder, p)[a:b] for p, a, b in zip(paths, starts, ends, strict=True)]
    assert fs.cat_ranges(paths, starts, ends) == wanted
    both = fs.cat([PARAMS, COLORS])
    assert {path.removeprefix("/"): data for path, data in both.items()} == {
        path: truth(demo_folder, path) for path in (PARAMS, COLORS)
    }


def test_an_open_file_is_a_file(fs, demo_folder):
    data = truth(demo_folder, VIDEO)
    with fs.open(f"nersemble://{VIDEO}", "rb") as file:
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert file.read(10) == data[:10]
        assert file.tell() == 10
        assert file.seek(-7, os.SEEK_END) == len(data) - 7
        assert file.read() == data[-7:]
        assert file.read() == b""
        file.seek(100)
        assert file.seek(5, os.SEEK_CUR) == 105
        buffer = bytearray(50)
        assert file.readinto(buffer) == 50
        assert buffer == data[105:155]
        file.seek(len(data) + 10)
        assert file.read(5) == b""
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)
        file.seek(3)
        assert io.BufferedReader(file).read() == data[3:]


def test_text_is_read_by_lines(fs, demo_folder):
    lines = truth(demo_folder, CSV).decode().splitlines(keepends=True)
    with fs.open(CSV, "r", encoding="utf-8") as file:
        assert list(file) == lines
    with fs.open(CSV) as file:
        assert [line.decode() for line in file] == lines
        file.seek(0)
        assert file.readline().decode() == lines[0]


def test_a_remote_file_is_read_by_ranges(access, demo_folder):
    with NersembleFileSystem().open(VIDEO) as file:
        file.seek(-100, os.SEEK_END)
        assert file.read(10) == truth(demo_folder, VIDEO)[-100:-90]
    assert all(request.range for request in access.requests if request.method == "GET")


def test_a_missing_file_shows_when_it_is_opened(fs):
    for read in (fs.open, fs.cat_file):
        with pytest.raises(AssetNotFoundError, match=r"nersemble://240/none\.mp4"):
            read("240/none.mp4")
    listed = str(OPTIONS.missing[0])
    assert listed in fs.find("055")
    with pytest.raises(AssetNotFoundError, match="nersemble://055"):
        fs.open(listed)
    assert not fs.exists(listed)


# --- get ------------------------------------------------------------------------------------------------------------


def test_get_writes_a_file(fs, demo_folder, tmp_path):
    folder = tmp_path / "copies"  # beside what the filesystem keeps of the catalogue
    fs.get(PLUS, str(folder / "new" / "video.mp4"))
    assert (folder / "new" / "video.mp4").read_bytes() == truth(demo_folder, PLUS)
    fs.get_file(PARAMS, str(folder / "params.json"))
    assert json.loads((folder / "params.json").read_text())
    fs.download(CSV, str(folder) + "/")
    assert (folder / CSV).read_bytes() == truth(demo_folder, CSV)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
        ["video.mp4", "params.json", CSV]
    )


def test_get_writes_directories(fs, demo_folder, tmp_path):
    fs.get("240/calibration", str(tmp_path / "all"), recursive=True)
    fs.get("240/sequences/BACKGROUND/", str(tmp_path / "stills") + "/", recursive=True)
    for path in (demo_folder / "240/calibration").iterdir():
        assert (tmp_path / "all" / path.name).read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "stills").iterdir())) == 16


@pytest.mark.parametrize(
    ("source", "target", "folder"),
    [
        ("240", "new", ""),
        ("240", "new/", "240"),
        ("240", "old", "240"),
        ("240/", "old", ""),
        ("nersemble://240", "new", ""),
    ],
)
def test_get_to_a_depth_keeps_the_directories(fs, tmp_path, source, target, folder):
    """All that lies so deep is in one directory, whose name fsspec takes for a part of the source's."""
    (tmp_path / "old").mkdir()
    fs.get(source, f"{tmp_path}/{target}", recursive=True, maxdepth=2)
    place = tmp_path / target / folder
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert names == {
        str((place / "calibration" / name).relative_to(tmp_path))
        for name in ("camera_params.json", "color_calibration.json")
    }


def test_get_writes_many_files(fs, demo_folder, tmp_path):
    paths = fs.glob("240/sequences/EXP-1-head/images/*.mp4")
    fs.get(paths, [str(tmp_path / path) for path in paths])
    assert all((tmp_path / path).read_bytes() == truth(demo_folder, path) for path in paths)


def test_a_file_that_cannot_be_fetched_leaves_nothing_behind(fs, tmp_path):
    with pytest.raises(AssetNotFoundError):
        fs.get("240/none.mp4", str(tmp_path / "none.mp4"))
    assert list(tmp_path.glob("none*")) == []


# --- faulty servers -------------------------------------------------------------------------------------------------


class WithoutRanges(DemoHandler):
    """Sends whole files, whatever was asked for."""

    def respond(self, path):
        del self.headers["Range"]
        self.send_file(path)


class Bare(DemoHandler):
    """Knows neither HEAD nor ETags."""

    def respond(self, path):
        if self.command == "HEAD":
            self.send_status(405)
        else:
            self.send_file(path)

    def send_head(self, status, headers):
        super().send_head(status, {name: value for name, value in headers.items() if name != "ETag"})


class NoHead(DemoHandler):
    """Refuses HEAD as if it were forbidden."""

    def respond(self, path):
        self.send_status(403) if self.command == "HEAD" else self.send_file(path)


class RefusesRanges(DemoHandler):
    """Says of every part of a file that there is none, and says how long the file is."""

    def respond(self, path):
        if self.headers.get("Range"):
            size = (self.demo.folder / path).stat().st_size
            self.send_status(416, "", {"Content-Range": f"bytes */{size}"})
        else:
            self.send_file(path)


class RefusesRangesWithoutAWord(DemoHandler):
    """As above, but leaves the length to HEAD, which has no body for it."""

    def respond(self, path):
        if self.command == "HEAD":
            del self.headers["Range"]
        self.send_status(416) if self.headers.get("Range") else self.send_file(path)


class NoHeadAndRefusesRanges(RefusesRangesWithoutAWord):
    """As above, and says no length either."""

    def respond(self, path):
        self.send_status(405) if self.command == "HEAD" else super().respond(path)


class NothingToHead(DemoHandler):
    """Answers HEAD with a success that says nothing."""

    def respond(self, path):
        self.send_head(204, {}) if self.command == "HEAD" else self.send_file(path)


SIMPLE = [WithoutRanges, Bare, NoHead, RefusesRanges, RefusesRangesWithoutAWord, NoHeadAndRefusesRanges, NothingToHead]


@pytest.mark.parametrize("handler", SIMPLE)
def test_simple_servers_give_the_same_bytes(serve, demo_folder, tmp_path, handler):
    server, data = serve(handler), truth(demo_folder, VIDEO)
    fs = NersembleFileSystem()
    for start, end in RANGES:
        assert fs.cat_file(VIDEO, start, end) == data[start:end]
    assert fs.info(VIDEO)["size"] == len(data)
    with fs.open(VIDEO) as file:
        assert file.read(100) == data[:100]
        file.seek(-50, os.SEEK_END)
        assert file.read() == data[-50:]
    fs.get(VIDEO, str(tmp_path / "video.mp4"))
    assert (tmp_path / "video.mp4").read_bytes() == data
    assert server.requests


def test_a_server_that_says_no_length_gives_the_same_bytes(serve, demo_folder):
    class InChunks(DemoHandler):
        def respond(self, path):
            data = truth(demo_folder, path)
            self.send_head(200, {"Transfer-Encoding": "chunked"})
            if self.command != "HEAD":
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    serve(InChunks)
    fs, data = NersembleFileSystem(), truth(demo_folder, VIDEO)
    for start, end in RANGES:
        assert fs.cat_file(VIDEO, start, end) == data[start:end]
    assert fs.tail(VIDEO, 9) == data[-9:]


@pytest.mark.parametrize("status", [201, 202, 203, 204, 205, 226])
def test_a_success_of_another_kind_is_no_file(serve, status):
    """Such as "accepted": the answer is about the file, and not the file."""

    class Another(DemoHandler):
        def respond(self, path):
            self.send_status(status, "" if status == 204 else '{"queued": true}')

    serve(Another)
    fs = NersembleFileSystem()
    for read in (lambda: fs.cat_file(PARAMS), lambda: fs.cat_file(PARAMS, 0, 9), lambda: fs.info(PARAMS)):
        with pytest.raises(TransportError):
            read()


def test_without_ranges_an_open_file_is_fetched_once(serve, demo_folder):
    server, data = serve(WithoutRanges), truth(demo_folder, VIDEO)
    with NersembleFileSystem().open(VIDEO) as file:
        for start in range(0, len(data) - 10, len(data) // 9):
            file.seek(start)
            assert file.read(10) == data[start : start + 10]
    assert len([request for request in server.requests if request.method == "GET"]) == 1


def test_a_file_that_changes_while_it_is_read_is_noticed(serve, tmp_path):
    path = tmp_path / "data" / VIDEO
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1_000_000))
    serve(folder=tmp_path / "data")
    with NersembleFileSystem().open(VIDEO) as file:
        file.read(10)
        path.write_bytes(b"\1" * 1_000_000)
        os.utime(path, (1, 1))
        file.seek(800_000)
        with pytest.raises(TransportError, match="changed on the server"):
            file.read(10)


def test_a_redirect_to_another_origin_is_refused(serve, impatient):
    class Elsewhere(DemoHandler):
        def respond(self, path):
            self.send_status(302, "", {"Location": f"{other.url}/{path}"})

    other = serve()
    serve(Elsewhere)
    with pytest.raises(TransportError, match="redirects to another"):
        NersembleFileSystem().cat_file(CSV)
    assert other.requests == []


def test_a_redirect_on_the_same_origin_is_followed(serve, demo_folder):
    class Moved(DemoHandler):
        def respond(self, path):
            if path.startswith("moved/"):
                self.send_file(path.removeprefix("moved/"))
            else:
                self.send_status(307, "", {"Location": f"/{self.demo.prefix}/moved/{path}"})

    serve(Moved)
    assert NersembleFileSystem().cat_file(PLUS, 10, 20) == truth(demo_folder, PLUS)[10:20]


def test_redirects_in_circles_end(serve, impatient):
    class Circle(DemoHandler):
        def respond(self, path):
            self.send_status(302, "", {"Location": self.path})

    serve(Circle)
    with pytest.raises(TransportError, match="circles"):
        NersembleFileSystem().cat_file(CSV)


def failing(times, status, headers=None):
    """A handler that fails so many times for each path and method, and then answers."""

    class Failing(DemoHandler):
        def respond(self, path):
            before = [r for r in self.demo.requests_so_far() if (r.path, r.method) == (path, self.command)]
            if len(before) < times:
                self.send_status(status, "later", headers)
            else:
                self.send_file(path)

    return Failing


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(serve, demo_folder, impatient, status):
    server = serve(failing(2, status))
    assert NersembleFileSystem().cat_file(PARAMS) == truth(demo_folder, PARAMS)
    assert [request.status for request in server.requests] == [status, status, 200]


def test_a_server_that_asks_for_patience_gets_it(serve, demo_folder, impatient):
    serve(failing(1, 429, {"Retry-After": "1"}))
    begin = time.monotonic()
    assert NersembleFileSystem().cat_file(PARAMS) == truth(demo_folder, PARAMS)
    assert 1 <= time.monotonic() - begin < 5


def test_lasting_failures_end_in_a_sentence(serve, impatient):
    server = serve(failing(10**6, 503))
    with pytest.raises(TransportError, match=f"nersemble://{PARAMS} with HTTP 503"):
        NersembleFileSystem().cat_file(PARAMS)
    assert 2 <= len(server.requests) <= 10


@pytest.mark.parametrize(
    ("status", "error"), [(401, AccessError), (403, AccessError), (404, AssetNotFoundError), (410, AssetNotFoundError)]
)
def test_refusals_are_told_apart_and_not_tried_again(serve, status, error):
    server = serve(failing(10**6, status))
    with pytest.raises(error, match=PARAMS):
        NersembleFileSystem().cat_file(PARAMS)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 500])
def test_exists_does_not_call_a_failure_absence(serve, impatient, status):
    class Refusing(DemoHandler):
        def respond(self, path):
            self.send_file(path) if path == CSV else self.send_status(status)

    serve(Refusing)
    with pytest.raises((AccessError, TransportError)):
        NersembleFileSystem().exists(VIDEO)


def test_a_server_that_is_not_there_gets_a_sentence_within_seconds(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NERSEMBLE_DATA_URL", f"http://127.0.0.1:{free.getsockname()[1]}/very-secret")
    begin = time.monotonic()
    with pytest.raises(TransportError, match="could not be reached") as caught:
        NersembleFileSystem().cat_file(CSV)
    assert time.monotonic() - begin < 15
    assert "very-secret" not in str(caught.value)


class CutChunks(DemoHandler):
    """Breaks off in the middle of a chunked body."""

    def respond(self, path):
        self.send_head(200, {"Transfer-Encoding": "chunked"})
        self.wfile.write(b"10\r\n0123456789abcdef\r\n10\r\n0123")
        self.close_connection = True


class ShortBody(DemoHandler):
    """Promises more bytes than it sends."""

    def respond(self, path):
        self.send_head(200, {"Content-Length": "1000"})
        self.wfile.write(b"short")
        self.close_connection = True


class ShortRange(DemoHandler):
    """Says it sends a range, and sends less of it, without a length."""

    def respond(self, path):
        self.send_head(206, {"Content-Range": "bytes 0-999/5000", "Connection": "close"})
        self.wfile.write(b"short")
        self.close_connection = True


class OtherRange(DemoHandler):
    """Sends another part of the file than the one asked for."""

    def respond(self, path):
        self.send_head(206, {"Content-Range": "bytes 7-11/5000", "Content-Length": "5"})
        self.wfile.write(b"other")


@pytest.mark.parametrize("handler", [CutChunks, ShortBody])
def test_a_body_that_ends_early_is_an_error_and_never_a_file(serve, impatient, tmp_path, handler):
    serve(handler)
    fs = NersembleFileSystem()
    with pytest.raises(TransportError, match=r"broke off|closed the connection"):
        fs.cat_file(PARAMS)
    with pytest.raises(TransportError, match=r"broke off|closed the connection"):
        fs.get_file(PARAMS, str(tmp_path / "params.json"))
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("handler", [ShortRange, OtherRange])
def test_a_range_other_than_the_one_asked_for_is_an_error(serve, impatient, handler):
    serve(handler)
    with pytest.raises(TransportError):
        NersembleFileSystem().cat_file(PARAMS, 0, 1000)


def test_a_range_that_ends_early_is_an_error_of_an_open_file(serve, impatient):
    serve(ShortRange)
    with pytest.raises(TransportError):
        NersembleFileSystem().source(PARAMS).read_at(0, 1000)


def test_a_server_that_shows_a_web_page_gets_a_sentence(serve):
    class Page(DemoHandler):
        def respond(self, path):
            self.send_status(200, "<!DOCTYPE html><html>Please sign in</html>", {"Content-Type": "text/html"})

    serve(Page)
    with pytest.raises(CatalogError, match="web page"):
        NersembleFileSystem().ls("")


# --- what it holds --------------------------------------------------------------------------------------------------


def test_neither_the_filesystem_nor_an_open_file_holds_the_url(access):
    fs = NersembleFileSystem()
    with fs.open(VIDEO) as file:
        file.read(10)
        shown = [pickle.dumps(fs), fs.to_json(), repr(fs), str(fs.to_dict()), pickle.dumps(file), repr(file), file.name]
        shown += [str(vars(fs)), str(vars(file)), fs.to_json(include_password=False), str(fs.storage_options)]
    for one in shown:
        text = one.decode("latin-1") if isinstance(one, bytes) else one
        assert access.prefix not in text
        assert "127.0.0.1" not in text


def test_a_pickled_filesystem_and_file_go_on(fs, demo_folder):
    data = truth(demo_folder, VIDEO)
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat_file(VIDEO, 5, 9) == data[5:9]
    assert type(fs).from_json(fs.to_json()).cat_file(VIDEO, 5, 9) == data[5:9]
    with fs.open(VIDEO) as file:
        file.seek(1000)
        with pickle.loads(pickle.dumps(file)) as reopened:
            assert reopened.read(10) == data[1000:1010]


def test_an_unknown_option_is_refused_without_its_value():
    for option in ("url", "base_url", "token"):
        with pytest.raises(TypeError, match=f"no option {option}") as caught:
            NersembleFileSystem(**{option: "https://secret.example/very-secret"})
        assert "very-secret" not in str(caught.value)
        assert "login" in str(caught.value)


@pytest.mark.parametrize("path", ["../secret.txt", "240/../../secret.txt", "240/calibration/../../../secret.txt"])
def test_no_path_leads_out_of_the_folder(tmp_path, path):
    (tmp_path / "data" / "240" / "calibration").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    fs = NersembleFileSystem(folder=tmp_path / "data")
    for read in (fs.cat_file, fs.open, fs.info, lambda path: fs.get_file(path, str(tmp_path / "copy"))):
        with pytest.raises(AssetNotFoundError):
            read(path)
    assert not fs.exists(path)
    assert not (tmp_path / "copy").exists()


def test_a_plus_in_a_path_is_a_plus(access, demo_folder):
    assert NersembleFileSystem().cat_file(PLUS) == truth(demo_folder, PLUS)
    assert PLUS in seen_paths(access)


# --- loops and processes --------------------------------------------------------------------------------------------


def test_it_can_be_awaited(access, demo_folder):
    async def use():
        fs = NersembleFileSystem(asynchronous=True)
        names = [entry["name"] for entry in await fs._ls("")]
        both = await asyncio.gather(fs._cat_file(PARAMS), fs._cat_file(VIDEO, 10, 20))
        return names, both, await fs._exists("240/none"), await fs._isdir("240")

    names, both, exists, is_dir = asyncio.run(use())
    assert "240" in names
    assert both == [truth(demo_folder, PARAMS), truth(demo_folder, VIDEO)[10:20]]
    assert (exists, is_dir) == (False, True)
    # A second loop, whose connections are its own.
    assert asyncio.run(use())[1] == both


FORK = """
import os, signal, sys
import nersemble, fsspec
path, whole = sys.argv[1:]
fs = fsspec.filesystem("nersemble")
file = fs.open(path)
first = file.read(100)
children = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        status = 2
        try:
            file.seek(50_000)
            good = file.read(100) == open(whole, "rb").read()[50_000:50_100] and fs.cat_file(path, 0, 100) == first
            good = good and len(fs.ls("")) > 2 and fsspec.filesystem("nersemble").cat_file(path, 0, 100) == first
            status = 0 if good else 1
        finally:
            os._exit(status)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], fs.cat_file(path, 0, 100) == first)
"""


def test_an_instance_is_used_on_in_forked_children(access, demo_folder):
    large = max((p for p in demo_folder.rglob("*.mp4")), key=lambda path: path.stat().st_size)
    assert large.stat().st_size > 50_100
    arguments = [str(large.relative_to(demo_folder)), str(large)]
    done = subprocess.run(
        [sys.executable, "-c", FORK, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "[0, 0, 0] True", done.stderr


def test_without_access_there_is_one_sentence():
    with pytest.raises(AccessError, match="nersemble login"):
        NersembleFileSystem().ls("")
