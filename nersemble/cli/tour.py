"""The loads of ``nersemble demo``, one after another, and what is said of them.

Every frame read is proved by the identity in its pixels, so that a summary is never printed over wrong frames.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import FrameError, NersembleError
from ..units import format_bytes

if TYPE_CHECKING:
    from ..demo import DemoOptions, DemoServer

#: The participant of all examples, taken if the capture has it.
USUAL_PARTICIPANT = 240
#: Rows of the downloaded data set that are read, all over it.
ROWS_READ = 32
#: Pictures in a row of the contact sheet, and how wide each is at most.
COLUMNS, TILE_WIDTH = 8, 240


class Tour:
    """The loads, each printed with its cost."""

    def __init__(self, server: DemoServer, options: DemoOptions, cache_dir: str) -> None:
        self.server, self.options, self.cache_dir = server, options, cache_dir
        known = sorted(options.participants)
        self.participant = USUAL_PARTICIPANT if USUAL_PARTICIPANT in known else known[-1]
        self.name = f"participant_{self.participant}"
        self.proved = 0

    def stream(self) -> None:
        """Load without a download, and read the first frame and a later one."""
        import datasets

        typer.secho(f'load_dataset("nersemble", "{self.name}", split="train", streaming=True)', bold=True)
        with self._measured("first frame"):
            ds = datasets.load_dataset("nersemble", self.name, split="train", streaming=True, cache_dir=self.cache_dir)
            self._prove(next(iter(ds)))
        videos = [asset for asset in self.options.listed_videos() if asset.participant == self.participant]
        later = sum(map(self.options.num_frames, videos)) // 2
        with self._measured(f"after skip({later})"):
            self._prove(next(iter(ds.skip(later))))
        typer.echo()

    def download(self) -> None:
        """Load with a download, load again, and read rows here and there."""
        import datasets

        typer.secho(f'load_dataset("nersemble", "{self.name}", split="train")', bold=True)
        for label in ("download", "again, from cache"):
            with self._measured(label) as notes:
                ds = datasets.load_dataset("nersemble", self.name, split="train", cache_dir=self.cache_dir)
                notes.append(count(len(ds), "row"))
        rows = random.Random(0).sample(range(len(ds)), min(ROWS_READ, len(ds)))
        with self._measured(f"read {count(len(rows), 'row')}"):
            for row in rows:
                self._prove(ds[row])
        typer.echo()

    def look(self, output: Path) -> None:
        """Load moments, smaller and with corrected colours, and write all cameras of one into a contact sheet."""
        import datasets

        from ..demo import contact_sheet
        from ..layout import SERIALS

        scale = 0.75 if self.options.width < 480 else 0.5 if self.options.width < 1100 else 0.25
        call = f"""load_dataset("nersemble", participants=[{self.participant}], sequences="EMO-*",
             view="timestep", timesteps="0:300:3",
             scale={scale}, color_correction=True, split="train")"""
        typer.secho(call, bold=True)
        with self._measured("load") as notes:
            ds = datasets.load_dataset(
                "nersemble",
                participants=[self.participant],
                sequences="EMO-*",
                view="timestep",
                timesteps="0:300:3",
                scale=scale,
                color_correction=True,
                split="train",
                cache_dir=self.cache_dir,
            )
            notes.append(count(len(ds), "moment"))
        with self._measured("read a moment") as notes:
            row = ds[len(ds) // 2]
            for camera, frame in zip(row["cameras"], row["frames"], strict=True):
                self._prove({**row, "camera": camera, "frame": frame})
            notes.append(f"{count(len(row['frames']), 'frame')} of {row['width'][0]} x {row['height'][0]}")
        typer.echo()
        labels = [f"{SERIALS.index(camera)}   {camera}" for camera in row["cameras"]]
        title = f"Participant {self.participant}, {row['sequence']}, timestep {row['timestep']}: a synthetic capture"
        sheet = contact_sheet(row["frames"], labels, COLUMNS, min(row["width"][0], TILE_WIDTH), title=title)
        with said(f"{output} cannot be written"):
            sheet.save(output, format="PNG")

    @contextlib.contextmanager
    def _measured(self, label: str) -> Iterator[list[str]]:
        """Measure a step, and print it with the notes that it leaves."""
        notes: list[str] = []
        self.server.reset()
        start = time.perf_counter()
        yield notes
        seconds = time.perf_counter() - start
        requests = self.server.requests
        size = sum(request.body_bytes for request in requests)
        cost = f"{seconds:7.2f} s {count(len(requests), 'request'):>13} {format_bytes(size):>9}"
        typer.echo(f"  {label:<18}{cost}   {', '.join(notes)}".rstrip())

    def _prove(self, row: dict[str, Any]) -> None:
        """Compare what a row says with what stands in its picture's pixels."""
        from ..demo import FrameIdentity, read_identity

        stated = FrameIdentity(row["participant"], row["sequence"], row["camera"], row["timestep"])
        found = read_identity(row["frame"])
        if found != stated:
            raise FrameError(f"A row gave another frame than its own: {found} instead of {stated}. Please report this.")
        self.proved += 1


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what the disk says into a sentence."""
    problem = ""
    try:
        yield
    except NersembleError:
        raise
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise NersembleError(f"{what}: {problem}. Choose another place.")


def count(number: int, what: str) -> str:
    """How many there are of something, in words."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
