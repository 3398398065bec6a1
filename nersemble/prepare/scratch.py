"""Folders for what is made and thrown away, such as a sample of the pictures: faces, which nobody else may see.

They are in the folder for temporary files, can be entered by their owner alone, and say by whom they were made: what a
process leaves that is killed is removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator

from ..writers import has_ended, this_process
from .target import no_room

_NAME = re.compile(r"nersemble-(?:sample|work)\.by_(?P<writer>[^/.]*)-[0-9a-f]{12}")


@contextlib.contextmanager
def scratch_folder(what: str) -> Iterator[str]:
    """A folder that is removed in the end, at Ctrl-C too.

    Args:
        what: ``sample`` or ``work``.

    Raises:
        StorageError: If it cannot be made.
    """
    place = os.path.join(tempfile.gettempdir(), f"nersemble-{what}.by_{this_process()}-{uuid.uuid4().hex[:12]}")
    problem: OSError | None = None
    try:
        try:
            os.mkdir(place, 0o700)
        except OSError as error:
            problem = error
        if problem is not None:
            raise no_room(f"a {what}", problem)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep_scratch() -> None:
    """Remove the folders of this user that processes of this machine left when they were killed."""
    place, names = tempfile.gettempdir(), []
    with contextlib.suppress(OSError):
        names = os.listdir(place)
    for match in filter(None, map(_NAME.fullmatch, names)):
        path = os.path.join(place, match.string)
        with contextlib.suppress(OSError):
            # Others may write to that folder too: what is theirs is left, whatever it is called.
            if os.lstat(path).st_uid == os.getuid() and has_ended(match["writer"]):
                shutil.rmtree(path, ignore_errors=True)
