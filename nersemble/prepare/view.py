"""One camera of a unit: its calibration as rows hold it, and how its pictures are finished."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera, resize_intrinsics, scaled_size
from ..color import correct_color
from ..errors import AssetNotFoundError, CalibrationError, FrameError
from ..frames import CORRECT_FIRST
from ..layout import AssetPath
from ..opening import read_bytes
from ..video import resize_picture
from .job import Job
from .stages import sealed
from .unit import Unit, UnitVideo, calibration_digest, still_digest

Picture = NDArray[np.uint8]
Timed = Callable[[str], contextlib.AbstractContextManager[None]]


class UnitView:
    """One camera of a unit.

    Raises:
        AssetNotFoundError: If a calibration file is not there.
        CalibrationError: If it has no pose or matrix of the camera, or others than were planned with.
    """

    def __init__(self, job: Job, unit: Unit, video: UnitVideo) -> None:
        self._job, self._unit, self._video = job, unit, video
        capture, options, facts = job.capture, job.options, video.facts
        found = capture.camera_facts(unit.participant, video.camera)
        if found is None:
            missing = capture.missing_calibration(unit.participant)
            raise AssetNotFoundError(f"{missing.uri if missing else 'A calibration file'} is not there. Plan again.")
        if calibration_digest(found) != video.calibration:
            raise CalibrationError(
                f"The calibration of camera {video.camera} of participant {unit.participant} has changed since the "
                "work was planned. Plan again."
            )
        full = (facts.width, facts.height)
        self.serial = video.camera
        self.size = scaled_size(full, options.scale, options.size)
        self.ccm = found.ccm
        self._pose = found.world_to_camera
        self._intrinsics = resize_intrinsics(found.intrinsics, full, self.size)
        self._corrects_first = options.color_correction and options.color_order == CORRECT_FIRST
        self._background: tuple[Picture | None] | None = None

    @cached_property
    def cells(self) -> dict[str, Any]:
        """Size and matrices as rows hold them."""
        return {
            "width": self.size[0],
            "height": self.size[1],
            "intrinsics": self._intrinsics.tolist(),
            "world_to_camera": self._pose.tolist(),
            "ccm": self.ccm.tolist(),
        }

    @property
    def camera(self) -> Camera:
        """The camera that belongs to the finished pictures."""
        return Camera(self._intrinsics, self._pose, *self.size)

    def finish(self, picture: Picture, timed: Timed) -> Picture:
        """A decoded picture, resized and colour-corrected: ``(height, width, 3)`` uint8 RGB."""
        if not self._corrects_first:
            with timed("resize"):
                picture = resize_picture(picture, self.size)
        if self._job.options.color_correction:
            with timed("colour"):
                picture = correct_color(picture, self.ccm)
        if self._corrects_first:
            with timed("resize"):
                picture = resize_picture(picture, self.size)
        return picture

    @property
    def background(self) -> Picture | None:
        """The still of the empty set, finished as the pictures are and ``sealed``; None if there is none."""
        if self._background is None:
            self._background = (self._read_background(),)
        return self._background[0]

    def forget(self) -> None:
        """Let go of the still."""
        self._background = None

    def _read_background(self) -> Picture | None:
        import PIL.Image

        path = self._job.capture.path(AssetPath("background", self._unit.participant, camera=self.serial))
        data = read_still(path)
        if still_digest(data) != self._video.background:
            del data  # as below
            raise FrameError(f"{path} is not what it was when the work was planned. Plan again.")
        if data is None:
            return None
        problem = ""
        try:
            with PIL.Image.open(io.BytesIO(data)) as image:
                still = np.asarray(image.convert("RGB"))
            return sealed(self.finish(still, lambda _: contextlib.nullcontext()))
        except PIL.UnidentifiedImageError:  # its words name an object in memory
            problem = f"{path} is no picture, but {len(data):,} bytes of something else"
        except (OSError, SyntaxError, ValueError) as error:
            problem = f"{path} is no whole picture: {error}"
        del data  # a page in place of the still may repeat the access URL, which a traceback could show
        raise FrameError(f"{problem}. Download it again, or leave the stage out that needs it.")


def read_still(path: str) -> bytes | None:
    """The bytes of a still; None if it is not there."""
    try:
        return read_bytes(path)
    except AssetNotFoundError:
        return None
