"""The demo's head: its shapes, its motion and the landmarks on it.  Everything here is geometry; render.py draws it.

The head is made of ellipsoids in its own axes (as the world's: x to the person's left, y up, z out of the face), which
a rigid pose moves.  Six bright balls sit on it; ``landmarks`` says where their centres are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nersemble.demo.rig import rotation, wobble
from nersemble.layout import canonical_sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

LANDMARK_RADIUS = 0.0075

_BALLS: dict[str, tuple[tuple[float, float, float], Colour]] = {
    "crown": ((0.0, 0.1365, -0.004), (140, 60, 240)),
    "forehead": ((0.0, 0.0656, 0.0876), (235, 70, 190)),
    "left_temple": ((0.0676, 0.0526, 0.0512), (60, 215, 215)),
    "right_temple": ((-0.0676, 0.0526, 0.0512), (230, 210, 50)),
    "left_cheek": ((0.0563, -0.0330, 0.0620), (60, 200, 80)),
    "right_cheek": ((-0.0563, -0.0330, 0.0620), (60, 105, 230)),
}
_SKINS = ((236, 196, 172), (222, 178, 150), (240, 206, 186), (190, 146, 122))
_HAIRS = ((62, 46, 40), (46, 42, 44), (92, 66, 50), (128, 118, 110))
_EYES = ((84, 108, 128), (96, 78, 60), (88, 112, 88))
_SHIRTS = ((86, 96, 112), (116, 90, 92), (88, 108, 98), (70, 72, 84))


@dataclass(frozen=True)
class Ellipsoid:
    """One shape: its place in metres, its radii, a rotation of its axes, and how it is painted (sRGB).

    ``paint`` names a pattern of render.py that mixes ``colour`` with ``second``; ``glow`` is the share of light that
    does not depend on where the surface faces.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    colour: Colour
    second: Colour = (0, 0, 0)
    paint: str = "plain"
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    glow: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Where the head is at one timestep.

    Attributes:
        rotation: ``(3, 3)`` float64, head axes to world axes.
        translation: ``(3,)`` float64, metres.
        mouth: How far the mouth is open, 0 to 1.
        gaze: Where the eyes look, in degrees to the person's left.
        lids: How far the lids are closed, 0 to 1.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    mouth: float
    gaze: float
    lids: float


def head_pose(participant: int, sequence: str, timestep: int) -> Pose:
    """The head's pose: smooth in ``timestep``, different for every participant and sequence."""
    sequence = canonical_sequence(sequence)
    key = (participant, sequence)
    swing = 1.5 if sequence == "EXP-1-head" else 0.8
    speech = 1.0 if sequence.startswith(("EMO", "SEN", "FREE", "EXP-5", "EXP-8", "EXP-9")) else 0.25

    def wave(name: str, period: float) -> float:
        period *= 1 + 0.2 * wobble(*key, name, "period")
        return float(np.sin(2 * np.pi * (timestep / period + wobble(*key, name, "phase"))))

    turn = rotation(1, 8 * swing * wave("yaw", 80)) @ rotation(0, 5 * swing * wave("pitch", 62))
    turn = turn @ rotation(2, 3 * swing * wave("roll", 97))
    shift = np.array([0.006 * wave("x", 90), 0.004 * wave("y", 71), 0.006 * wave("z", 110)])
    mouth = speech * (0.5 + 0.5 * wave("mouth", 31 if sequence.startswith("SEN") else 47))
    return Pose(turn, shift, mouth, 14 * wave("gaze", 67), max(0.0, wave("lids", 58) - 0.95) * 20)


def landmarks(participant: int, sequence: str, timestep: int) -> dict[str, NDArray[np.float64]]:
    """World positions of the centres of the six balls on the moving head.

    Args:
        participant: Participant id.
        sequence: Sequence name, in either spelling.
        timestep: 0-based index of the frame.

    Returns:
        Name to ``(3,)`` float64 in metres.  Each ball has a radius of ``LANDMARK_RADIUS`` and the colour that
        ``landmark_colors`` gives; the head hides some of them from some cameras.
    """
    pose = head_pose(participant, sequence, timestep)
    return {name: pose.rotation @ np.array(place) + pose.translation for name, (place, _) in _BALLS.items()}


def landmark_colors() -> dict[str, Colour]:
    """The colour of each ball as (red, green, blue), 0 to 255, once a picture's colours are corrected."""
    return {name: colour for name, (_, colour) in _BALLS.items()}


def body_shapes(participant: int) -> list[Ellipsoid]:
    """Neck and shoulders, in world axes: they do not move."""
    skin, shirt = _pick(_SKINS, participant, "skin"), _pick(_SHIRTS, participant, "shirt")
    shade = (int(skin[0] * 0.88), int(skin[1] * 0.85), int(skin[2] * 0.84))
    return [
        Ellipsoid((0, -0.150, -0.026), (0.050, 0.100, 0.052), shade),
        Ellipsoid((0, -0.300, -0.032), (0.230, 0.142, 0.100), shirt, _dim(shirt, 0.82), "stripes"),
        Ellipsoid((0, -0.176, -0.020), (0.064, 0.018, 0.064), _dim(shirt, 0.7)),
    ]


def head_shapes(participant: int, pose: Pose) -> list[Ellipsoid]:
    """The head in its own axes, large shapes first."""
    skin, hair = _pick(_SKINS, participant, "skin"), _pick(_HAIRS, participant, "hair")
    iris = _pick(_EYES, participant, "eyes")
    lip = (int(skin[0] * 0.82), int(skin[1] * 0.62), int(skin[2] * 0.62))
    blush = (skin[0], int(skin[1] * 0.92), int(skin[2] * 0.90))
    drop = 0.013 * pose.mouth
    shapes = [
        Ellipsoid((0, 0.014, 0), (0.077, 0.103, 0.090), skin, blush, "checker"),
        Ellipsoid((0, 0.026, -0.018), (0.0845, 0.102, 0.093), hair, _dim(hair, 1.45), "strands"),
        Ellipsoid((0, 0.097, 0.036), (0.056, 0.030, 0.047), hair, _dim(hair, 1.45), "strands"),
        Ellipsoid((0, -0.050 - drop, 0.012), (0.055, 0.066, 0.068), skin, blush, "checker"),
        Ellipsoid((0, -0.016, 0.0865), (0.0130, 0.0115, 0.0165), skin, glow=0.1),
        Ellipsoid((0, 0.004, 0.0835), (0.0088, 0.030, 0.0120), skin, glow=0.1, axes=rotation(0, -14)),
        Ellipsoid((0, -0.056 - drop / 2, 0.0745), (0.0250, 0.0072 + drop * 0.80, 0.0085), lip),
        Ellipsoid((0, -0.056 - drop / 2, 0.0765), (0.0215, 0.0014 + drop * 0.85, 0.0085), (88, 34, 38), glow=0.4),
    ]
    if pose.mouth > 0.2:
        teeth = (0.015, 0.0006 + 0.17 * drop, 0.0085)
        shapes.append(Ellipsoid((0, -0.0540 - drop * 0.02, 0.0780), teeth, (236, 232, 224), glow=0.3))
    for side in (-1.0, 1.0):
        shapes += _side_shapes(side, pose, skin, hair, iris)
    radius = (LANDMARK_RADIUS,) * 3
    return shapes + [Ellipsoid(place, radius, colour, glow=0.8) for place, colour in _BALLS.values()]


def _side_shapes(side: float, pose: Pose, skin: Colour, hair: Colour, iris: Colour) -> list[Ellipsoid]:
    """Eye, brow and ear of one side."""
    eye, look = (side * 0.030, 0.021, 0.0722), rotation(1, pose.gaze)
    shapes = [
        Ellipsoid((side * 0.080, 0.002, -0.006), (0.011, 0.029, 0.018), skin, axes=rotation(1, side * 24)),
        Ellipsoid((side * 0.030, 0.022, 0.0700), (0.0200, 0.0160, 0.0145), _dim(skin, 0.93), glow=0.2),
        Ellipsoid((side * 0.031, 0.0450, 0.0740), (0.0175, 0.0036, 0.0080), hair, axes=rotation(2, -side * 5)),
    ]
    if pose.lids < 0.7:
        lids = (0.0160, 0.0112 * (1 - pose.lids), 0.0145)
        shapes.append(Ellipsoid(eye, lids, iris, (240, 240, 238), "eye", look, 0.35))
    return shapes


def _pick(palette: tuple[Colour, ...], participant: int, what: str) -> Colour:
    return palette[int((wobble(participant, what) + 1) / 2 * len(palette))]


def _dim(colour: Colour, factor: float) -> Colour:
    return (min(255, int(colour[0] * factor)), min(255, int(colour[1] * factor)), min(255, int(colour[2] * factor)))
