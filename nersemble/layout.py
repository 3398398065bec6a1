"""The published layout of NeRSemble v2: names, serials and paths, the same on the server and in a folder.

``AssetPath`` is one published file; ``str(asset)`` formats its path and ``AssetPath.parse`` reads one back.  Nothing
here touches a disk or a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PROTOCOL = "nersemble"

#: The 16 cameras in rig order, which papers call camera 0 to 15.  Camera 8 is the frontal one.
SERIALS: tuple[str, ...] = (
    "222200042",
    "222200044",
    "222200046",
    "222200040",
    "222200036",
    "222200048",
    "220700191",
    "222200041",
    "222200037",
    "222200038",
    "222200047",
    "222200043",
    "222200049",
    "222200039",
    "222200045",
    "221501007",
)
FRONTAL_SERIAL = "222200037"

#: Every published sequence with videos, in the order of the metadata CSV.
SEQUENCES: tuple[str, ...] = (
    "GLASSES",
    "EXP-1-head",
    "EXP-2-eyes",
    "EXP-3-cheeks+nose",
    "EXP-4-lips",
    "EXP-5-mouth",
    "EXP-6-tongue-1",
    "EXP-7-tongue-2",
    "EXP-8-jaw-1",
    "EXP-9-jaw-2",
    "HAIR",
    "FREE",
    "EMO-1-shout+laugh",
    "EMO-2-surprise+fear",
    "EMO-3-angry+sad",
    "EMO-4-disgust+happy",
    "SEN-01-cramp_small_danger",
    "SEN-02-same_phrase_thirty_times",
    "SEN-03-pluck_bright_rose",
    "SEN-04-two_plus_seven",
    "SEN-05-glow_eyes_sweet_girl",
    "SEN-06-problems_wise_chief",
    "SEN-07-fond_note_friend",
    "SEN-08-clothes_and_lodging",
    "SEN-09-frown_events_bad",
    "SEN-10-port_strong_smokey",
)
#: The one sequence with two spellings; older kits and copies drop the "n".
SEQUENCE_SPELLINGS = {"SEN-07-fond_note_fried": "SEN-07-fond_note_friend"}
BACKGROUND = "BACKGROUND"

PARTICIPANTS_CSV = "metadata_participants.csv"
SEQUENCES_CSV = "metadata_sequences.csv"

#: Full-size pictures are portrait.
WIDTH, HEIGHT = 2200, 3208
FPS = 73

_KINDS = {
    "participants": re.compile(r"metadata_participants\.csv"),
    "sequences": re.compile(r"metadata_sequences\.csv"),
    "camera_params": re.compile(r"(?P<participant>\d{3,})/calibration/camera_params\.json"),
    "color_calibration": re.compile(r"(?P<participant>\d{3,})/calibration/color_calibration\.json"),
    "video": re.compile(r"(?P<participant>\d{3,})/sequences/(?P<sequence>[^/]+)/images/cam_(?P<camera>[^/]+)\.mp4"),
    "background": re.compile(r"(?P<participant>\d{3,})/sequences/BACKGROUND/image_(?P<camera>[^/]+)\.jpg"),
}


@dataclass(frozen=True, slots=True, order=True)
class AssetPath:
    """One published file.

    Attributes:
        kind: ``participants``, ``sequences`` (the two CSVs), ``camera_params``, ``color_calibration``, ``video`` or
            ``background``.
        participant: Participant id, for every kind but the two CSVs.
        sequence: Sequence name as the server spells it, for videos.
        camera: Serial, for videos and backgrounds.
    """

    kind: str
    participant: int | None = None
    sequence: str | None = None
    camera: str | None = None

    def __str__(self) -> str:
        if self.kind == "participants":
            return PARTICIPANTS_CSV
        if self.kind == "sequences":
            return SEQUENCES_CSV
        home = f"{self.participant:03d}"
        if self.kind in ("camera_params", "color_calibration"):
            return f"{home}/calibration/{self.kind}.json"
        if self.kind == "background":
            return f"{home}/sequences/{BACKGROUND}/image_{self.camera}.jpg"
        return f"{home}/sequences/{self.sequence}/images/cam_{self.camera}.mp4"

    @property
    def uri(self) -> str:
        """The path with its protocol, ``nersemble://240/...``: what messages and tables show."""
        return f"{PROTOCOL}://{self}"

    @classmethod
    def parse(cls, path: str) -> AssetPath | None:
        """Read a published path at the end of ``path`` (a URI, a local or a bare path); None if there is none."""
        found = find_asset(path)
        return found[1] if found else None


def find_asset(path: str) -> tuple[str, AssetPath] | None:
    """Split ``path`` into the root in front of a published path and the asset itself.

    >>> root, asset = find_asset("/data/nersemble/240/calibration/camera_params.json")
    >>> root, asset.kind
    ('/data/nersemble/', 'camera_params')
    """
    path = path.replace("\\", "/")
    for kind, pattern in _KINDS.items():
        match = re.search(rf"(?:^|(?<=/)){pattern.pattern}$", path)
        if match:
            groups = match.groupdict()
            number = groups.get("participant")
            asset = AssetPath(kind, int(number) if number else None, groups.get("sequence"), groups.get("camera"))
            return path[: match.start()], asset
    return None


def canonical_sequence(name: str) -> str:
    """The current spelling of a sequence name, so that both spellings of SEN-07 are one sequence."""
    return SEQUENCE_SPELLINGS.get(name, name)


def sequence_order(name: str) -> tuple[int, str]:
    """Sort key: published order first, unknown sequences after it by name."""
    name = canonical_sequence(name)
    return (SEQUENCES.index(name) if name in SEQUENCES else len(SEQUENCES), name)


def camera_order(serial: str) -> tuple[int, str]:
    """Sort key: rig order first, unknown serials after it."""
    return (SERIALS.index(serial) if serial in SERIALS else len(SERIALS), serial)
