"""``nersemble demo``: make the synthetic capture, serve it on loopback, and load it as the real data would be loaded.

The summary goes to stdout, progress and notes to stderr.  Whatever was started is closed again, also on Ctrl-C.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..access import ACCESS_FORM, DATA_URL
from ..caches import VARIABLE
from ..errors import MissingAssetWarning, NersembleError, SelectionError
from ..units import format_bytes
from .tour import Tour, count, said

if TYPE_CHECKING:
    from ..demo import DemoOptions, DemoServer

#: Tried first where the URL is to be the same the next time.
USUAL_PORT = 8240
OUTPUT = Path("nersemble_demo.png")


def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep serving until Ctrl-C, and print the line to export.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"Port of the server. With --serve {USUAL_PORT}, if it is free."),
    ] = None,
    participants: Annotated[str, typer.Option(help="Who to make, such as 240 or 50-55,240.")] = "50,55,240",
    frames: Annotated[int, typer.Option(help="Frames of a video.")] = 40,
    width: Annotated[int, typer.Option(help="Width of the pictures; 2200 is that of the real ones.")] = 276,
    folder: Annotated[
        Path | None, typer.Option(help="Make the capture in this new folder, not in the cache.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help=f"Where to write the contact sheet; {OUTPUT} here.", show_default=False)
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Keep what is downloaded in this cache of datasets.", show_default=False)
    ] = None,
) -> None:
    """Load a synthetic capture as the real data is loaded. Needs no access.

    Makes videos of an artificial head in the published layout (the first time; later runs find them), serves them on
    this machine, streams and downloads them through Hugging Face datasets, and writes all 16 cameras at one moment
    into a contact sheet.
    """
    try:
        options = _options(participants, frames, width)
        if serve:
            if output or cache_dir:
                raise SelectionError("--output and --cache-dir belong to the loads, which --serve leaves to you.")
            _serve(options, _capture(options, folder), port)
        else:
            _try_out(options, folder, port, output or OUTPUT, cache_dir)
    except KeyboardInterrupt:
        typer.echo("\nStopped.", err=True)
        raise typer.Exit(130) from None


def _serve(options: DemoOptions, place: Path, port: int | None) -> None:
    with _listening(options, place, port or USUAL_PORT, strictly=port is not None) as server:
        typer.echo(f"Serving {_contents(options)}, from {place}.", err=True)
        typer.echo("Ctrl-C stops it. In another shell run this line, then load the data set:", err=True)
        typer.echo(f"export {DATA_URL}={server.url}")
        sys.stdout.flush()  # it may be read through a pipe, and nothing follows
        while True:
            time.sleep(3600)


def _try_out(options: DemoOptions, folder: Path | None, port: int | None, output: Path, cache_dir: Path | None) -> None:
    """The loads, their summary and the contact sheet."""
    with said(f"{output} cannot be written"):
        if output.is_dir() or not output.absolute().parent.is_dir():
            raise SelectionError(f"{output} is no file in a folder that exists. Choose another --output.")
    if cache_dir is not None:
        with said(f"{cache_dir} cannot be the cache"):
            cache_dir.mkdir(parents=True, exist_ok=True)
    place = _capture(options, folder)
    with contextlib.ExitStack() as stack:
        # A cache that is kept finds its files again only behind the same URL.
        wanted = port or (USUAL_PORT if cache_dir else 0)
        server = stack.enter_context(_listening(options, place, wanted, strictly=port is not None))
        if cache_dir is None:
            scratch = tempfile.TemporaryDirectory(prefix="nersemble-demo-", ignore_cleanup_errors=True)
            cache_dir = Path(stack.enter_context(scratch))
        _prepare(server.url, cache_dir)
        tour = Tour(server, options, str(cache_dir.absolute()))
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        typer.echo("A synthetic capture in the layout of NeRSemble v2, served on this machine:")
        typer.echo(f"{_contents(options)}, {format_bytes(size)}\n")
        tour.stream()
        tour.download()
        tour.look(output)
        typer.echo(f"{tour.proved} frames were read, each the one its row names: it is written in the pixels.")
        typer.echo(f"All 16 cameras at one moment: {output}\n")
    typer.echo(f"Next, the real data, with the same calls:\n  ask its authors for access    {ACCESS_FORM}")
    typer.echo("  store the URL they mail you   nersemble login")


def _options(participants: str, frames: int, width: int) -> DemoOptions:
    from ..demo import DemoOptions

    numbers: list[int] = []
    for word in participants.split(","):
        span = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", word)
        if not span or int(span[2] or span[1]) < int(span[1]):
            raise SelectionError(
                f"Participants are numbers and ranges, such as 240 or 50-55,240, not {participants!r}."
            )
        if int(span[2] or 0) > 10_000:  # before a list of them is made
            raise SelectionError(f"The range {word.strip()} is too long for the demo.")
        numbers.extend(range(int(span[1]), int(span[2] or span[1]) + 1))
    return DemoOptions(participants=tuple(sorted(set(numbers))), frames=frames, width=width)


def _capture(options: DemoOptions, folder: Path | None) -> Path:
    """The folder of the capture, made if need be."""
    from ..demo import ensure_capture, make_capture

    with said(f"The capture cannot be written to {folder or 'the cache, ~/.cache/nersemble'}"):
        if folder is None:
            return ensure_capture(options, progress=_Progress("once; later runs find it"))
        return make_capture(folder, options, progress=_Progress(f"into {folder}"))


class _Progress:
    """Shows on stderr how far the capture is: in one line that is written over, or as two lines in a file."""

    def __init__(self, note: str) -> None:
        self._text = f"Making the synthetic capture ({note})"
        self._start = time.monotonic()
        self._state = ""

    def __call__(self, done: int, total: int) -> None:
        shown = sys.stderr.isatty()
        if self._state == "made":  # it is told so more than once
            return
        if shown:
            typer.echo(f"\r{self._text}: {done} of {total} files", err=True, nl=False)
        elif not self._state:
            typer.echo(f"{self._text}: {total} files", err=True)
        self._state = "made" if done == total else "begun"
        if done == total:
            line = f"Made it in {time.monotonic() - self._start:.0f} s."
            typer.echo(f"\r\x1b[K{line}" if shown else line, err=True)


@contextlib.contextmanager
def _listening(options: DemoOptions, place: Path, port: int, *, strictly: bool) -> Iterator[DemoServer]:
    """Serve the capture; on another port if this one is taken, unless it was asked for."""
    from ..demo import DemoServer

    # The same capture has the same address, so that what was exported or cached keeps its meaning.
    prefix = f"demo-{options.fingerprint()}"
    server = DemoServer(place, port=port, prefix=prefix)
    problem = ""
    try:
        server.start()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem and strictly:
        raise NersembleError(f"Port {port} cannot be used: {problem}. Choose another --port, or leave it out.")
    with DemoServer(place, prefix=prefix) if problem else server as listening:
        yield listening


def _prepare(url: str, cache_dir: Path) -> None:
    """Read from the demo's server in this process, and keep progress bars and logs of datasets off the screen."""
    import datasets

    os.environ[DATA_URL] = url
    os.environ[VARIABLE] = str(cache_dir.absolute() / "nersemble")
    if datasets.config.TORCH_AVAILABLE:  # or the first stream imports it, which is no part of its cost
        importlib.import_module("torch")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    warnings.simplefilter("always", MissingAssetWarning)
    warnings.showwarning = lambda message, *_, **__: typer.echo(f"Note: {message}", err=True)


def _contents(options: DemoOptions) -> str:
    videos = sum(asset.kind == "video" for asset in options.files())
    people = count(len(options.participants), "participant")
    size = f"{options.width} x {options.height}"
    return f"{people}, {count(videos, 'video')} of {count(options.frames, 'frame')}, {size}"
