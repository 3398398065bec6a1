"""Where shards go: a folder, or any URL that fsspec can write to.  Each appears under its name whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import SelectionError, StorageError
from ..transport.base import disk_problem
from ..writers import has_ended, this_process

#: Ends the names of what is being written.
PART = ".part"
#: Begins those in the folder for temporary files, of what is on its way to a URL.
_ON_ITS_WAY = "nersemble-shard"
_BLOCK = 4 << 20
#: A URL of the web, also behind a cache of fsspec, or as a ``Path`` writes it.
_WEB = re.compile(r"(?:^|::)\s*https?:/", re.IGNORECASE)
_PART_SUFFIX = re.compile(r"\.(?:parquet|json)\.by_(?P<writer>[^/.]*)-[0-9a-f]{12}\.part$")


class Target:
    """A folder of shards, by path or URL.

    Args:
        place: The path of a folder, or a URL such as ``s3://bucket/heads``.

    Raises:
        SelectionError: If it is neither, a URL of the web or one that fsspec does not know, or names nothing.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        text = os.fspath(place) if isinstance(place, os.PathLike) else place
        if not isinstance(text, str):
            raise SelectionError(f"The folder of shards is a path or a URL, not {place!r}.")
        if not text:
            raise SelectionError("The folder to write to is empty.")
        if _WEB.search(text):  # not shown: it could be the access URL
            raise SelectionError(
                "The folder of shards is on disk, or a URL that can be written to, such as s3://bucket/heads, and no "
                "http:// or https://. The access URL, which videos are read from, is set with `nersemble login`."
            )
        self._fs: Any = None
        if "://" in text:
            self._fs, self.place = _open_filesystem(text)
        else:
            self.place = os.path.abspath(os.path.expanduser(text))
        self.text = text if self._fs is not None else self.place
        #: As it may be shown: without the password that a URL can have.
        self.shown = _without_password(self.text)

    def path(self, name: str) -> str:
        """Where a shard lies."""
        return f"{self.place.rstrip('/')}/{name}"

    def names(self, below: str) -> list[str]:
        """Every file below a folder of it, relative to the target, sorted; none if there is no such folder."""
        if self._fs is None:
            root = Path(self.path(below))
            return sorted(path.relative_to(self.place).as_posix() for path in root.rglob("*") if path.is_file())
        prefix = self.place.rstrip("/") + "/"
        with contextlib.suppress(FileNotFoundError), self._asking("listed", below):
            return sorted(path.removeprefix(prefix) for path in self._fs.find(self.path(below)))
        return []

    def open(self, name: str) -> BinaryIO:
        """Read a shard.

        Raises:
            FileNotFoundError: If it is not there.
            StorageError: If the store behind a URL does not answer.
        """
        if self._fs is None:
            return open(self.path(name), "rb")
        with self._asking("read", name):
            return cast(BinaryIO, self._fs.open(self.path(name), "rb"))

    def open_on_disk(self, name: str) -> BinaryIO:
        """Read a shard from a file of this machine, which for a URL is a copy without a name.

        Raises:
            FileNotFoundError: If it is not there.
            StorageError: If the store behind a URL does not answer, or the disk does not take the copy.
        """
        if self._fs is None:
            return self.open(name)
        problem: OSError | None = None
        with self.open(name) as file, contextlib.ExitStack() as stack:
            try:
                copy = stack.enter_context(cast(BinaryIO, tempfile.TemporaryFile()))  # noqa: SIM115
                for block in self._blocks(file, name):
                    copy.write(block)
                copy.seek(0)
                stack.pop_all()  # the caller's to close
                return copy
            except StorageError:  # the store's
                raise
            except OSError as error:
                problem = error
        raise no_room(f"a copy of {self.shown}/{name}", problem)

    def _blocks(self, file: BinaryIO, name: str) -> Iterator[bytes]:
        block = b"\0"
        while block:
            with self._asking("read", name):
                block = file.read(_BLOCK)
            yield block

    def has(self, name: str) -> bool:
        """Whether there is something of a name."""
        if self._fs is None:
            return os.path.lexists(self.path(name))
        return self._kind(self.path(name), name) != ""

    @property
    def is_file(self) -> bool:
        """Whether it is a file itself."""
        return os.path.isfile(self.place) if self._fs is None else self._kind(self.place) == "file"

    def _kind(self, path: str, name: str = "") -> str:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._asking("looked for", name):
            return str(self._fs.info(path)["type"])
        return ""

    def folders(self) -> list[Target]:
        """The folders in it, by name; none if it is not there."""
        names: list[str] = []
        if self._fs is None:
            place = Path(self.place)
            names = [path.name for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._asking("listed", ""):
                listed = self._fs.ls(self.place, detail=True)
                names = [one["name"].rstrip("/").rpartition("/")[2] for one in listed if one["type"] == "directory"]
        return [Target(f"{self.text.rstrip('/')}/{name}") for name in sorted(names)]

    @property
    def parent(self) -> Target:
        """The folder that it is in.

        Raises:
            SelectionError: If there is none above it.
        """
        above = self.text.rstrip("/").rpartition("/")[0]
        if self._fs is None:
            return Target(above or "/")
        if not above or above.endswith((":", "/")):
            raise SelectionError(f"There is no folder above {self.shown}.")
        return Target(above)

    def size(self, name: str) -> int:
        """Length of a shard in bytes."""
        if self._fs is None:
            return os.path.getsize(self.path(name))
        with self._asking("read", name):
            return int(self._fs.size(self.path(name)))

    @contextlib.contextmanager
    def _asking(self, what: str, name: str) -> Iterator[None]:
        """Turn what a store behind a URL raises into an error of this package; each kind has exceptions of its own."""
        problem, number = "", None
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except Exception as error:  # noqa: BLE001
            number = error.errno if isinstance(error, OSError) else None
            said = os.strerror(number) if isinstance(number, int) else str(error)
            problem = f"{type(error).__name__}: {_without_password(said)}"
        if problem:
            raise StorageError(f"{self.shown}{'/' if name else ''}{name} cannot be {what}: {problem}.", number)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            if self._fs is None:
                os.unlink(self.path(name))
            else:
                with self._asking("removed", name):
                    self._fs.rm_file(self.path(name))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[str]:
        """A path on disk to write a shard to, which gets its name at the end; if writing fails, nothing is left.

        Raises:
            StorageError: If the disk does not take it.
        """
        problem: OSError | None = None
        part = None
        try:
            part = self._begin(name)
            yield part
            self._finish(part, name)
        except StorageError:  # it says what it is about
            raise
        except OSError as error:
            if error.filename is None and error.errno is None:  # not the disk's
                raise
            problem = error
        finally:
            if part is not None:
                with contextlib.suppress(OSError):
                    os.unlink(part)
        if problem is not None:
            if self._fs is not None:
                raise no_room(f"what is on its way to {self.shown}", problem)
            raise StorageError(f"{self.path(name)} cannot be written: {disk_problem(problem)}.", problem.errno)

    def _begin(self, name: str) -> str:
        if self._fs is not None:
            part = os.path.join(tempfile.gettempdir(), f"{_ON_ITS_WAY}{Path(name).suffix}{_part_suffix()}")
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            return part
        final = Path(self.path(name))
        final.parent.mkdir(parents=True, exist_ok=True)
        return str(final.with_name(f".{final.name}{_part_suffix()}"))

    def _finish(self, part: str, name: str) -> None:
        if self._fs is None:
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, self.path(name))
            return
        # Of most of these stores a put is whole or not at all; of the others a rename is.
        final = self.path(name)
        beside = f"{final}{_part_suffix()}"
        with self._asking("written", name):
            self._fs.makedirs(final.rpartition("/")[0], exist_ok=True)
            try:
                self._fs.put_file(part, beside)
                self._fs.mv(beside, final)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._fs.rm_file(beside)
                raise

    def sweep(self, below: str) -> None:
        """Remove what killed processes of this machine left half written below a folder, and on its way to a URL.

        What cannot be removed is left: it may be another user's, or the folder read-only, and it is in nobody's way.
        """
        for name in filter(is_abandoned, self.names(below)):
            with contextlib.suppress(OSError):
                self.remove(name)
        # Wherever this run writes to: the one that was killed may have been on its way elsewhere, and these are faces.
        for path in Path(tempfile.gettempdir()).glob(f"{_ON_ITS_WAY}*{PART}"):
            with contextlib.suppress(OSError):
                if is_abandoned(path.name):
                    path.unlink()

    def write_text(self, name: str, text: str) -> None:
        """Write a small text file."""
        with self.writing(name) as part, open(part, "w", encoding="utf-8") as file:
            file.write(text)

    def free_bytes(self) -> int | None:
        """Free space of the disk that the folder is on; None of a URL."""
        if self._fs is not None:
            return None
        place = Path(self.place)
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def no_room(what: str, problem: OSError) -> StorageError:
    """The error that the folder for temporary files does not take something."""
    return StorageError(
        f"The folder for temporary files, {tempfile.gettempdir()}, does not take {what}: {disk_problem(problem)}. Name "
        "one with more space in TMPDIR.",
        problem.errno,
    )


def _without_password(text: str) -> str:
    """A text whose URLs have no user and password."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", text)


def _part_suffix() -> str:
    """What ends the name of something half written, and says by whom."""
    return f".by_{this_process()}-{uuid.uuid4().hex[:12]}{PART}"


def is_abandoned(name: str) -> bool:
    """Whether something half written is of a process of this machine that has ended."""
    match = _PART_SUFFIX.search(name)
    return match is not None and has_ended(match["writer"])


def _open_filesystem(text: str) -> tuple[Any, str]:
    import fsspec

    problem = ""
    shown = _without_password(text)
    if text.partition("://")[0].partition("::")[0] == "hf" or "hf://" in text:
        raise SelectionError(
            f"Nothing is prepared straight into {shown}: a data set of the hub can be public, and these are faces. "
            "Prepare into a folder, and push that with `nersemble push`, which looks."
        )
    try:
        fs, place = fsspec.core.url_to_fs(text)
    except Exception as error:  # noqa: BLE001 - each kind of store has exceptions of its own
        problem = _without_password(str(error)) or type(error).__name__
    if problem:
        raise SelectionError(
            f"Nothing can be written to {shown}: {problem}. Give a folder, or a URL that fsspec knows and can reach."
        )
    if "nersemble" in str(fs.protocol):
        raise SelectionError(f"{text.split('://')[0]}:// is read-only. Give a folder, or a URL that can be written to.")
    return fs, place
