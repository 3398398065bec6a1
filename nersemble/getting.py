"""What ``nersemble://`` does with many listed files at once, some of which may be missing: copies, and sizes.

Listings are a hint.  That a listed file turns out to be missing ends nothing: the rest is dealt with, and then it is
told, once, what was not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

import fsspec.asyn
from fsspec.callbacks import DEFAULT_CALLBACK

from . import loop
from .errors import AssetNotFoundError, SelectionError
from .layout import PROTOCOL
from .transport.awaited import Transport

#: What ``get`` does about files that are not there.
ON_ERROR = ("raise", "omit")
#: Missing files that an error names.
NAMED = 3


class GetsMany(fsspec.asyn.AsyncFileSystem):
    """The part of ``NersembleFileSystem`` that copies and measures."""

    def _transport(self) -> Transport:
        raise NotImplementedError

    async def _get(
        self, rpath: Any, lpath: Any, recursive: bool = False, on_error: str = "raise", **options: Any
    ) -> Any:
        if on_error not in ON_ERROR:
            raise SelectionError(f"on_error of get is one of {', '.join(ON_ERROR)}, not {on_error!r}.")
        is_one = isinstance(rpath, str) and not recursive and not has_magic(rpath)
        depth = options.pop("maxdepth", None) if recursive and not is_one else None
        if depth is not None:
            is_folder = isinstance(rpath, str) and not has_magic(rpath) and await self._isdir(rpath)
            if is_folder and not isinstance(lpath, list):
                rpath, lpath = await self._pairs(rpath, os.fspath(lpath), depth)
                recursive = False
            else:
                options["maxdepth"] = depth
        # To put a copy into a folder, fsspec cuts its source's name at the last slash; a name at the root has none, and
        # what should land in `folder/name` would land in `folder` itself.
        if isinstance(rpath, str) and not isinstance(lpath, list) and not rpath.endswith("/"):
            name = self._strip_protocol(rpath)
            into_folder = has_magic(name) or os.fspath(lpath).endswith("/") or os.path.isdir(lpath)
            if has_magic(name):
                found = await self._expand_path(name, recursive=recursive, maxdepth=options.get("maxdepth"))
                name = found[0] if len(found) == 1 and not await self._isdir(found[0]) else ""
            if into_folder and name and "/" not in name:
                rpath, lpath = f"{name}/", os.path.join(lpath, name)
        missing: list[str] = []
        if not is_one or on_error == "omit":
            options["missing"] = missing
        done = await super()._get(rpath, lpath, recursive=recursive, **options)
        if missing and on_error == "raise":
            raise _missing(missing)
        return done

    async def _pairs(self, rpath: str, lpath: str, depth: int) -> tuple[list[str], list[str]]:
        """The files of a directory down to a depth, and where each goes.

        fsspec cuts off all that the names of these files have in common, which can be more than their directory.
        """
        folder = self._strip_protocol(rpath)
        into_folder = (lpath.endswith("/") or os.path.isdir(lpath)) and not rpath.endswith("/")
        base = os.path.dirname(folder) if into_folder else folder
        paths = await self._expand_path(folder, recursive=True, maxdepth=depth)
        files = [path for path in paths if not await self._isdir(path)]
        return files, [os.path.join(lpath, path.removeprefix(base).lstrip("/")) for path in files]

    async def _get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        missing: list[str] | None = None,
        **_: Any,
    ) -> None:
        rpath = self._strip_protocol(rpath)
        outfile = lpath if hasattr(lpath, "write") else outfile
        if await self._isdir(rpath):
            if outfile is None:
                Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        try:
            if outfile is None:
                size = (await self._transport().fetch(rpath, Path(lpath), callback.relative_update)).size
            else:  # nothing of it is written before all of it is here
                data = (await self._transport().read(rpath)).data
                outfile.write(data)
                size = len(data)
        except AssetNotFoundError:
            if missing is None:
                raise
            missing.append(rpath)
            return
        callback.set_size(size)
        callback.absolute_update(size)

    async def _infos(self, paths: Iterable[str]) -> list[dict[str, Any] | None]:
        """``info`` of each path, None for what is not there."""

        async def info(path: str) -> dict[str, Any] | None:
            try:
                found: dict[str, Any] = await self._info(path)
            except AssetNotFoundError:
                return None
            return found

        infos: list[dict[str, Any] | None] = await fsspec.asyn._run_coros_in_chunks(
            [info(path) for path in paths], batch_size=self.batch_size, nofiles=True
        )
        return infos

    async def _du(self, path: str, total: bool = True, maxdepth: int | None = None, **options: Any) -> Any:
        infos = await self._infos(await self._find(path, maxdepth=maxdepth, **options))
        sizes = {info["name"]: info["size"] for info in infos if info is not None}
        return sum(size or 0 for size in sizes.values()) if total else sizes

    async def _sizes(self, paths: Sequence[str], batch_size: int | None = None) -> list[int | None]:
        return [None if info is None else info["size"] for info in await self._infos(paths)]

    # Waited for by ``loop.run``, so that Ctrl-C ends what they do; fsspec's own would leave it to its thread.

    def get(self, *args: Any, **options: Any) -> Any:
        """Copy files and directories to disk; each file appears whole or not at all.

        Args:
            args: As in fsspec.
            options: As in fsspec, and ``on_error``: listed files that turn out to be missing raise once all others are
                here (``raise``), or are left out (``omit``).
        """
        return loop.run(self._get(*args, **options))

    def get_file(self, *args: Any, **options: Any) -> Any:
        """Copy one file to disk, or write it to an open file."""
        return loop.run(self._get_file(*args, **options))


def _missing(paths: list[str]) -> AssetNotFoundError:
    """The error for what was listed and is not there, once all else was fetched."""
    paths = sorted(paths)
    named = ", ".join(f"{PROTOCOL}://{path}" for path in paths[:NAMED])
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return AssetNotFoundError(
        f"{len(paths)} of the files asked for are not there: {named}{more}. Some listed files were never published or "
        'have been withdrawn. All others were fetched. on_error="omit" leaves such files out; so does `nersemble '
        "download`, which remembers them."
    )
