"""A downloaded folder, read picture by picture: what users of the official kit know as its data manager.

``open_folder`` gives a ``FolderData``: what the folder holds, exact frames, calibrations and stills.  No network,
catalogue or access URL is needed.  The rule of its errors: what the data set cannot have is a ``SelectionError``; what
it can have and this folder has not is an ``AssetNotFoundError``.
"""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from .camera import Array, Calibration, CameraRig, parse_calibration, parse_color_calibration
from .errors import AssetNotFoundError, FrameError, NersembleError, SelectionError
from .features import check_color_order, check_resize
from .folder_files import FolderFiles, folder_nearby
from .folder_names import (
    NUMBER,
    SHOWN,
    did_you_mean,
    nearest,
    participant_of,
    path_of,
    sequence_of,
    serial_of,
)
from .frames import RESIZE_FIRST, FrameOptions, FrameReference, read_frame
from .layout import BACKGROUND, HEIGHT, SEQUENCES, SERIALS, WIDTH, AssetPath, canonical_sequence
from .masking import NOT_REPEATED, is_bare_url
from .opening import lease_video, read_bytes
from .written import index_of, switch_of

#: What ``nersemble download --assets`` calls the files that are not selected by sequence.
_KIT_NAMES = {
    "camera_params": "calibration",
    "color_calibration": "color_calibration",
    "background": "backgrounds",
}


def open_folder(folder: str | os.PathLike[str]) -> FolderData:
    """Open a folder in the published layout, such as one that the official kit downloaded.

    >>> data = open_folder("/data/nersemble")                                        # doctest: +SKIP
    >>> data.load_image(240, "EXP-1-head", "222200037", 0).shape                     # doctest: +SKIP
    (3208, 2200, 3)

    Args:
        folder: Path of the folder that holds ``240/sequences`` and the like.

    Raises:
        AssetNotFoundError: If there is no such folder, or it holds no participant.
        SelectionError: If it is no path.
    """
    data = FolderData(path_of(folder))
    if is_bare_url(os.fspath(folder)):
        raise AssetNotFoundError(f"There is no folder of that name, {NOT_REPEATED}")
    if not data.participants():
        near = folder_nearby(data.folder)
        raise AssetNotFoundError(
            f"The folder {data.folder} holds no participant: expected files such as "
            f"{AssetPath('camera_params', 240)} in it."
            f"{did_you_mean([near]) if near else ' Name the one that the data set was downloaded to.'}"
        )
    return data


@dataclass(frozen=True, repr=False)
class FolderData:
    """What a folder in the published layout holds, made by ``open_folder``.

    Each call looks at the folder anew, so one that is still being downloaded is seen as it is.  May be shared by
    threads, used after fork, and pickled.  Participants are ids, ``240`` or ``"240"``; cameras are serials; both
    spellings of SEN-07 name the same sequence.

    Attributes:
        folder: Absolute path of the folder.

    All methods raise ``AssetNotFoundError`` for what is not in the folder, and ``SelectionError`` for what the data set
    cannot have, with the names nearest to it.
    """

    folder: str

    def __repr__(self) -> str:
        return f"FolderData({self.folder!r})"

    def participants(self) -> list[int]:
        """Ids of the participants of whom the folder holds any file, ascending."""
        return self._files.participants()

    def sequences(self, participant: SupportsIndex | str) -> list[str]:
        """Names of the sequences of which the folder holds a video, as it spells them, in published order."""
        number = participant_of(participant)
        held = self._files.sequences(number)
        if not held:
            self._check_participant(number)
        return held

    def cameras(self, participant: SupportsIndex | str, sequence: str) -> list[str]:
        """Serials of the cameras whose video of a sequence the folder holds, in rig order."""
        number, sequence = participant_of(participant), sequence_of(sequence)
        held = self._files.cameras(number, sequence)
        if not held:
            raise self._no_sequence(number, sequence)
        return held

    def num_frames(self, participant: SupportsIndex | str, sequence: str, camera: SupportsIndex | str) -> int:
        """Number of frames of a video, exact, from its index; cameras of one sequence can differ.

        Raises:
            FrameError: If the file is damaged or no video.
        """
        with lease_video(self._video(participant, sequence, camera)) as decoder:
            return len(decoder)

    def load_image(
        self,
        participant: SupportsIndex | str,
        sequence: str,
        camera: SupportsIndex | str,
        timestep: SupportsIndex,
        *,
        color_correction: bool = False,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        color_order: str = RESIZE_FIRST,
    ) -> NDArray[np.uint8]:
        """Decode one frame, exactly: the same pixels as the column ``frame`` of ``load_dataset`` with these options.

        Args:
            participant: Id.
            sequence: Name.
            camera: Serial.
            timestep: 0-based index of the frame in its video.
            color_correction: Apply the camera's colour-correction matrix.
            scale: Resize by this factor, such as 0.25.
            size: Resize to this (width, height); excludes ``scale``.
            color_order: ``resize_first``, as the official kit does, or ``correct_first``, where both are asked for.

        Returns:
            ``(height, width, 3)`` uint8 RGB.

        Raises:
            FrameError: If the video has no such timestep, or it cannot be decoded whole.
            CalibrationError: If a correction is asked for and the camera has no matrix.
        """
        scale, size = check_resize(scale, size)
        check_color_order(color_order)
        color_correction = switch_of(color_correction, "color_correction")
        index = index_of(timestep)
        if index is None:
            raise SelectionError(f"A timestep is a whole number, the index of a frame, not {timestep!r}.")
        path = self._video(participant, sequence, camera)
        if color_correction:
            self._calibration_path("color_calibration", participant)  # for its message, if it is not there
        picture = read_frame(FrameReference(path, index, FrameOptions(scale, size, color_correction, color_order)))
        return np.require(picture, requirements=["C", "W"])

    def camera_calibration(self, participant: SupportsIndex | str) -> Calibration:
        """The cameras of a participant's capture, in OpenCV axes.

        Returns:
            ``intrinsics``, ``(3, 3)`` float64, shared by all cameras, in pixels of the full-size picture (for a resized
            one see ``nersemble.resize_intrinsics``), and ``world_to_camera``, ``(4, 4)`` float64 by serial.

        Raises:
            CalibrationError: If the file is malformed.
        """
        path = self._calibration_path("camera_params", participant)
        return parse_calibration(read_bytes(path), path)

    def camera_rig(self, participant: SupportsIndex | str, *, size: tuple[int, int] | None = None) -> CameraRig:
        """The cameras of a participant's capture, ready to project, resize and cut.

        Args:
            participant: Id.
            size: (width, height) of the full-size pictures; by default those of a video of the participant.

        Returns:
            The cameras of the full-size pictures, by serial, in rig order; ``.scale(0.25)`` gives those of quarter-size
            ones.

        Raises:
            AssetNotFoundError: If the calibration is not there, or no video is and no size is given.
            CalibrationError: If the calibration is malformed.
            FrameError: If the video is damaged; with a ``size`` none is read.
        """
        _, size = check_resize(None, size)
        calibration = self.camera_calibration(participant)
        return CameraRig.from_calibration(calibration, *(size or self._picture_size(participant)))

    def color_calibration(self, participant: SupportsIndex | str) -> dict[str, Array]:
        """The ``(3, T)`` float64 colour-correction matrix of each serial, for ``nersemble.correct_color``.

        Raises:
            CalibrationError: If the file is malformed.
        """
        path = self._calibration_path("color_calibration", participant)
        return parse_color_calibration(read_bytes(path), path)

    def background(self, participant: SupportsIndex | str, camera: SupportsIndex | str) -> NDArray[np.uint8]:
        """The still that a camera took of the background: ``(height, width, 3)`` uint8 RGB.

        Raises:
            FrameError: If the picture is damaged.
        """
        asset = AssetPath("background", participant_of(participant), camera=serial_of(camera))
        if not self._files.has(asset):
            self._check_participant(asset.participant or 0)
            raise self._no_camera(asset, self._files.backgrounds(asset.participant or 0))
        return _read_picture(self._files.path(asset))

    @property
    def _files(self) -> FolderFiles:
        return FolderFiles(self.folder)

    def _video(self, participant: SupportsIndex | str, sequence: str, camera: SupportsIndex | str) -> str:
        number, sequence, serial = participant_of(participant), sequence_of(sequence), serial_of(camera)
        path = self._files.find_video(number, sequence, serial)
        if path is None:
            held = self.cameras(number, sequence)
            raise self._no_camera(AssetPath("video", number, canonical_sequence(sequence), serial), held)
        return path

    def _calibration_path(self, kind: str, participant: SupportsIndex | str) -> str:
        asset = AssetPath(kind, participant_of(participant))
        if not self._files.has(asset):
            self._check_participant(asset.participant or 0)
            raise AssetNotFoundError(f"{asset.uri} is not in the folder {self.folder}. {self._next_step(asset)}")
        return self._files.path(asset)

    def _picture_size(self, participant: SupportsIndex | str) -> tuple[int, int]:
        """(width, height) of a participant's pictures, from the first video there is."""
        sequences = self.sequences(participant)
        if not sequences:
            raise AssetNotFoundError(
                f"The folder {self.folder} has no video of participant {participant} to take the pictures' size from. "
                f"Give it: camera_rig({participant}, size=({WIDTH}, {HEIGHT})) is that of the published pictures."
            )
        camera = self.cameras(participant, sequences[0])[0]
        with lease_video(self._video(participant, sequences[0], camera)) as decoder:
            return decoder.width, decoder.height

    # --- what is missing, and what is there instead -------------------------------------------------------------------

    def _next_step(self, asset: AssetPath) -> str:
        """The command that fetches a file, or the files that an asset without a name of its own stands for."""
        options = {"participant": asset.participant, "sequence": asset.sequence, "camera": asset.camera}
        words = [word for option, value in options.items() if value for word in (f"--{option}", str(value))]
        kind = _KIT_NAMES.get(asset.kind)
        command = shlex.join(["nersemble", "download", self.folder, *words, *(["--assets", kind] if kind else [])])
        return f"If the server has it, this fetches it: {command}"

    def _check_participant(self, number: int) -> None:
        if self._files.has_participant(number):
            return
        held = self.participants()
        near = sorted(held, key=lambda one: (abs(one - number), one))[:SHOWN]
        raise AssetNotFoundError(
            f"No participant {number} in the folder {self.folder}.{did_you_mean(map(str, near))} It holds "
            f"{len(held)} in all. {self._next_step(AssetPath('video', number))}"
        )

    def _no_sequence(self, number: int, sequence: str) -> NersembleError:
        held = self.sequences(number)
        if sequence == BACKGROUND:
            return SelectionError("BACKGROUND has stills, not videos: read them with background(participant, camera).")
        shown = f"Of participant {number} the folder {self.folder} holds {', '.join(held) or 'no video'}."
        if canonical_sequence(sequence) in SEQUENCES:
            step = self._next_step(AssetPath("video", number, sequence))
            return AssetNotFoundError(f"No video of {sequence} is there. {shown} {step}")
        near = nearest(sequence, [*held, *(name for name in SEQUENCES if name not in held)])
        return SelectionError(f"There is no sequence {sequence!r}.{did_you_mean(near)} {shown}")

    def _no_camera(self, asset: AssetPath, held: Sequence[str]) -> NersembleError:
        serial = asset.camera or ""
        shown = f"The cameras that are there: {', '.join(held)}." if held else "No camera's is there."
        if serial in SERIALS:
            return AssetNotFoundError(
                f"{asset.uri} is not in the folder {self.folder}. {shown} {self._next_step(asset)}"
            )
        by_place = bool(NUMBER.fullmatch(serial)) and int(serial) < len(SERIALS)
        near = [SERIALS[int(serial)]] if by_place else nearest(serial, SERIALS)
        return SelectionError(f"There is no camera {serial!r}.{did_you_mean(near)} {shown}")


def _read_picture(path: str) -> NDArray[np.uint8]:
    """A picture file, turned upright: ``(height, width, 3)`` uint8 RGB."""
    data, problem = read_bytes(path), ""
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            return np.array(PIL.ImageOps.exif_transpose(picture).convert("RGB"))
    except PIL.UnidentifiedImageError:
        problem = "it is no picture"
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        problem = str(error)
    raise FrameError(f"{path} cannot be read: {problem}. Is it damaged? Delete it and download it again.")
