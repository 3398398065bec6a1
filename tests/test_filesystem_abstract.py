"""What fsspec asks of every filesystem: its own suite for reading, and a refusal for each of its calls that change.

The suite writes its scenarios through the filesystem under test.  Ours cannot write and lists from a catalogue, so the
one tested here adds those two: what is written goes into the folder that a server serves, and listings are of that
folder.  Every answer about a file, and every byte, still travels over HTTP.
"""

from __future__ import annotations

import errno
import inspect
import shutil
from pathlib import Path
from typing import Any

import fsspec
import fsspec.generic
import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from nersemble import NersembleFileSystem, loop
from nersemble.demo import DemoServer
from nersemble.layout import AssetPath


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: the bytes of its files, None for its folders."""
    found = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in found}


# --- fsspec's own suite ---------------------------------------------------------------------------------------------


class ServedFolder(NersembleFileSystem):
    """Writes into the folder that the server serves, and lists it; reads as its base class does."""

    root: Path

    def _on_disk(self, path: str) -> Path:
        return self.root / self._strip_protocol(path)

    async def _list(self, path: str) -> list[dict[str, Any]] | None:
        folder = self._on_disk(path)
        if not folder.is_dir():
            return None
        return [
            {
                "name": f"{path}/{entry.name}".lstrip("/"),
                "size": 0 if entry.is_dir() else None,
                "type": "directory" if entry.is_dir() else "file",
            }
            for entry in sorted(folder.iterdir())
        ]

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        self._on_disk(path).mkdir(parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._on_disk(path).mkdir(parents=True, exist_ok=exist_ok)

    def pipe(self, path: str, value: bytes, **_: Any) -> None:
        self._on_disk(path).parent.mkdir(parents=True, exist_ok=True)
        self._on_disk(path).write_bytes(value)

    def touch(self, path: str, **_: Any) -> None:
        self.pipe(path, b"")

    def rm(self, path: str, recursive: bool = False, **_: Any) -> None:
        shutil.rmtree(self._on_disk(path)) if recursive else self._on_disk(path).unlink()


class OverHTTP(AbstractFixtures):
    """The fixtures that fsspec asks for, over a server of each test's own."""

    @pytest.fixture
    def server(self, tmp_path, monkeypatch):
        (tmp_path / "served").mkdir()
        with DemoServer(tmp_path / "served") as server:
            monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
            yield server

    @pytest.fixture
    def fs(self, server):
        fs = ServedFolder(skip_instance_cache=True)
        fs.root = server.folder
        return fs

    @pytest.fixture(scope="class")
    @classmethod
    def local_fs(cls):
        # As in newer releases of fsspec: the method of older ones warns under pytest 9.
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def local_path(self, tmp_path):
        (tmp_path / "local").mkdir()
        return str(tmp_path / "local")

    def test_what_is_read_is_asked_of_the_server(self, fs, fs_join, fs_path, server, local_path):
        path = fs_join(fs_path, "one file+.bin")
        fs.pipe(path, b"over HTTP")
        assert fs.info(path)["size"] == 9
        fs.get(path, f"{local_path}/copy")
        assert (Path(local_path) / "copy").read_bytes() == b"over HTTP"
        assert {(request.method, request.path) for request in server.requests} == {("HEAD", path), ("GET", path)}


class TestGetAtTheRoot(OverHTTP, AbstractGetTests):
    @pytest.fixture
    def fs_path(self):
        return ""

    @pytest.mark.parametrize("source", ["240", "24*", "table.csv", "table.*"])
    @pytest.mark.parametrize("target", ["new", "new/", "old", "old/"])
    def test_names_at_the_root_are_copied_as_those_below_it(self, fs, local_path, source, target):
        """The suite has its scenarios in a folder, and so never copies a file that lies at the root itself."""
        for base in ("", "below/"):
            fs.pipe(f"{base}240/sequences/one.mp4", b"one")
            fs.pipe(f"{base}table.csv", b"ID")
            (Path(local_path) / base / "old").mkdir(parents=True)
            fs.get(base + source, f"{local_path}/{base}{target}", recursive=True)
        below = contents(Path(local_path) / "below")
        shutil.rmtree(Path(local_path) / "below")
        assert contents(Path(local_path)) == below
        assert below.keys() > {"old"}


class TestGetBelowTheRoot(OverHTTP, AbstractGetTests):
    @pytest.fixture
    def fs_path(self):
        return "050/sequences/EMO-1-shout+laugh"


# --- nothing can be changed -----------------------------------------------------------------------------------------

FILE, NEW = str(AssetPath("camera_params", 240)), "240/calibration/new.json"
FOLDER, NEW_FOLDER = "240", "999"

REMOVALS = [
    lambda call, here: call(FILE),
    lambda call, here: call([FILE, NEW]),
    lambda call, here: call(FOLDER, recursive=True),
]
NEW_FOLDERS = [lambda call, here: call(NEW_FOLDER), lambda call, here: call(f"{NEW_FOLDER}/a/b")]
NEW_TREES = [*NEW_FOLDERS, lambda call, here: call(FOLDER, exist_ok=True)]
COPIES = [
    lambda call, here: call(FILE, NEW),
    lambda call, here: call([FILE], [NEW]),
    lambda call, here: call(FOLDER, NEW_FOLDER),
    lambda call, here: call(FOLDER, NEW_FOLDER, recursive=True),
]
COPIES_OF_ONE = [lambda call, here: call(FILE, NEW), lambda call, here: call(NEW, FILE)]
UPLOADS = [
    lambda call, here: call(f"{here}/file", NEW),
    lambda call, here: call([f"{here}/file"], [FILE]),
    lambda call, here: call(str(here), NEW_FOLDER),
    lambda call, here: call(str(here), FOLDER, recursive=True),
]
UPLOADS_OF_ONE = [lambda call, here: call(f"{here}/file", NEW), lambda call, here: call(f"{here}/file", FILE)]
BYTES = [lambda call, here: call(FILE, b"x"), lambda call, here: call(NEW, b"x")]
MODES = ["w", "a", "x", "r+", "wb", "ab", "xb", "r+b", "rb+", "w+b"]
OPENINGS = [lambda call, here, path=path, mode=mode: call(path, mode=mode) for mode in MODES for path in (FILE, NEW)]

#: How each call that changes is made, by its name; a name with an underscore before it is made in the same way.
CHANGES = {
    "copy": COPIES,
    "cp": COPIES,
    "cp_file": COPIES_OF_ONE,
    "delete": REMOVALS,
    "makedir": NEW_FOLDERS,
    "makedirs": NEW_TREES,
    "mkdir": NEW_FOLDERS,
    "mkdirs": NEW_TREES,
    "move": COPIES,
    "mv": COPIES,
    "mv_file": COPIES_OF_ONE,
    "open": OPENINGS,
    "open_async": OPENINGS,
    "pipe": [*BYTES, lambda call, here: call({FILE: b"x", NEW: b"x"})],
    "pipe_file": [*BYTES, lambda call, here: call(NEW, b"x", mode="create")],
    "put": UPLOADS,
    "put_file": UPLOADS_OF_ONE,
    "rename": COPIES,
    "rm": REMOVALS,
    "rm_file": REMOVALS[:1],
    "rmdir": [lambda call, here: call(FOLDER), lambda call, here: call(NEW_FOLDER)],
    "touch": [lambda call, here: call(NEW), lambda call, here: call(FILE, truncate=False)],
    "upload": UPLOADS,
    "write_bytes": BYTES,
    "write_text": [lambda call, here: call(FILE, "x"), lambda call, here: call(NEW, "x")],
}

#: What reads, also into local files, answers about paths, or changes only what this process remembers.
READING = set(
    """
    cat cat_file cat_ranges checksum created disk_usage download du exists expand_path find get get_file get_mapper glob
    head info isdir isfile lexists listdir ls modified read_block read_bytes read_text sign size sizes stat tail tree
    ukey walk
    isfilestore get_kwargs_from_urls get_pyarrow_filesystem ls_from_cache parent process_limits strip_protocol
    unstrip_protocol
    clear_instance_cache current from_dict from_json to_dict to_json
    end_transaction invalidate_cache start_transaction transaction_type
    """.split()
)


def calls_of(cls: type) -> list[str]:
    """Every call that fsspec gives its asynchronous filesystems, whether plain or with an underscore before it."""
    return [name for name in dir(cls) if not name.startswith("__") and callable(getattr(cls, name))]


def cases() -> list[Any]:
    names = [name for name in calls_of(AsyncFileSystem) if name.lstrip("_") in CHANGES]
    return [
        pytest.param(name, way, id=f"{name}-{number}")
        for name in names
        for number, way in enumerate(CHANGES[name.lstrip("_")])
    ]


@pytest.fixture(scope="module")
def served(demo_folder, tmp_path_factory):
    """A part of the demo behind a server."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(demo_folder / "240/calibration", folder / "240/calibration")
    for table in demo_folder.glob("*.csv"):
        shutil.copy(table, folder)
    with DemoServer(folder) as server:
        yield server


@pytest.fixture(params=["server", "folder"])
def fs(request, served, monkeypatch):
    """A filesystem over the server, and over its folder, which must be as before when the test is over."""
    before = contents(served.folder)
    served.reset()
    if request.param == "folder":
        fs = NersembleFileSystem(folder=served.folder, skip_instance_cache=True)
    else:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", served.url)
        fs = NersembleFileSystem(skip_instance_cache=True)
    assert fs.exists(FILE)
    yield fs
    assert contents(served.folder) == before
    assert {request.method for request in served.requests} <= {"GET", "HEAD"}


@pytest.fixture
def here(tmp_path):
    """A local folder to put from, which must be as before too."""
    folder = tmp_path / "local"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_bytes(b"local")
    (folder / "folder" / "file").write_bytes(b"local too")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def to_its_end(outcome: Any) -> None:
    if inspect.iscoroutine(outcome):
        loop.run(outcome)


@pytest.mark.parametrize(("name", "way"), cases())
def test_each_call_that_changes_is_refused(fs, here, name, way):
    with pytest.raises(OSError, match="read-only") as caught:
        to_its_end(way(getattr(fs, name), here))
    assert caught.value.errno == errno.EROFS


def test_fsspec_has_no_call_that_is_not_known_to_read_or_to_be_refused(tmp_path):
    # On an instance, fsspec adds plain calls for those with an underscore.
    mirrored = [name for name, value in vars(NersembleFileSystem(folder=tmp_path)).items() if callable(value)]
    names = {name.lstrip("_") for name in [*calls_of(AsyncFileSystem), *mirrored] if not name.startswith("_fs_token")}
    assert sorted(names - READING - set(CHANGES)) == [], "Does it change anything? Refuse it and say so in CHANGES."
    assert READING.isdisjoint(CHANGES)


def options_of(fs: NersembleFileSystem) -> dict[str, Any]:
    return {} if fs.folder is None else {"folder": fs.folder}


def write_through(opened: Any) -> None:
    with opened as file:
        file.write(b"x")


def in_transaction(fs: NersembleFileSystem, change: Any) -> None:
    with fs.transaction:
        change()


def after_start_of_transaction(fs: NersembleFileSystem, change: Any) -> None:
    fs.start_transaction()
    try:
        change()
    finally:
        fs.end_transaction()


def generic(fs: NersembleFileSystem) -> Any:
    """fsspec's filesystem of whole URLs, which leads to ``fs`` and to the local disk."""
    fsspec.generic.set_generic_fs("file")
    fsspec.generic._generic_fs["nersemble"] = fs
    return fsspec.filesystem("generic", default_method="generic", skip_instance_cache=True)


#: The other doors that fsspec has to the same calls.
DOORS = {
    "fsspec.open": lambda fs, here: write_through(fsspec.open(f"nersemble://{NEW}", "wb", **options_of(fs))),
    "fsspec.open text": lambda fs, here: write_through(fsspec.open(f"nersemble://{FILE}", "w", **options_of(fs))),
    "fsspec.open append": lambda fs, here: write_through(fsspec.open(f"nersemble://{FILE}", "ab", **options_of(fs))),
    "fsspec.open compressed": lambda fs, here: write_through(
        fsspec.open(f"nersemble://{NEW}", "wb", compression="gzip", **options_of(fs))
    ),
    "fsspec.open_files": lambda fs, here: write_through(
        fsspec.open_files(f"nersemble://{NEW_FOLDER}/*.json", "wb", num=2, **options_of(fs))[0]
    ),
    "simplecache": lambda fs, here: write_through(
        fsspec.open(f"simplecache::nersemble://{NEW}", "wb", nersemble=options_of(fs))
    ),
    "mapper set": lambda fs, here: fs.get_mapper(FOLDER).__setitem__("new", b"x"),
    "mapper setdefault": lambda fs, here: fs.get_mapper(FOLDER).setdefault("new", b"x"),
    "mapper update": lambda fs, here: fs.get_mapper(FOLDER).update(new=b"x"),
    "mapper setitems": lambda fs, here: fs.get_mapper(FOLDER).setitems({"new": b"x"}),
    "mapper delitems": lambda fs, here: fs.get_mapper("").delitems([FILE]),
    "mapper create": lambda fs, here: fs.get_mapper(NEW_FOLDER, create=True),
    "mapper check": lambda fs, here: fs.get_mapper(FOLDER, check=True),
    "transaction open": lambda fs, here: in_transaction(fs, lambda: fs.open(NEW, "wb")),
    "transaction pipe": lambda fs, here: in_transaction(fs, lambda: fs.pipe(NEW, b"x")),
    "start_transaction open": lambda fs, here: after_start_of_transaction(fs, lambda: fs.open(NEW, "wb")),
    "start_transaction rm": lambda fs, here: after_start_of_transaction(fs, lambda: fs.rm(FILE)),
    "open without commit": lambda fs, here: fs.open(NEW, "wb", autocommit=False),
    "DirFileSystem rm": lambda fs, here: DirFileSystem(FOLDER, fs).rm("calibration", recursive=True),
    "DirFileSystem open": lambda fs, here: DirFileSystem(FOLDER, fs).open("new", "wb"),
    "DirFileSystem put": lambda fs, here: DirFileSystem(FOLDER, fs).put(f"{here}/file", "new"),
    "generic cp_file": lambda fs, here: generic(fs).cp_file(f"file://{here}/file", f"nersemble://{NEW}"),
    "generic copy within": lambda fs, here: generic(fs).copy([f"nersemble://{FILE}"], [f"nersemble://{NEW}"]),
    "generic pipe": lambda fs, here: generic(fs).pipe(f"nersemble://{NEW}", b"x"),
    "generic rm": lambda fs, here: generic(fs).rm(f"nersemble://{FILE}"),
    "generic rsync": lambda fs, here: generic(fs).rsync(f"file://{here}", f"nersemble://{NEW_FOLDER}"),
}


@pytest.mark.parametrize("door", DOORS)
def test_each_other_way_to_change_is_refused(fs, here, monkeypatch, door):
    monkeypatch.setattr(fsspec.generic, "_generic_fs", {})
    with pytest.raises(OSError, match="read-only") as caught:
        DOORS[door](fs, here)
    assert caught.value.errno == errno.EROFS


def test_a_mapper_removes_nothing(fs):
    """It turns what a removal raises into a KeyError, or into silence, as mappings do."""
    mapper = fs.get_mapper("")
    with pytest.raises(KeyError) as caught:
        del mapper[FILE]
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EROFS
    assert mapper.pop(FILE) == mapper[FILE]
    mapper.clear()
    assert FILE in mapper


@pytest.mark.parametrize("mode", ["r", "rb", "rt"])
def test_what_only_reads_is_not_refused(fs, mode):
    with fs.open(FILE, mode) as file:
        assert len(file.read()) > 100
    with fs.transaction:
        assert fs.cat(FILE) == fs.get_mapper("")[FILE]
