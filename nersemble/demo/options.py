"""What a demo capture holds: its participants, sequences and size, and which file is short or missing.

``DemoOptions`` knows every file of the capture without making one, so that a test can compare what it finds with what
there should be.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from nersemble.demo.identity import MAX_PARTICIPANT, MAX_TIMESTEP
from nersemble.errors import SelectionError
from nersemble.layout import HEIGHT, SEQUENCE_SPELLINGS, SEQUENCES, SERIALS, WIDTH, AssetPath, canonical_sequence

#: Raised when the same options begin to give other bytes, so that no cache serves old ones.
FORMAT_VERSION = 1

#: The listed video that the default capture lacks, and the one whose last frames were dropped.
MISSING_VIDEO = AssetPath("video", 55, "EMO-1-shout+laugh", SERIALS[11])
SHORT_VIDEO = AssetPath("video", 240, "EXP-1-head", SERIALS[5])


@dataclass(frozen=True)
class DemoOptions:
    """What to make.

    Attributes:
        participants: Participant ids, 1 to 2047.
        sequences: Sequence names, in their current spelling.
        unmarked: Pairs (participant, sequence) that the participant lacks; all others are marked in the CSV.
        frames: Frames of a full video, 1 to 4096.
        width: Picture width in pixels, even, 128 or more; 2200 gives the published 2200 x 3208.
        gop: Frames from one keyframe to the next.
        crf: Quality of the videos; smaller is better and larger on disk.
        missing: Listed videos that are not there.
        short: Videos that lack their last ``short_by`` frames.
        short_by: How many frames they lack; one is left in any case.
        old_spelling: Write SEN-07 as older copies of the data do, ``SEN-07-fond_note_fried``.

    Raises:
        SelectionError: If one of these cannot be made.
    """

    participants: tuple[int, ...] = (50, 55, 240)
    sequences: tuple[str, ...] = ("EXP-1-head", "EMO-1-shout+laugh", "SEN-07-fond_note_friend")
    unmarked: tuple[tuple[int, str], ...] = ((50, "SEN-07-fond_note_friend"), (55, "EXP-1-head"))
    frames: int = 40
    width: int = 276
    gop: int = 12
    crf: int = 20
    missing: tuple[AssetPath, ...] = (MISSING_VIDEO,)
    short: tuple[AssetPath, ...] = (SHORT_VIDEO,)
    short_by: int = 3
    old_spelling: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.sequences if name not in SEQUENCES]
        if unknown or not self.sequences:
            raise SelectionError(f"The demo cannot make the sequences {unknown}; see nersemble.layout.SEQUENCES.")
        if not self.participants or not all(1 <= number <= MAX_PARTICIPANT for number in self.participants):
            raise SelectionError(f"Demo participants are 1 to {MAX_PARTICIPANT}, not {self.participants}.")
        if not 1 <= self.frames <= MAX_TIMESTEP + 1 or self.gop < 1 or self.short_by < 0:
            raise SelectionError(f"A demo video has 1 to {MAX_TIMESTEP + 1} frames and a gop of 1 or more.")
        if self.width % 2 or self.width < 128:
            raise SelectionError(f"The width of demo pictures is an even number from 128 on, not {self.width}.")

    @property
    def height(self) -> int:
        """Picture height in pixels: of the published shape, and even as 4:2:0 video needs."""
        return 2 * round(self.width * HEIGHT / WIDTH / 2)

    def spelling(self, sequence: str) -> str:
        """How the capture spells a sequence in its CSV and paths."""
        sequence = canonical_sequence(sequence)
        if self.old_spelling:
            return {new: old for old, new in SEQUENCE_SPELLINGS.items()}.get(sequence, sequence)
        return sequence

    def sequences_of(self, participant: int) -> list[str]:
        """The sequences that the CSV marks for a participant, as it spells them, in published order."""
        marked = [name for name in SEQUENCES if name in self.sequences and (participant, name) not in self.unmarked]
        return [self.spelling(name) for name in marked]

    def listed_videos(self) -> list[AssetPath]:
        """Every video that the CSV promises, by participant, sequence and camera in rig order."""
        return [
            AssetPath("video", participant, sequence, serial)
            for participant in sorted(set(self.participants))
            for sequence in self.sequences_of(participant)
            for serial in SERIALS
        ]

    def missing_files(self) -> list[AssetPath]:
        """The videos that the CSV promises and the capture lacks."""
        return [asset for asset in self.listed_videos() if self._canonical(asset) in self.missing]

    def files(self) -> list[AssetPath]:
        """Every file of the capture."""
        stills = [AssetPath("background", number, None, serial) for number in self._numbers() for serial in SERIALS]
        tables = [AssetPath("participants"), AssetPath("sequences")]
        kinds = ("camera_params", "color_calibration")
        calibrations = [AssetPath(kind, number) for number in self._numbers() for kind in kinds]
        missing = self.missing_files()
        return tables + calibrations + stills + [asset for asset in self.listed_videos() if asset not in missing]

    def num_frames(self, asset: AssetPath) -> int:
        """How many frames a video of the capture has; 0 if it is missing or not listed."""
        if asset not in self.listed_videos() or self._canonical(asset) in self.missing:
            return 0
        return max(1, self.frames - self.short_by) if self._canonical(asset) in self.short else self.frames

    def has_audio(self, asset: AssetPath) -> bool:
        """Whether a video has a sound track: those of the frontal camera and of one at the side."""
        return asset.kind == "video" and asset.camera in (SERIALS[2], SERIALS[8])

    def index_in_front(self, asset: AssetPath) -> bool:
        """Whether a video's index comes before its frames (as for the web) or, in every third camera, after them."""
        return SERIALS.index(str(asset.camera)) % 3 != 1

    def fingerprint(self) -> str:
        """A short name that only equal options share."""
        fields = {**dataclasses.asdict(self), "format": FORMAT_VERSION}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def _numbers(self) -> list[int]:
        return sorted(set(self.participants))

    @staticmethod
    def _canonical(asset: AssetPath) -> AssetPath:
        return dataclasses.replace(asset, sequence=canonical_sequence(str(asset.sequence)))
