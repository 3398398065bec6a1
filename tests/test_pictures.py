"""The picture of a row does what a picture of PIL's own making does, whatever is asked of it first."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import PIL.ImageOps
import PIL.ImageStat
import pytest

from nersemble.pictures import FramePicture


@pytest.fixture
def pixels():
    """A picture as swscale leaves it: rows lie further apart than they are long."""
    rows = np.random.default_rng(0).integers(0, 256, (50, 128), np.uint8)
    return np.lib.stride_tricks.as_strided(rows, (50, 40, 3), (128, 3, 1))


def after(change):
    """The picture once it was changed in place, and what the change gave."""

    def use(picture):
        given = change(picture)
        return given, picture.mode, picture.size, picture.tobytes()

    return use


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def entered(picture):
    with picture as same:
        return same is picture, same.tobytes()


def drawn(picture):
    PIL.ImageDraw.Draw(picture, "RGBA").rectangle((0, 0, 9, 9), fill=(1, 2, 3, 80))


def poked(picture):
    picture.load()[3, 4] = (1, 2, 3)


def closed(use):
    def closing(picture):
        picture.close()
        picture.close()
        return picture.size, use(picture)

    return closing


USES = {
    "tobytes": lambda p: p.tobytes(),
    "tobytes in another order": lambda p: p.tobytes("raw", "BGR"),
    "im": lambda p: (p.im.mode, p.im.size),
    "load": lambda p: p.load()[3, 4],
    "getpixel": lambda p: p.getpixel((3, 4)),
    "array": lambda p: np.array(p).tolist(),
    "array of floats": lambda p: np.asarray(p, dtype=np.float32).tolist(),
    "facts": lambda p: (p.mode, p.size, p.info, p.format, p.readonly, p.getbands(), p.has_transparency_data),
    "exif": lambda p: dict(p.getexif()),
    "seek and tell": lambda p: (p.seek(0), p.tell()),
    "seek too far": lambda p: p.seek(1),
    "verify": lambda p: p.verify(),
    "draft": lambda p: p.draft("L", (10, 10)),
    "context": entered,
    "close, then bytes": closed(lambda p: p.tobytes()),
    "close, then array": closed(lambda p: np.asarray(p)),
    "close, then im": closed(lambda p: p.im.size),
    "equal to a copy": lambda p: (p == p.copy(), p.copy() == p, p != p.copy(), p.copy() != p),
    "equal to others": lambda p: (p == 3, p == p.convert("L"), p == p.transpose(0), p in [p.copy()]),
    "equal to copies of copies": lambda p: (copy.copy(p) == p, copy.deepcopy(p) == p),
    "equal to a pickled one": lambda p: [pickle.loads(pickle.dumps(p, kind)) == p for kind in (0, 2, 4)],
    "is an image": lambda p: (isinstance(p, PIL.Image.Image), PIL.Image.isImageType(p)),
    "histogram": lambda p: (p.histogram(), p.entropy(), p.getextrema(), p.getbbox(), PIL.ImageStat.Stat(p).mean),
    "convert": lambda p: [p.convert(mode).tobytes() for mode in ("L", "RGBA", "P", "YCbCr", "F")],
    "quantize": lambda p: p.quantize(8).tobytes(),
    "geometry": lambda p: [q.tobytes() for q in (p.resize((9, 9)), p.reduce(2), p.rotate(10), p.crop((1, 1, 5, 5)))],
    "filter": lambda p: p.filter(PIL.ImageFilter.GaussianBlur(2)).tobytes(),
    "point": lambda p: p.point(lambda value: value // 2).tobytes(),
    "bands": lambda p: ([band.tobytes() for band in p.split()], p.getchannel("G").tobytes()),
    "blend": lambda p: PIL.Image.blend(p, PIL.Image.new("RGB", p.size), 0.5).tobytes(),
    "fit": lambda p: PIL.ImageOps.fit(p, (10, 10)).tobytes(),
    "files": lambda p: [saved(p, kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "GIF")],
    "files of several": lambda p: saved(p, "GIF", save_all=True, append_images=[p]),
    "turned by exif": after(lambda p: PIL.ImageOps.exif_transpose(p, in_place=True)),
    "frombytes": after(lambda p: p.frombytes(bytes(range(200)) * 30)),
    "frombytes of too few": after(lambda p: p.frombytes(b"abc")),
    "putpixel": after(lambda p: p.putpixel((0, 0), (1, 2, 3))),
    "putdata": after(lambda p: p.putdata([(1, 2, 3)] * 2000)),
    "putalpha": after(lambda p: p.putalpha(7)),
    "paste": after(lambda p: p.paste((1, 2, 3), (0, 0, 5, 5))),
    "thumbnail": after(lambda p: p.thumbnail((20, 20))),
    "draw": after(drawn),
    "pixel access": after(poked),
    "flood": after(lambda p: PIL.ImageDraw.floodfill(p, (0, 0), (1, 2, 3))),
    "im replaced": after(lambda p: setattr(p, "im", PIL.Image.new("RGB", p.size, "red").im)),
}


def outcome(use, picture):
    try:
        return use(picture)
    except Exception as error:  # noqa: BLE001 - the error is the outcome, and is compared
        return type(error), str(error)


@pytest.mark.parametrize("first", ["untouched", "loaded"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_it_does_what_a_picture_of_pil_does(pixels, use, first):
    picture = FramePicture(pixels, "a.mp4#timestep=1")
    if first == "loaded":
        picture.load()
    expected = outcome(use, PIL.Image.fromarray(np.ascontiguousarray(pixels)))
    assert outcome(use, picture) == expected


def test_pictures_of_rows_are_compared_by_their_pixels(pixels):
    first, second = FramePicture(pixels, "a.mp4#timestep=1"), FramePicture(pixels.copy(), "b.mp4#timestep=9")
    assert first == second
    second.putpixel((0, 0), (1, 2, 3))
    assert first != second
    with pytest.raises(TypeError, match="unhashable"):
        hash(first)
