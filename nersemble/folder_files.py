"""The published files that a folder holds, found by looking at it.

The rule: files count that are there, whole and under their published names (``cam_<serial>.mp4``, never a ``.part``
beside it); no catalogue is asked.  A folder that holds one sequence under both its spellings holds one sequence.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .catalog import is_sequence
from .errors import AssetNotFoundError, TransportError
from .layout import SEQUENCE_SPELLINGS, AssetPath, camera_order, canonical_sequence, sequence_order

_SERIAL = re.compile(r"[0-9]+")
_PARTICIPANT = re.compile(r"[0-9]{3}|[1-9][0-9]{3,}")


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder; each call looks anew.

    Attributes:
        folder: Absolute path of the folder.

    Raises:
        TransportError: If a directory is there and cannot be read.
    """

    folder: str

    def path(self, asset: AssetPath) -> str:
        """Where a file lies on disk, if it is there."""
        return os.path.join(self.folder, str(asset))

    def has(self, asset: AssetPath) -> bool:
        """Whether a file is there under its published name."""
        return (asset.camera is None or bool(_SERIAL.fullmatch(asset.camera))) and os.path.isfile(self.path(asset))

    def participants(self) -> list[int]:
        """Participants of whom there is any file, ascending.

        Raises:
            AssetNotFoundError: If there is no such folder.
        """
        if not os.path.isdir(self.folder):
            what = "is a file, not a folder" if os.path.exists(self.folder) else "is not there"
            raise AssetNotFoundError(f"The folder {self.folder} {what}. Is the path right, and its disk mounted?")
        numbers = [int(name) for name in self._names("") if _PARTICIPANT.fullmatch(name)]
        return sorted(number for number in numbers if self.has_participant(number))

    def has_participant(self, number: int) -> bool:
        """Whether there is any file of a participant."""
        return (
            self._any_beside(AssetPath("camera_params", number))
            or self._any_beside(AssetPath("background", number, camera=""))
            or any(self._any_beside(AssetPath("video", number, name, "")) for name in self._sequence_folders(number))
        )

    def sequences(self, number: int) -> list[str]:
        """Sequences of which there is a video, as the folder spells them, in published order."""
        held: dict[str, str] = {}
        for name in self._sequence_folders(number):
            current = canonical_sequence(name)
            if (current not in held or name == current) and self._any_beside(AssetPath("video", number, name, "")):
                held[current] = name
        return sorted(held.values(), key=sequence_order)

    def cameras(self, number: int, sequence: str) -> list[str]:
        """Serials with a video of a sequence, under either spelling, in rig order."""
        held = [self._serials_beside(AssetPath("video", number, name, "")) for name in spellings(sequence)]
        return sorted({serial for serials in held for serial in serials}, key=camera_order)

    def backgrounds(self, number: int) -> list[str]:
        """Serials with a still, in rig order."""
        return sorted(self._serials_beside(AssetPath("background", number, camera="")), key=camera_order)

    def find_video(self, number: int, sequence: str, serial: str) -> str | None:
        """Path of a video under either spelling, without listing a directory; None if it is not there."""
        assets = (AssetPath("video", number, name, serial) for name in spellings(sequence))
        return next((self.path(asset) for asset in assets if self.has(asset)), None)

    def _names(self, directory: str) -> list[str]:
        """What a directory below the folder holds; nothing if it is not there."""
        path, problem = os.path.join(self.folder, directory), ""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            problem = error.strerror or type(error).__name__
        raise TransportError(f"{path} cannot be read: {problem}. Are its permissions right, and its disk well?")

    def _sequence_folders(self, number: int) -> list[str]:
        return [name for name in self._names(f"{number:03d}/sequences") if is_sequence(name)]

    def _beside(self, asset: AssetPath) -> Iterator[AssetPath]:
        """The published files in the directory of ``asset``, whether that one is there or not."""
        directory = str(asset).rpartition("/")[0]
        for name in self._names(directory):
            found = AssetPath.parse(f"{directory}/{name}")
            if found and self.has(found):
                yield found

    def _any_beside(self, asset: AssetPath) -> bool:
        return next(self._beside(asset), None) is not None

    def _serials_beside(self, asset: AssetPath) -> set[str]:
        return {found.camera for found in self._beside(asset) if found.camera}


def spellings(sequence: str) -> list[str]:
    """The names that a folder can hold a sequence under, the current one first; none if it cannot be a sequence."""
    current = canonical_sequence(sequence)
    names = [current, *(old for old, new in SEQUENCE_SPELLINGS.items() if new == current)]
    return [name for name in names if is_sequence(name) and "/" not in name]


def folder_nearby(folder: str) -> str | None:
    """Where the data set may be, if ``folder`` lies inside it or just above it; None if it is not seen there."""
    place = folder
    while place != os.path.dirname(place):
        if _is_participant(place):
            return os.path.dirname(place)
        place = os.path.dirname(place)
    below = glob.iglob(os.path.join(glob.escape(folder), "*", "[0-9][0-9][0-9]*"))
    return next((os.path.dirname(place) for place in below if _is_participant(place)), None)


def _is_participant(path: str) -> bool:
    return bool(_PARTICIPANT.fullmatch(os.path.basename(path))) and os.path.isdir(os.path.join(path, "sequences"))
