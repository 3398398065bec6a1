"""The access URL occurs in no output, exception (with locals), log, pickle, cache file or repr."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import dill
import fsspec
import pytest
from datasets import load_dataset, load_dataset_builder

import nersemble
from nersemble import transport
from nersemble.access import find_access
from nersemble.demo import DemoHandler, DemoServer
from nersemble.filesystem import filesystem

NAME = "participant_240__sequence_EXP-1-head__camera_222200042,222200037"


def holds(server, *texts):
    """Whether any text or bytes hold the secret part of the server's URL."""
    secret = server.prefix
    return [t for t in texts if (secret.encode() in t if isinstance(t, bytes) else secret in t)]


def whole_traceback(error):
    """The traceback with locals of an error and of all it was raised from."""
    lines = []
    while error is not None:
        described = traceback.TracebackException.from_exception(error, capture_locals=True)
        # The frames of the test itself hold the server and its URL.
        described.stack = traceback.StackSummary.from_list([f for f in described.stack if "tests" not in f.filename])
        described.__cause__ = described.__context__ = None
        lines += described.format()
        lines += [repr(error), str(error), repr(error.args)]
        lines.append(pickle.dumps(error).decode("latin1"))
        error = error.__cause__ or error.__context__
    return "".join(lines)


def error_of(call):
    """The whole traceback of the error that a call raises, "" if it raises none."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not show the URL
        return whole_traceback(error)
    return ""


class Faulty(DemoHandler):
    """Breaks in the way that the server's attribute says."""

    fault = ""

    def respond(self, path):
        if self.fault == "status" and path.endswith(".mp4"):
            self.send_status(500)
        elif self.fault == "forbidden":
            self.send_status(403)
        elif self.fault == "cut" and path.endswith(".mp4"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            super().respond(path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(transport.policy, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("fault", ["status", "forbidden", "cut", "gone", "redirect", "unknown path", "bad name"])
def test_no_error_shows_the_url(demo_folder, monkeypatch, cache, fault):
    handler = type("Handler", (Faulty,), {"fault": fault})
    with DemoServer(demo_folder, handler=handler) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        nersemble.opening.close_videos()

        def frames():
            return list(load_dataset("nersemble", NAME, split="train", streaming=True))

        def rows():
            return load_dataset("nersemble", NAME, split="train", cache_dir=cache)[0]

        calls = [frames, rows, lambda: filesystem().cat_file("240/nothing"), lambda: filesystem().open("nothing")]
        calls += [lambda: load_dataset("nersemble", "participant_9999", split="train", cache_dir=cache)]
        if fault == "gone":
            server.close()
        shown = [error_of(call) for call in calls]
        assert len(shown) - shown.count("") >= 3
        assert holds(server, *shown) == []


class Telling(DemoHandler):
    """Sends a page that names the URL that was asked for in place of files, as proxies and portals do."""

    suffix, kind, page = "", "", b""

    def respond(self, path):
        if not path.endswith(self.suffix):
            return super().respond(path)
        page = self.page % self.path.encode()
        self.send_head(200, {"Content-Type": self.kind, "Content-Length": str(len(page))})
        return self.wfile.write(page)


PAGES = {
    "a page": ("text/html", b"<html>The page %s is blocked</html>"),
    "a page called text": ("text/plain", b"<html>The page %s is blocked</html>"),
    "text": ("text/plain", b"ID,The page\n240,%s is blocked\n"),
    "JSON": ("application/json", b'{"world_2_cam": {"240": ["%s"]}, "intrinsics": "is blocked"}'),
}


@pytest.mark.parametrize("suffix", [".csv", "participants.csv", ".json", ".mp4"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_repeats_the_url_is_shown_by_no_error(demo_folder, monkeypatch, cache, page, suffix):
    kind, text = PAGES[page]
    handler = type("Handler", (Telling,), {"suffix": suffix, "kind": kind, "page": text})
    with DemoServer(demo_folder, handler=handler) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        nersemble.opening.close_videos()
        fs = filesystem()
        video = "240/sequences/EXP-1-head/images/cam_222200037.mp4"
        options = {"split": "train", "cache_dir": cache}
        calls = [
            lambda: fs.ls(""),
            lambda: fs.cat_file(video),
            lambda: fs.cat_file(video, 10, 20),
            lambda: fs.cat(["240/calibration/camera_params.json", video]),
            lambda: fs.open(video).read(),
            lambda: nersemble.opening.open_video(f"nersemble://{video}"),
            lambda: list(load_dataset("nersemble", NAME, streaming=True, split="train")),
            lambda: load_dataset("nersemble", NAME, fetch="on_read", **options),
            lambda: load_dataset("nersemble", view="participant", **options),
            lambda: nersemble.download(NAME, str(Path(cache) / "folder"), progress=False).raise_if_incomplete(),
            lambda: nersemble.filesystem.load_catalog_from(find_access()),
            lambda: nersemble.opening.color_matrix(f"nersemble://{video}"),
        ]
        shown = [error_of(call) for call in calls]
        assert any(shown) or suffix == "participants.csv"
        assert holds(server, *shown) == []


def test_no_log_record_shows_the_url(access, cache, monkeypatch):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    names = ["", "datasets", "fsspec", "aiohttp", "aiohttp.client", "asyncio", "nersemble", "PIL", "libav"]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    try:
        load_dataset("nersemble", NAME, split="train", cache_dir=cache)[3]["frame"].load()
        list(load_dataset("nersemble", NAME, split="train", streaming=True).take(2))
        filesystem().info("240/calibration/camera_params.json")
        with pytest.raises(nersemble.AssetNotFoundError):
            filesystem().cat_file("240/nothing")
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
    assert "dataset" in stream.getvalue()  # the libraries did log
    assert holds(access, stream.getvalue()) == []


def test_no_file_holds_the_url(access, cache, tmp_path):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    load_dataset("nersemble", NAME, split="train", fetch="on_read", cache_dir=cache)
    ds.map(lambda row: {"twice": row["timestep"] * 2}, num_proc=2)
    ds.save_to_disk(str(tmp_path / "saved"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if holds(access, path.read_bytes()) or holds(access, str(path))] == []
    huggingface = [path for path in Path(os.environ["HF_HOME"]).rglob("*") if path.is_file()]
    assert [path for path in huggingface if holds(access, path.read_bytes())] == []


def test_no_pickle_and_no_repr_holds_the_url(access, cache):
    streamed = load_dataset("nersemble", NAME, split="train", streaming=True)
    row = next(iter(streamed))
    builder = load_dataset_builder("nersemble", NAME, cache_dir=cache)
    fs = filesystem()
    file = fs.open("metadata_sequences.csv")
    file.read()
    objects = [streamed, load_dataset("nersemble", NAME, split="train", cache_dir=cache), builder, fs, file]
    for value in [*objects, row, builder.config, builder.info, fs._transport, nersemble.opening._pool]:
        assert holds(access, repr(value), str(value)) == []
    for value in objects:
        assert holds(access, pickle.dumps(value), dill.dumps(value)) == []
    assert holds(access, fs.to_json(), repr(fs.storage_options), repr(vars(fs)), repr(vars(file))) == []
    assert holds(access, repr(find_access()), repr(transport.open_files(find_access()))) == []
    assert holds(access, repr(vars(transport.HttpFiles(find_access()).client))) == []


def test_the_access_url_itself_refuses_to_be_pickled(access):
    for dumps in (pickle.dumps, dill.dumps):
        with pytest.raises(TypeError, match="pickle"):
            dumps(find_access())


def test_no_option_takes_the_url_and_none_is_echoed(access):
    for option in ("url", "base_url", "token"):
        with pytest.raises(TypeError, match=option) as caught:
            fsspec.filesystem("nersemble", **{option: access.url})
        assert holds(access, str(caught.value)) == []
    with pytest.raises(nersemble.SelectionError) as refused:
        load_dataset("nersemble", NAME, data_dir=access.url)
    assert holds(access, str(refused.value)) == []


def test_no_process_shows_the_url(access, cache):
    """Worker processes find it in the environment, not among their arguments."""
    code = f"""
import os, nersemble, datasets, subprocess
from datasets import load_dataset
ds = load_dataset("nersemble", {NAME!r}, split="train", cache_dir={cache!r}, num_proc=2)
def arguments(row):
    return {{"seen": subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
             + open(f"/proc/{{os.getpid()}}/cmdline").read()}}
for seen in ds.select(range(2)).map(arguments, num_proc=2)["seen"]:
    print(seen)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python" in done.stdout
    assert holds(access, done.stdout, done.stderr) == []


def test_a_crash_at_exit_shows_nothing(access):
    code = f"""
import nersemble, datasets
rows = iter(datasets.load_dataset("nersemble", {NAME!r}, split="train", streaming=True))
next(rows)
raise SystemExit(3)
"""
    environment = {**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3
    assert holds(access, done.stdout, done.stderr) == []
    assert "Unclosed" not in done.stderr


@pytest.fixture
def sleepy(demo_folder, monkeypatch):
    """A server that keeps everybody ``waiting`` for a video, until the test ends."""
    release, waiting = threading.Event(), threading.Event()

    class Sleepy(DemoHandler):
        def respond(self, path):
            if path.endswith(".mp4"):
                waiting.set()
                release.wait(60)
            super().respond(path)

    with DemoServer(demo_folder, handler=Sleepy) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        server.waiting = waiting
        yield server
        release.set()


def test_a_cancelled_request_shows_nothing(sleepy):
    async def give_up():
        fs = fsspec.filesystem("nersemble", asynchronous=True, skip_instance_cache=True)
        try:
            await asyncio.wait_for(fs._cat_file("240/sequences/EXP-1-head/images/cam_222200037.mp4"), 0.3)
        finally:
            await fs._transport().close()

    with pytest.raises(asyncio.TimeoutError) as caught:
        asyncio.run(give_up())
    assert holds(sleepy, whole_traceback(caught.value)) == []


@pytest.mark.parametrize("options", ["", 'fetch="on_read", ', "streaming=True, ", 'streaming=True, view="timestep", '])
def test_ctrl_c_ends_a_load_at_once_and_shows_nothing(sleepy, cache, options):
    code = f"""
import nersemble, datasets
rows = datasets.load_dataset("nersemble", "participant_240", {options}split="train", cache_dir={cache!r})
next(iter(rows))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert sleepy.waiting.wait(60)
    time.sleep(0.5)  # by now whoever waits for whom is settled there
    process.send_signal(signal.SIGINT)
    stopped = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - stopped < 5
    assert "KeyboardInterrupt" in err
    assert holds(sleepy, out, err) == []
