"""The headers of selected videos, and what else a plan has to know of the files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..capture import WORKERS, Capture, VideoFacts
from ..errors import AssetNotFoundError, FrameError, SelectionError
from ..layout import AssetPath
from ..opening import known_matrix, open_video
from ..parallel import map_on_threads
from ..shards import report_missing
from .unit import UnitVideo, calibration_digest, still_digest
from .unusable import unusable
from .view import read_still


@dataclass(frozen=True)
class Header:
    """What the header of a video says: the facts, bytes of the file, what tells it from others, and how many frames are
    decoded in front of each.
    """

    facts: VideoFacts
    bytes: int
    fingerprint: str
    leads: NDArray[np.int64]


class Headers:
    """The headers of videos, read side by side, and what else a plan has to know of the files beside them.

    Args:
        capture: Where they are.
        on_missing: As of ``plan``.
        left_out: Videos to leave out.
        with_stills: Whether the stills of the empty set are told apart too.
        corrects: Whether colours are corrected.
    """

    def __init__(
        self,
        capture: Capture,
        on_missing: str,
        left_out: frozenset[AssetPath],
        *,
        with_stills: bool,
        corrects: bool,
    ) -> None:
        self._capture, self._on_missing, self._left_out = capture, on_missing, left_out
        self._with_stills, self._corrects = with_stills, corrects
        self._held: dict[AssetPath, Header | None] = {}
        self._stills: dict[AssetPath, str] = {}

    def read(self, assets: Sequence[AssetPath]) -> None:
        """Read the headers of videos.

        Raises:
            SelectionError: If one that is to be left out is none of them, or none is left.
            FrameError: If one cannot be used.
            AssetNotFoundError: If none is there.
        """
        unknown = sorted(map(str, self._left_out.difference(assets)))
        if unknown:
            raise SelectionError(f"{unknown[0]} is not among the selected videos, so it cannot be left out.")
        assets = [asset for asset in assets if asset not in self._left_out]
        if not assets and self._left_out:
            raise SelectionError("without= (--without) leaves out every selected video, so that nothing is left to do.")
        self._held = dict(zip(assets, map_on_threads(self._header, assets, WORKERS), strict=True))
        missing = [asset for asset, header in self._held.items() if header is None]
        missing += self._drop_uncalibrated()
        nothing_left = all(header is None for header in self._held.values())
        report_missing(missing, self._on_missing, nothing_left=nothing_left)
        if self._with_stills:
            stills = list({_still_of(asset): None for asset, header in self._held.items() if header is not None})
            self._stills = dict(zip(stills, map_on_threads(self._still, stills, WORKERS), strict=True))

    def take(self, assets: Sequence[AssetPath]) -> list[tuple[AssetPath, Header]]:
        """Those of the videos that are there, which are not kept."""
        return [(asset, found) for asset in assets if (found := self._held.pop(asset, None)) is not None]

    def video(self, asset: AssetPath, header: Header) -> UnitVideo:
        """A video as units have it."""
        camera = self._capture.camera_facts(asset.participant or 0, asset.camera or "")
        calibration = calibration_digest(camera) if camera else ""
        still = self._stills.get(_still_of(asset), "")
        return UnitVideo(asset.camera or "", header.facts, header.bytes, calibration, header.fingerprint, still)

    def _header(self, asset: AssetPath) -> Header | None:
        """The header of a video; None if it is absent.

        Raises:
            FrameError: If it is there and is no video.
        """
        problem = ""
        try:
            with open_video(self._capture.path(asset)) as decoder:
                facts = VideoFacts(len(decoder), decoder.width, decoder.height, decoder.fps)
                return Header(facts, decoder.num_bytes, decoder.fingerprint, decoder.index.leads())
        except AssetNotFoundError:
            return None
        except FrameError as error:
            problem = str(error)
        raise unusable(asset, problem)

    def _still(self, asset: AssetPath) -> str:
        return still_digest(read_still(self._capture.path(asset)))

    def _drop_uncalibrated(self) -> list[AssetPath]:
        """Take out the videos of participants without calibration; the files that are not there.

        Raises:
            CalibrationError: If there is one and it cannot be used.
        """
        gone: dict[int, AssetPath] = {}
        held = {(asset.participant or 0, asset.camera or "") for asset, header in self._held.items() if header}
        for participant, serial in sorted(held):
            if participant in gone:
                continue
            facts = self._capture.camera_facts(participant, serial)
            if facts is None:
                missing = self._capture.missing_calibration(participant)
                gone[participant] = missing or AssetPath("camera_params", participant)
            elif self._corrects:
                known_matrix(facts.ccm, serial, self._capture.path(AssetPath("color_calibration", participant)))
        self._held.update({asset: None for asset in self._held if asset.participant in gone})
        return list(gone.values())


def _still_of(video: AssetPath) -> AssetPath:
    return AssetPath("background", video.participant, camera=video.camera)
