"""Servers that misbehave, a small data set of random bytes for them to serve, and the one check of what came of it.

``Scene`` puts them together for a test.  ``misbehaving`` makes a handler from a function that answers for the videos;
``send``, ``drop`` and ``reset`` are what such functions are made of.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import nersemble
from nersemble.demo import DemoHandler, DemoServer
from nersemble.layout import SEQUENCES, SERIALS, AssetPath

PARTICIPANT, SEQUENCE = 240, "EXP-1-head"
SIZE = 700_001
#: When the files of a data set were last changed, unless a test says otherwise.
LONG_AGO = 1_600_000_000

# --- the data set -----------------------------------------------------------------------------------------------------


def video(camera: int = 0, sequence: str = SEQUENCE, participant: int = PARTICIPANT) -> str:
    """The published path of a video."""
    return str(AssetPath("video", participant, sequence, SERIALS[camera]))


def put(folder: Path, path: str, data: bytes, *, changed: float = LONG_AGO) -> Path:
    """Write, or replace, a file of a data set."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.new")
    temporary.write_bytes(data)
    os.utime(temporary, (changed, changed))
    os.replace(temporary, target)
    return target


def make_data_set(
    folder: Path,
    *,
    participants: Iterable[int] = (PARTICIPANT,),
    sequences: Iterable[str] = (SEQUENCE,),
    cameras: int = 4,
    size: int | Callable[[random.Random], int] = SIZE,
) -> Path:
    """A published folder whose videos are random bytes, the same every time."""
    chance = random.Random(0)
    sequences = list(sequences)
    lines = [",".join(["ID", "wears_glasses", "BACKGROUND", *SEQUENCES])]
    for participant in participants:
        cells = ["x" if name in sequences else "" for name in SEQUENCES]
        lines.append(",".join([str(participant), "", "", *cells]))
        for sequence in sequences:
            for camera in range(cameras):
                length = size if isinstance(size, int) else size(chance)
                put(folder, video(camera, sequence, participant), chance.randbytes(length))
    put(folder, "metadata_sequences.csv", "\n".join([*lines, ""]).encode())
    return folder


# --- handlers ---------------------------------------------------------------------------------------------------------

#: Answers the ``number``-th request (from 1) of a method for a video.
Answer = Callable[[Any, str, int], object]


def misbehaving(answer: Answer, *, method: str = "GET", suffix: str = ".mp4") -> type[DemoHandler]:
    """A handler that has ``answer`` called for the videos, and answers everything else as it should."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    class Misbehaving(DemoHandler):
        #: Headers that are left out of ordinary answers.
        without: tuple[str, ...] = ()

        def respond(self, path: str) -> None:
            if self.command != method or not path.endswith(suffix):
                self.send_file(path)
                return
            with lock:
                counts[path] += 1
                number = counts[path]
            answer(self, path, number)

        def send_header(self, keyword: str, value: str) -> None:
            if keyword not in self.without:
                super().send_header(keyword, value)

    return Misbehaving


def without(*names: str, after: Answer | None = None) -> type[DemoHandler]:
    """A handler whose answers lack some headers; ``after`` answers for the videos."""
    return type("Without", (misbehaving(after or plain),), {"without": names})


def plain(handler: Any, path: str, number: int) -> None:
    """What a good server does."""
    handler.send_file(path)


def first(times: int, fault: Answer, then: Answer = plain) -> Answer:
    """A fault in the first answers for each file."""
    return lambda handler, path, number: (fault if number <= times else then)(handler, path, number)


def status(code: int, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer without a file."""
    return lambda handler, path, number: handler.send_status(code, "no", headers)


def send(handler: Any, code: int, headers: Mapping[str, str], body: bytes) -> None:
    """Answer with a head and a body, which need not fit each other."""
    handler.send_head(code, headers)
    handler.wfile.write(body)
    handler.body_bytes += len(body)


def facts(handler: Any, path: str) -> tuple[bytes, dict[str, str]]:
    """The bytes of a file, and the headers of a whole answer with it."""
    data = (handler.demo.folder / path).read_bytes()
    modified = formatdate((handler.demo.folder / path).stat().st_mtime, usegmt=True)
    return data, {"Content-Length": str(len(data)), "ETag": etag(data), "Last-Modified": modified}


def etag(data: bytes) -> str:
    """A strong validator of some bytes."""
    return f'"{random.Random(data).getrandbits(64):x}"'


def part_of(limit: int, end: Callable[[Any], object] | None = None) -> Answer:
    """Send the file or the range asked for, but at most so many bytes of it, and then hang up."""

    def answer(handler: Any, path: str, number: int) -> None:
        ends = end or drop

        def some(file: Any, start: int, length: int) -> None:
            DemoHandler.send_body(handler, file, start, min(length, limit))
            if length > limit:
                ends(handler)

        handler.send_body = some
        try:
            handler.send_file(path)
        finally:
            del handler.send_body

    return answer


def drop(handler: Any) -> None:
    """Close the connection, as a server that ends a body too early does."""
    handler.close_connection = True


def reset(handler: Any) -> None:
    """Reset the connection, once what was sent has arrived."""
    unsent = 1
    while unsent:  # bytes that the other end has not acknowledged, of which no event tells
        unsent = struct.unpack("i", fcntl.ioctl(handler.connection, termios.TIOCOUTQ, b"\0" * 4))[0]
        time.sleep(0.001 if unsent else 0)
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


# --- the scene --------------------------------------------------------------------------------------------------------


class Scene:
    """A data set, servers for it, a folder to download it to, and the check of what lies there."""

    def __init__(self, scratch: Path, monkeypatch: Any, **data_set: Any) -> None:
        self.truth = make_data_set(scratch / "published", **data_set)
        self.folder = scratch / "downloaded"
        self._monkeypatch = monkeypatch
        self._servers: list[DemoServer] = []
        self.secrets: list[str] = []

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    def serve(self, handler: type[DemoHandler] | Answer = DemoHandler) -> DemoServer:
        """Serve the data set in one's own way, at the URL that is in force from now on."""
        return self._serve(handler)

    def serve_like(self, handler: type[DemoHandler] | Answer = DemoHandler) -> DemoServer:
        """Serve it in another way at the URL of the last server, which ends."""
        last = self._servers[-1]
        last.close()
        return self._serve(handler, port=last.port, prefix=last.prefix)

    def _serve(self, handler: type[DemoHandler] | Answer, **place: Any) -> DemoServer:
        kind = handler if isinstance(handler, type) else misbehaving(handler)
        server = DemoServer(self.truth, handler=kind, **place).start()
        self._servers.append(server)
        self.secrets.append(server.prefix)
        self._monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        return server

    def download(self, *, but: Iterable[str] = (), **options: Any) -> nersemble.DownloadReport:
        """Download the videos that there are, and check what came of it, ``but`` for what was there before."""
        options = {"folder": self.folder, "cameras": self.cameras, "assets": "images", "workers": 4, **options}
        try:
            report = nersemble.download(progress=False, **options)
        except Exception as error:
            self.check_error(error)
            raise
        self.check(report, but)
        return report

    @property
    def cameras(self) -> list[str]:
        """The cameras of the data set."""
        return sorted({path.stem.removeprefix("cam_") for path in self.truth.rglob("*.mp4")})

    @property
    def videos(self) -> set[str]:
        """The videos of the data set."""
        return {path.relative_to(self.truth).as_posix() for path in self.truth.rglob("*.mp4")}

    def check(self, report: nersemble.DownloadReport | None = None, but: Iterable[str] = ()) -> set[str]:
        """Raise unless everything that has a final name is right, and nothing shows the access URL."""
        if report is not None:
            check_report(report, self.secrets)
            if report.complete:
                missing = {str(asset) for asset in report.missing}
                assert self.videos - missing <= set(files_in(self.folder))
                assert parts_in(self.folder) == []
        return check_folder(self.folder, self.truth, self.secrets, but)

    def check_error(self, error: BaseException) -> None:
        """Raise if an error shows the access URL, in whatever way."""
        shown = whole_traceback(error)
        assert not [secret for secret in self.secrets if secret in shown]


def files_in(folder: Path) -> list[str]:
    """Every file that a user would take for one of the data set."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def parts_in(folder: Path) -> list[Path]:
    """Every file that is half downloaded."""
    return sorted(path for path in folder.rglob(".*") if path.name.endswith(".part"))


def check_folder(folder: Path, truth: Path, secrets: Iterable[str], but: Iterable[str] = ()) -> set[str]:
    """Raise unless every file with a final name has the published bytes and none holds a secret; gives those there."""
    present = set(files_in(folder)) - set(but)
    wrong = [path for path in present if (folder / path).read_bytes() != (truth / path).read_bytes()]
    assert wrong == [], f"wrong under a final name: {wrong}"
    own = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - present
    own -= set(but)
    strays = [path for path in own if path != ".nersemble.tsv" and not path.endswith(".part")]
    assert strays == []
    for secret in secrets:
        holding = [path for path in own if secret.encode() in (folder / path).read_bytes() or secret in path]
        assert holding == []
    return present


def check_report(report: nersemble.DownloadReport, secrets: Iterable[str]) -> None:
    """Raise unless a report names published paths and never the access URL."""
    for asset, reason in report.failed.items():
        assert f"nersemble://{asset}" in reason
        assert "please report" not in reason
    shown = [str(report), repr(report), json.dumps(report.as_dict())]
    try:
        report.raise_if_incomplete()
    except nersemble.NersembleError as error:
        shown.append(whole_traceback(error))
    for secret in [*secrets, "127.0.0.1", "http:"]:
        assert not [text for text in shown if secret in text], secret


def whole_traceback(error: BaseException | None) -> str:
    """The traceback with locals of an error and of all it was raised from."""
    lines: list[str] = []
    while error is not None:
        described = traceback.TracebackException.from_exception(error, capture_locals=True)
        # The frames of the test itself hold the server and its URL.
        described.stack = traceback.StackSummary.from_list([f for f in described.stack if "tests" not in f.filename])
        described.__cause__ = described.__context__ = None
        lines += [*described.format(), repr(error), str(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "".join(lines)


# --- processes --------------------------------------------------------------------------------------------------------

#: Downloads what its arguments say, without long pauses, and tells what came of it.  It waits for a line of input first
#: if it is told to, so that several begin at once.
DRIVER = """
import json, signal, sys
import nersemble
from nersemble.transport import policy

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without
policy.FIRST_PAUSE = 0.01
options = json.loads(sys.argv[1])
if options.pop("wait", False):
    print("ready", flush=True)
    sys.stdin.readline()
report = nersemble.download(progress=False, **options)
print(json.dumps(report.as_dict()))
"""


def start_download(folder: Path, *, script: str = DRIVER, prefix: Iterable[str] = (), **options: Any) -> Any:
    """A process that downloads; its arguments hold no URL, which it finds in the environment."""
    options = {"folder": str(folder), "assets": "images", "workers": 4, **options}
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", script, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_download(process: Any) -> dict[str, Any]:
    """What a process that downloads told at its end."""
    out, err = process.communicate("\n", timeout=120)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


#: Runs a command as somebody whom permissions hold and whom no passwd entry names; what we own is theirs.
UNPRIVILEGED = ("unshare", "--user", "--map-user=54321", "--map-group=54321")


def eventually(seen: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something in another process, of which no event tells."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
