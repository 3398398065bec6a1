"""Ray casting of the demo's ellipsoids: one ray through each pixel centre, by the inverse of K and the camera's pose.

Nothing here projects a point, so a test that projects the landmarks checks the pictures and not itself.  In camera axes
the ray of pixel (u, v) is ``inverse(K) @ (u, v, 1)`` = (x, y, 1), so the distance along it is the depth, and whether it
hits an ellipsoid is the sign of a quadratic form in (x, y), which also gives the pixels worth looking at.
Colours are linear light in float32 until the last step, where the camera's own colour error is put in.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from nersemble.demo.identity import FrameIdentity, stamp
from nersemble.demo.scene import Ellipsoid, body_shapes, head_pose, head_shapes
from nersemble.layout import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nersemble.demo.rig import DemoRig
    from nersemble.demo.scene import Pose

    Floats = NDArray[np.float32]

_LIGHT = np.array([-0.35, 0.65, 0.80]) / np.linalg.norm([-0.35, 0.65, 0.80])
_AMBIENT = 0.42
_LEVELS = 4096
# Rows are drawn in bands of about this many pixels: they stay in the processor's cache, and memory small at full size.
_BAND = 1 << 14


class Camera:
    """Draws what one camera of one participant sees."""

    def __init__(self, participant: int, serial: str, rig: DemoRig) -> None:
        self.participant, self.serial = participant, serial
        inverse = np.linalg.inv(rig.intrinsics)
        self._x = (inverse[0, 0] * np.arange(rig.width) + inverse[0, 2]).astype(np.float32)
        self._y = (inverse[1, 1] * np.arange(rig.height) + inverse[1, 2]).astype(np.float32)
        pose = rig.world_to_camera[serial]
        self._to_world = pose[:3, :3].T
        self._position = -self._to_world @ pose[:3, 3]
        self._to_recorded = np.linalg.inv(rig.ccm[serial]).astype(np.float32)
        self._empty = self._backdrop()
        self._plate = self._empty.copy()
        self._depth = np.full((rig.height, rig.width), np.inf, np.float32)
        _Views(body_shapes(participant), np.eye(3), np.zeros(3), self).draw(self._plate, self._depth, (0, 0))
        self._body = self._record(self._plate)

    def background(self) -> NDArray[np.uint8]:
        """The still without a person: ``(H, W, 3)`` uint8, stamped."""
        return stamp(self._record(self._empty), FrameIdentity(self.participant, BACKGROUND, self.serial, 0))

    def frame(self, sequence: str, timestep: int) -> NDArray[np.uint8]:
        """One video frame: ``(H, W, 3)`` uint8, stamped."""
        pose = head_pose(self.participant, sequence, timestep)
        picture = self._body.copy()
        self._draw_head(picture, pose)
        return stamp(picture, FrameIdentity(self.participant, sequence, self.serial, timestep))

    def _draw_head(self, picture: NDArray[np.uint8], pose: Pose) -> None:
        views = _Views(head_shapes(self.participant, pose), pose.rotation, pose.translation, self)
        lefts, tops, rights, bottoms = zip(*views.boxes, strict=True)
        left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
        light = self._plate[:, top:bottom, left:right].copy()
        depth = self._depth[top:bottom, left:right].copy()
        views.draw(light, depth, (left, top))
        picture[top:bottom, left:right] = self._record(light)

    def _record(self, light: Floats) -> NDArray[np.uint8]:
        """Linear light ``(3, H, W)`` as this camera records it: its colour error, which the CCM undoes, then sRGB."""
        _, height, width = light.shape
        out = np.empty((height, width, 3), np.uint8)
        step = max(1, _BAND // width)
        for start in range(0, height, step):
            band = light[:, start : start + step]
            for channel, row in enumerate(self._to_recorded * np.float32(_LEVELS - 1)):
                level = row[0] * band[0]
                level += row[1] * band[1]
                level += row[2] * band[2]
                np.minimum(np.maximum(level, 0, out=level), _LEVELS - 1, out=level)
                out[start : start + step, :, channel] = _ENCODE[level.astype(np.uint16)]
        return out

    def _backdrop(self) -> Floats:
        """A grey wall with a soft light on it; it turns with the camera, as one behind each view would."""
        x, y = self._x[None, None, :] / 0.135, self._y[None, :, None] / 0.195
        glow = np.exp(-1.1 * ((x + 0.25) ** 2 + (y + 0.2) ** 2))
        low, high = (_linear(colour)[:, None, None] for colour in ((74, 80, 90), (186, 194, 202)))
        return np.asarray(low + (high - low) * glow, np.float32)


class _Views:
    """A set of ellipsoids as one camera sees them: their quadratic forms and the pixels they can cover."""

    def __init__(
        self, shapes: list[Ellipsoid], turn: NDArray[np.float64], shift: NDArray[np.float64], camera: Camera
    ) -> None:
        self._shapes, self._x, self._y = shapes, camera._x, camera._y
        axes = turn @ np.array([shape.axes for shape in shapes])
        centres = np.array([shape.centre for shape in shapes]) @ turn.T + shift
        # World to the axes in which an ellipsoid is the unit ball.
        to_unit = (axes / np.array([shape.radii for shape in shapes])[:, None, :]).transpose(0, 2, 1)
        origin = np.einsum("nij,nj->ni", to_unit, camera._position - centres)
        rays = to_unit @ camera._to_world
        gram = rays.transpose(0, 2, 1) @ rays
        half = np.einsum("nji,nj->ni", rays, origin)
        # The ray (x, y, 1) meets the ellipsoid where this form is positive.
        hit = half[:, :, None] * half[:, None, :] - ((origin**2).sum(axis=1) - 1)[:, None, None] * gram
        self.boxes, self._softness = self._bounds(hit)
        self._hit, self._gram, self._half, self._rays = (array.astype(np.float32) for array in (hit, gram, half, rays))
        self._origin = origin.astype(np.float32)
        self._light = (to_unit @ _LIGHT).astype(np.float32)

    def draw(self, light: Floats, depth: Floats, corner: tuple[int, int]) -> None:
        """Draw all into a picture ``(3, H, W)`` that begins at pixel ``corner``, each where nothing is nearer yet."""
        for index, (left, top, right, bottom) in enumerate(self.boxes):
            step = max(1, _BAND // max(1, right - left))
            columns = slice(left - corner[0], right - corner[0])
            for start in range(top, bottom, step) if right > left else ():
                stop = min(bottom, start + step)
                rows = slice(start - corner[1], stop - corner[1])
                x, y = self._x[None, left:right], self._y[start:stop, None]
                self._draw_band(index, light[:, rows, columns], depth[rows, columns], x, y)

    def _draw_band(self, index: int, light: Floats, depth: Floats, x: Floats, y: Floats) -> None:
        shape = self._shapes[index]
        gram = _form(self._gram[index], x, y)
        hit = _form(self._hit[index], x, y)
        # `hit / gram` is 1 - (distance of the ray from the centre)^2; half of it times the radius in pixels is about
        # the distance from the outline, which makes the outline smooth.
        cover = hit / gram
        cover *= self._softness[index]
        cover += _HALF
        np.minimum(np.maximum(cover, 0, out=cover), 1, out=cover)
        near = np.sqrt(np.maximum(hit, 0, out=hit), out=hit)
        near += _line(self._half[index], x, y)
        near /= -gram
        cover *= near < depth
        normal = []
        for axis in range(3):
            component = _line(self._rays[index, axis], x, y)
            component *= near
            component += self._origin[index, axis]
            normal.append(component)
        lit = self._lit(index, normal)
        share, shade = _PAINTS[shape.paint](shape, normal)
        if shade is not None:
            lit *= shade
        for channel, (first, second) in enumerate(zip(_linear(shape.colour), _linear(shape.second), strict=True)):
            target = lit * (first if share is None else first + share * (second - first))
            target -= light[channel]
            target *= cover
            light[channel] += target
        np.copyto(depth, near, where=cover > _HALF)

    def _lit(self, index: int, normal: list[Floats]) -> Floats:
        shape, towards = self._shapes[index], self._light[index]
        facing, length = np.zeros_like(normal[0]), np.zeros_like(normal[0])
        for axis, component in enumerate(normal):
            facing += towards[axis] * component
            length += np.float32(shape.radii[axis] ** -2) * np.square(component)
        facing /= np.sqrt(length, out=length)
        share = np.float32((1 - _AMBIENT) * (1 - shape.glow))
        np.maximum(facing, 0, out=facing)
        facing *= share
        facing += 1 - share
        return facing

    def _bounds(self, hit: NDArray[np.float64]) -> tuple[list[list[int]], Floats]:
        """Left, top, right, bottom in pixels of each, from the tangents of its outline; and a fourth of its width."""
        dual = np.linalg.inv(hit)
        edges, spans = [], []
        for axis, rays in ((0, self._x), (1, self._y)):
            middle = dual[:, axis, 2] / dual[:, 2, 2]
            reach = np.sqrt(np.maximum(0, middle**2 - dual[:, axis, axis] / dual[:, 2, 2]))
            spacing = float(rays[1] - rays[0])
            first = (middle - reach - float(rays[0])) / spacing
            last = (middle + reach - float(rays[0])) / spacing
            edges.append([np.clip(edge, 0, len(rays)).astype(int) for edge in (np.floor(first) - 1, np.ceil(last) + 2)])
            spans.append(last - first)
        boxes = np.stack([edges[0][0], edges[1][0], edges[0][1], edges[1][1]], axis=1)
        return boxes.tolist(), (np.minimum(*spans) / 4).astype(np.float32)


def _form(m: Floats, x: Floats, y: Floats) -> Floats:
    """The quadratic form of ``m`` at (x, y, 1) for a row of x and a column of y."""
    across = (m[0, 0] * x + 2 * m[0, 2]) * x + m[2, 2]
    result = np.asarray((2 * m[0, 1] * x) * y)
    result += across
    result += (m[1, 1] * y + 2 * m[1, 2]) * y
    return result


def _line(v: Floats, x: Floats, y: Floats) -> Floats:
    return np.asarray(v[0] * x + (v[1] * y + v[2]))


@functools.lru_cache(maxsize=256)
def _linear(colour: tuple[int, int, int]) -> Floats:
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encode_table() -> NDArray[np.uint8]:
    share = np.linspace(0, 1, _LEVELS)
    encoded = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)


# A pattern gives the share of the second colour and a factor for the light, or None for neither, from the coordinates
# of the surface as if the ellipsoid were the unit ball.
_Pattern = tuple["Floats | None", "Floats | None"]


def _plain(shape: Ellipsoid, unit: list[Floats]) -> _Pattern:
    return None, None


def _checker(shape: Ellipsoid, unit: list[Floats]) -> _Pattern:
    """Soft patches over the skin, so that a wrong pose shows; in metres, so that they run on from shape to shape."""
    across, up = (unit[i] * np.float32(shape.radii[i] / 0.0062) + np.float32(shape.centre[i] / 0.0062) for i in (0, 1))
    share = np.sin(across)
    share *= np.sin(up)
    share *= _HALF
    share += _HALF
    return share, None


def _strands(shape: Ellipsoid, unit: list[Floats]) -> _Pattern:
    share = np.sin(unit[0] * np.float32(26) + unit[2] * np.float32(5))
    share *= np.float32(0.35)
    share += np.float32(0.35)
    return share, None


def _stripes(shape: Ellipsoid, unit: list[Floats]) -> _Pattern:
    return np.clip(np.sin(unit[1] * np.float32(60)) * 2 + _HALF, 0, 1), None


def _eye(shape: Ellipsoid, unit: list[Floats]) -> _Pattern:
    """Iris and pupil where the ellipsoid's own z axis leaves it; the second colour elsewhere."""
    # In metres across, so that the iris stays round when the lids make the ellipsoid flat.
    across = (unit[0] * np.float32(shape.radii[0])) ** 2 + (unit[1] * np.float32(shape.radii[1])) ** 2
    away = np.sqrt(across) + np.float32(0.05) * (unit[2] < 0)
    white = np.clip((away - np.float32(0.0066)) * 900 + _HALF, 0, 1)
    pupil = np.clip((away - np.float32(0.0032)) * 900 + _HALF, 0, 1)
    return white, np.float32(0.06) + np.float32(0.94) * pupil


_HALF = np.float32(0.5)
_ENCODE = _encode_table()
_PAINTS: dict[str, Callable[[Ellipsoid, list[Any]], _Pattern]] = {
    "plain": _plain,
    "checker": _checker,
    "strands": _strands,
    "stripes": _stripes,
    "eye": _eye,
}
