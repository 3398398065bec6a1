"""``nersemble://``: a read-only fsspec filesystem over the access URL, or over a folder in the published layout.

It takes no URL: each process finds the access URL when it first needs it, so nothing printed, pickled or cached holds
it.  Listings come from the catalogue, without a request a file; they are a hint, and a listed file can turn out to be
missing when it is opened.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import fsspec.asyn

from . import loop
from .access import AccessURL, find_access
from .catalog import Catalog, parse_catalog
from .catalog_cache import published_catalog
from .errors import AssetNotFoundError
from .folder import read_folder_catalog
from .getting import GetsMany
from .layout import PARTICIPANTS_CSV, PROTOCOL, SEQUENCES_CSV
from .listing import list_directory, padded_path
from .remote import NersembleFile, RemoteSource
from .transport import FolderFiles, open_files, shared_files, wait_for
from .transport.awaited import Transport, to_thread

#: How long a listing may rest on a catalogue looked up before, in seconds.
CATALOG_LIFE = 60.0

_transports: dict[tuple[int, int, AccessURL | str], Transport] = {}
_catalogs: dict[tuple[int, AccessURL | str], tuple[float, Catalog]] = {}


class NersembleFileSystem(GetsMany):
    """Read-only access to the published files.

    Args:
        folder: A folder in the published layout to read from, such as one that the official kit downloaded.  Without
            it, the access URL is found in the environment or in the kit's file by each process that reads.

    Paths are the published ones, with or without the protocol: ``nersemble://240/calibration/camera_params.json``.

    Raises:
        AccessError: If there is no access URL, or the server refuses it.
        AssetNotFoundError: If the server does not have a file.
        TransportError: If the server cannot be reached.
    """

    protocol = PROTOCOL
    root_marker = ""
    async_impl = True
    mirror_sync_methods = True
    _pid: int
    _loop: Any

    def __init__(self, folder: str | os.PathLike[str] | None = None, **options: Any) -> None:
        known = {
            "asynchronous",
            "loop",
            "batch_size",
            "skip_instance_cache",
            "use_listings_cache",
            "listings_expiry_time",
        }
        unknown = sorted(set(options) - known - {"max_paths"})
        if unknown:
            options.clear()
            raise TypeError(
                f"nersemble:// takes no option {', '.join(unknown)}. The access URL is not passed here, where it would "
                "be stored: set it with `nersemble login`, or in NERSEMBLE_DATA_URL."
            )
        super().__init__(**options)
        self.folder = None if folder is None else os.path.abspath(os.path.expanduser(os.fspath(folder)))

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix(f"{PROTOCOL}://").strip("/")

    @property
    def loop(self) -> Any:
        """The event loop of this process: an instance made before a fork goes on in the child."""
        if not self.asynchronous and self._pid != os.getpid():
            self._pid, self._loop = os.getpid(), fsspec.asyn.get_loop()
        return self._loop

    # --- where the bytes come from ----------------------------------------------------------------------------------

    def _root(self) -> AccessURL | str:
        """The access URL, or the folder read instead of it."""
        return self.folder if self.folder is not None else find_access()

    @property
    def local_folder(self) -> str | None:
        """The folder on disk that holds the files, None if they are on a server."""
        root = self._root()
        if isinstance(root, str):
            return root
        return root.reveal() if root.is_folder else None

    def _transport(self) -> Transport:
        root = self._root()
        # The limit on requests at once belongs to one event loop.
        key = (os.getpid(), id(fsspec.asyn.asyncio.get_running_loop()), root)
        if key not in _transports:
            _transports[key] = Transport(shared_files(root))
        return _transports[key]

    def catalog(self, max_age: float = 0.0) -> Catalog:
        """The catalogue: of a folder as it is now, of a server as it was within a day.

        Args:
            max_age: Do not even look if it was looked up within so many seconds.
        """
        return loop.run(self._catalog(max_age))

    async def _catalog(self, max_age: float = CATALOG_LIFE) -> Catalog:
        root = self._root()
        key = (os.getpid(), root)
        at, catalog = _catalogs.get(key, (float("-inf"), None))
        if catalog is None or time.monotonic() - at > max_age:
            folder = self.local_folder
            if folder is not None:
                catalog = read_folder_catalog(Path(folder))
            else:
                catalog = await to_thread(lambda _: published_catalog())
            _catalogs[key] = (time.monotonic(), catalog)
        return catalog

    # --- listings, from the catalogue ---------------------------------------------------------------------------------

    async def _list(self, path: str) -> list[dict[str, Any]] | None:
        """Entries of a directory, None if ``path`` is none: the one place that knows what is listed."""
        return list_directory(await self._catalog(), path)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        entries = await self._list(path)
        if entries is None:
            entries = [await self._info(path)]
        return entries if detail else [entry["name"] for entry in entries]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if await self._isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        meant = padded_path(path)
        if meant != path and await self._list(meant.partition("/")[0]) is not None:
            raise AssetNotFoundError(
                f"There is no {PROTOCOL}://{path}: participants have three digits or more in paths. Did you mean "
                f"{PROTOCOL}://{meant}?"
            )
        stat = await self._transport().stat(path)
        return {"name": path, "size": stat.size, "type": "file", "ETag": stat.etag}

    async def _isdir(self, path: str) -> bool:
        path = self._strip_protocol(path)
        if path in (PARTICIPANTS_CSV, SEQUENCES_CSV):
            return False
        return await self._list(path) is not None

    async def _isfile(self, path: str) -> bool:
        return not await self._isdir(path) and await self._exists(path)

    async def _exists(self, path: str, **_: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:  # anything else is not an answer to the question, and is raised
            return False
        return True

    # --- bytes --------------------------------------------------------------------------------------------------------

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if (start or 0) < 0 or (end or 0) < 0:
            size = (await self._transport().stat(path)).size
            if size is None:  # a server that does not say it
                return (await self._transport().read(path)).data[start:end]
            start, end = (None if x is None else x if x >= 0 else max(size + x, 0) for x in (start, end))
        part = await self._transport().read(path, start or 0, end)
        # A server without ranges sends the whole file.
        return part.data[(start or 0) - part.start : None if end is None else max(end - part.start, 0)]

    # Waited for by ``loop.run``, so that Ctrl-C ends what they do; fsspec's own would leave it to its thread.

    def cat(self, *args: Any, **options: Any) -> Any:
        """Read files whole."""
        return loop.run(self._cat(*args, **options))

    def cat_file(self, *args: Any, **options: Any) -> Any:
        """Read a file, or a part of it."""
        return loop.run(self._cat_file(*args, **options))

    def cat_ranges(self, *args: Any, **options: Any) -> Any:
        """Read parts of files."""
        return loop.run(self._cat_ranges(*args, **options))

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> Any:
        if mode != "rb":
            self._refuse(path)
        file = NersembleFile(self, self._strip_protocol(path), block_size)
        file.read_ahead()
        return file

    def source(self, path: str) -> RemoteSource:
        """A published file's bytes by position, without a request; whether it exists shows when it is read."""
        return RemoteSource(self, self._strip_protocol(path))

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if set(mode) & set("wax+"):
            self._refuse(path)
        return super().open(path, mode, **options)

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if set(mode) & set("wax+"):
            self._refuse(path)
        return await super().open_async(path, mode, **options)

    # --- a read-only filesystem ---------------------------------------------------------------------------------------

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, "nersemble:// is read-only")

    async def _refuse_async(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse()

    _rm_file = _rm = _cp_file = _copy = _mv_file = _put_file = _put = _pipe_file = _pipe = _mkdir = _makedirs = (
        _refuse_async
    )
    rmdir = touch = mkdir = makedirs = rm = rm_file = mv = move = cp = copy = put = put_file = pipe = pipe_file = (
        _refuse
    )


def filesystem(folder: str | os.PathLike[str] | None = None) -> NersembleFileSystem:
    """The filesystem of this process.  Ask for it where it is used: an instance does not survive a fork."""
    return NersembleFileSystem(**({} if folder is None else {"folder": os.fspath(folder)}))


def load_catalog_from(access: AccessURL) -> Catalog:
    """Fetch the catalogue behind an access URL, which need not be the one in force: the check of a new URL."""
    files = open_files(access)
    try:
        if isinstance(files, FolderFiles):
            return read_folder_catalog(files.folder)
        return parse_catalog(wait_for(lambda cancel: files.read(SEQUENCES_CSV, 0, None, cancel)).data)
    finally:
        files.close()
