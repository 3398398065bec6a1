"""The kept catalogue: asked for once a day, by one process of many, and used when the server fails, with a warning."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from _faults import LONG_AGO, misbehaving, put, send, start_download, status, whole_traceback, without

import nersemble
from nersemble import catalog_cache
from nersemble.catalog_cache import published_catalog
from nersemble.demo import DemoHandler, DemoServer
from nersemble.errors import AccessError, AssetNotFoundError, CatalogError, StaleCatalogWarning, TransportError
from nersemble.layout import SEQUENCES_CSV
from nersemble.transport import policy

TABLE = b"ID,wears_glasses,BACKGROUND,EXP-1-head,HAIR\n240,,x,x,\n50,,,x,x\n"
NEWER = TABLE + b"55,,,,x\n"
#: What another process does that needs the catalogue.
READ = "from nersemble.catalog_cache import published_catalog; print(*published_catalog().participants)"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.005)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve the table in one's own way; the URL is then in force."""
    servers = []
    put(tmp_path / "published", SEQUENCES_CSV, TABLE)

    def start(handler=DemoHandler, *, like=None):
        server = DemoServer(tmp_path / "published", handler=handler, **({} if like is None else placed(like))).start()
        servers.append(server)
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        return server

    def placed(like):
        like.close()
        return {"port": like.port, "prefix": like.prefix}

    yield start
    for server in servers:
        server.close()


def replace_table(server, data, changed=LONG_AGO + 100):
    put(server.folder, SEQUENCES_CSV, data, changed=changed)


def faulty(answer):
    return misbehaving(answer, suffix=".csv")


def kept_file() -> Path:
    (found,) = [path for path in (Path.home() / ".cache" / "nersemble").rglob("*.kept") if path.is_file()]
    return found


def change_kept(**changes):
    head, _, data = kept_file().read_bytes().partition(b"\n")
    kept_file().write_bytes(json.dumps({**json.loads(head), **changes}).encode() + b"\n" + data)


def a_day_later():
    head = json.loads(kept_file().read_bytes().partition(b"\n")[0])
    change_kept(checked=head["checked"] - catalog_cache.LIFE - 1)


def stale(warned):
    """The warning that is meant, among those that a garbage collection may have brought."""
    return next(one for one in warned if one.category is StaleCatalogWarning)


def asked(server):
    return [(request.method, request.status) for request in server.requests]


# --- a day's life -----------------------------------------------------------------------------------------------------


def test_it_is_asked_for_once_a_day(served):
    server = served()
    for _ in range(3):
        assert published_catalog().participants == (50, 240)
    assert asked(server) == [("GET", 200)]


def test_another_process_does_not_ask_again(served):
    server = served()
    outputs = [subprocess.check_output([sys.executable, "-c", READ], text=True) for _ in range(2)]
    assert outputs == ["50 240\n"] * 2
    assert asked(server) == [("GET", 200)]


@pytest.mark.parametrize("lacking", [(), ("ETag",)])
def test_after_a_day_it_is_asked_whether_it_changed(served, lacking):
    """By its ETag, or its Last-Modified where there is none; and then not for another day."""
    seen = []

    def answer(handler, path, number):
        conditions = (handler.headers.get("If-None-Match"), handler.headers.get("If-Modified-Since"))
        seen.append(conditions)
        if lacking and conditions[1] == formatdate((handler.demo.folder / path).stat().st_mtime, usegmt=True):
            handler.send_head(304, {})
        else:
            handler.send_file(path)

    handler = faulty(answer)
    handler.without = lacking
    server = served(handler)
    published_catalog()
    a_day_later()
    assert published_catalog().participants == (50, 240)
    assert published_catalog().participants == (50, 240)
    assert asked(server) == [("GET", 200), ("GET", 304)]
    assert seen[0] == (None, None)
    assert [bool(condition) for condition in seen[1]] == [not lacking, bool(lacking)]
    a_day_later()
    replace_table(server, NEWER)
    assert published_catalog().participants == (50, 55, 240)
    assert asked(server)[2:] == [("GET", 200)]
    a_day_later()
    published_catalog()
    assert asked(server)[3:] == [("GET", 304)]


def test_without_validators_it_is_fetched_again_after_a_day(served):
    server = served(without("ETag", "Last-Modified"))
    published_catalog()
    a_day_later()
    published_catalog()
    assert asked(server) == [("GET", 200)] * 2


def test_it_can_be_asked_for_sooner(served):
    server = served()
    published_catalog()
    replace_table(server, NEWER)
    assert published_catalog().participants == (50, 240)
    assert published_catalog(refresh=True).participants == (50, 55, 240)
    assert published_catalog().participants == (50, 55, 240)
    assert asked(server) == [("GET", 200)] * 2


def test_a_clock_that_was_set_back_does_not_keep_it_for_ever(served):
    server = served()
    published_catalog()
    change_kept(checked=time.time() + 10 * catalog_cache.LIFE)
    published_catalog()
    assert asked(server) == [("GET", 200), ("GET", 304)]


# --- servers that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [500, 503, 429, "reset", "dead", "garbage", "cut"])
def test_yesterdays_is_used_if_the_server_fails_and_says_so(served, monkeypatch, fault):
    monkeypatch.setattr(policy, "PATIENCE", 0.05)
    server = served()
    published_catalog()
    a_day_later()

    def answer(handler, path, number):
        if isinstance(fault, int):
            handler.send_status(fault)
        elif fault == "cut":
            send(handler, 200, {"Content-Length": str(len(NEWER))}, NEWER[:-5])
        elif fault == "garbage":
            handler.wfile.write(b"garbage")
        handler.close_connection = True

    again = served(faulty(answer), like=server)
    if fault == "dead":
        again.close()
    for _ in range(2):  # it is not taken for a new one
        with pytest.warns(StaleCatalogWarning, match=r"1\.0 days ago") as warned:
            assert published_catalog().participants == (50, 240)
        assert again.prefix not in str(stale(warned).message)
        assert stale(warned).filename == __file__
    again.close()
    recovered = served(like=server)
    published_catalog()
    assert asked(recovered) == [("GET", 304)]


@pytest.mark.parametrize(
    ("code", "error"), [(401, AccessError), (403, AccessError), (404, AssetNotFoundError), (410, AssetNotFoundError)]
)
def test_a_server_that_refuses_does_not_fail(served, code, error):
    """Access that was withdrawn ends the use of what is kept."""
    server = served()
    published_catalog()
    a_day_later()
    served(faulty(status(code)), like=server)
    with pytest.raises(error, match=f"nersemble://{SEQUENCES_CSV}") as caught:
        published_catalog()
    assert server.prefix not in whole_traceback(caught.value)


def test_without_a_kept_one_the_failure_is_the_error(served):
    server = served(faulty(status(503)))
    with pytest.raises(TransportError, match="HTTP 503") as caught:
        published_catalog()
    assert server.prefix not in whole_traceback(caught.value)
    assert not list(Path.home().rglob("*.kept"))


@pytest.mark.parametrize(
    "body", [b"<!DOCTYPE html><html>Please sign in</html>", b"", b"a,b\n1,2\n", b"ID,EXP-1-head\nx,x\n", b"\xff\xfe\0"]
)
@pytest.mark.parametrize("kind", ["text/html", "text/csv"])
def test_what_is_no_table_is_never_kept(served, body, kind):
    def answer(handler, path, number):
        send(handler, 200, {"Content-Length": str(len(body)), "Content-Type": kind, "ETag": '"page"'}, body)

    server = served(faulty(answer))
    with pytest.raises(CatalogError):
        published_catalog()
    assert not list(Path.home().rglob("*.kept"))
    good = served(like=server)
    assert published_catalog().participants == (50, 240)
    a_day_later()
    before = kept_file().read_bytes()
    good.close()
    served(faulty(answer), like=server)
    with pytest.raises(CatalogError):
        published_catalog()
    assert kept_file().read_bytes() == before


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_another_url_is_never_served_what_the_old_one_gave(served):
    """Also where the two share a cache folder, as all URLs of the published server do."""
    first = served()
    published_catalog()
    old = kept_file().read_bytes()
    replace_table(first, NEWER)
    second = served()
    assert published_catalog().participants == (50, 55, 240)
    (place,) = [p for p in (Path.home() / ".cache" / "nersemble").rglob("*.kept") if p.read_bytes() != old]
    place.write_bytes(old)
    second.reset()
    assert published_catalog().participants == (50, 55, 240)
    assert asked(second) == [("GET", 200)]
    assert place.read_bytes() != old


def test_nothing_that_is_kept_shows_the_url(served, tmp_path):
    server = served()
    nersemble.plan_download(folder=tmp_path / "data")
    with pytest.raises(AssetNotFoundError):
        nersemble.folder_status(tmp_path / "nowhere")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != server.folder]
    assert [path.name for path in files if path.name.endswith(".kept")]
    for path in files:
        for secret in (server.prefix, str(server.port), "127.0.0.1"):
            assert secret not in str(path.relative_to(tmp_path))
            assert secret.encode() not in path.read_bytes()


GARBAGE = [
    b"",
    b"\n",
    b"garbage",
    b"5\n" + TABLE,
    b"[]\n" + TABLE,
    b"null\n" + TABLE,
    b"{}\n" + TABLE,
    b'{"salt": 5, "tag": "x", "checked": 1, "digest": ""}\n' + TABLE,
    b"\0" * 300,
    "\udcff".encode("utf-8", "surrogatepass"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_its_place_is_none(served, garbage):
    server = served()
    published_catalog()
    kept_file().write_bytes(garbage)
    assert published_catalog().participants == (50, 240)
    assert published_catalog().participants == (50, 240)
    assert asked(server) == [("GET", 200)] * 2


@pytest.mark.parametrize(
    "changes",
    [{"checked": "now"}, {"checked": None}, {"salt": 5}, {"salt": None}, {"tag": 5}, {"other": 1}, {"etag": 5}],
)
def test_a_head_that_makes_no_sense_is_none(served, changes):
    server = served()
    published_catalog()
    change_kept(**changes)
    assert published_catalog(refresh=True).participants == (50, 240)
    assert published_catalog().participants == (50, 240)
    assert len(server.requests) <= 3


@pytest.mark.parametrize("cut", [1, len(TABLE) // 2, len(TABLE)])
def test_a_table_that_lost_its_end_is_none(served, cut):
    """A machine that crashed: the head is there, the rest is not."""
    server = served()
    published_catalog()
    kept_file().write_bytes(kept_file().read_bytes()[:-cut])
    assert published_catalog().participants == (50, 240)
    assert asked(server) == [("GET", 200)] * 2


@pytest.mark.parametrize("place", [".cache", ".cache/nersemble"])
def test_a_cache_that_cannot_be_written_is_none(served, place):
    server = served()
    put(Path.home(), place, b"a file in the place of a folder")
    for _ in range(2):
        assert published_catalog().participants == (50, 240)
    assert asked(server) == [("GET", 200)] * 2


def test_a_lock_left_by_a_dead_process_holds_nobody(served):
    server = served()
    published_catalog()
    a_day_later()
    lock = kept_file().with_name(f"{kept_file().name}.lock")
    lock.write_bytes(b"12345")
    published_catalog()
    assert len(server.requests) == 2


# --- many processes ---------------------------------------------------------------------------------------------------


def test_of_many_processes_at_once_one_asks(served):
    """All of them wait for the one that does."""
    all_started = threading.Event()

    def slow(handler, path, number):
        all_started.wait(60)
        time.sleep(0.3)  # long enough for the others to ask as well, if they would
        handler.send_file(path)

    server = served(faulty(slow))
    code = f"print('here', flush=True); {READ}"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "here\n"
    all_started.set()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, err) == ("50 240\n", "")
    assert asked(server) == [("GET", 200)]


#: The same in a process that is impatient, and begins when it is told to.
READ_IN_VAIN = f"""
import sys
from nersemble.transport import connections, policy
connections.READ_TIMEOUT, policy.FIRST_PAUSE = 0.4, 0.05
print("here", flush=True)
sys.stdin.readline()
{READ}
"""


@pytest.mark.parametrize("fault", ["hang", 503, "dead"])
def test_of_many_processes_at_once_one_waits_for_a_server_that_fails(served, fault):
    """The others use the old one as soon as that one has given up: each with a warning, none after tries of its own."""
    first = served()
    published_catalog()
    a_day_later()
    release, asked_at = threading.Event(), []

    def answer(handler, path, number):
        asked_at.append(time.monotonic())
        if fault == "hang":
            release.wait(60)
            handler.close_connection = True
        else:
            handler.send_status(fault)

    server = served(faulty(answer), like=first)
    if fault == "dead":
        server.close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", READ_IN_VAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout.readline() == "here\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    release.set()
    assert [out for out, _ in said] == ["50 240\n"] * 6
    assert [err for _, err in said if "StaleCatalogWarning: The catalogue of 1.0 days ago is used" not in err] == []
    assert [err for _, err in said if server.prefix in err or "127.0.0.1" in err] == []
    assert len([err for _, err in said if "the server failed another process just now" in err]) == 5
    if fault != "dead":
        assert len(asked_at) == policy.ATTEMPTS


def test_a_silent_server_is_not_waited_for_long_where_an_old_one_would_do(served, monkeypatch):
    monkeypatch.setattr(catalog_cache, "PATIENCE", 0.5)
    published = served()
    published_catalog()
    a_day_later()
    silent = threading.Event()
    server = served(faulty(lambda handler, path, number: silent.wait(30)), like=published)
    began = time.monotonic()
    with pytest.warns(StaleCatalogWarning, match=r"has not answered within 0\.5 s"):
        assert published_catalog().participants == (50, 240)
    assert time.monotonic() - began < 5
    assert len(server.requests) <= 1
    silent.set()


def test_nobody_waits_long_for_a_process_that_waits_for_a_silent_server(served, monkeypatch):
    """Not with an old one at hand."""
    monkeypatch.setattr(catalog_cache, "SHORT_TIMEOUT", 0.3)
    first = served()
    published_catalog()
    a_day_later()
    asking, release = threading.Event(), threading.Event()

    def hang(handler, path, number):
        asking.set()
        release.wait(60)
        handler.send_file(path)

    server = served(faulty(hang), like=first)
    process = subprocess.Popen([sys.executable, "-c", READ], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asking.wait(60)
    began = time.monotonic()
    with pytest.warns(StaleCatalogWarning, match=r"1\.0 days ago.*has not answered yet") as warned:
        assert published_catalog().participants == (50, 240)
    assert time.monotonic() - began < 10
    assert stale(warned).filename == __file__
    assert process.poll() is None
    release.set()
    assert process.communicate(timeout=60) == ("50 240\n", "")
    assert asked(server) == [("GET", 304)]
    published_catalog()  # what the process was told holds from now on, without a warning
    assert asked(server) == [("GET", 304)]


def test_a_process_that_dies_while_it_asks_holds_nobody(served):
    asking, release = threading.Event(), threading.Event()

    def slow(handler, path, number):
        if number == 1:
            asking.set()
            release.wait(60)
        handler.send_file(path)

    served(faulty(slow))
    process = subprocess.Popen([sys.executable, "-c", READ], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert asking.wait(60)
    process.kill()
    process.wait()
    began = time.monotonic()
    assert published_catalog().participants == (50, 240)
    assert time.monotonic() - began < 10
    release.set()


def test_an_offline_run_goes_on_in_a_process(served, tmp_path):
    """The whole way: a plan with yesterday's catalogue, whose warning names no URL."""
    server = served()
    published_catalog()
    a_day_later()
    server.close()
    process = start_download(tmp_path / "data", workers=1)
    out, err = process.communicate(timeout=120)
    assert "StaleCatalogWarning" in err
    assert json.loads(out)["complete"] is False
    for secret in (server.prefix, "127.0.0.1"):
        assert secret not in out + err
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
