"""Pictures that ``map`` writes: unchanged ones as the references they are, changed ones as pictures or not at all."""

from __future__ import annotations

import PIL.Image
import PIL.ImageDraw
import pytest
from datasets import Features, Image, load_dataset

import nersemble
from nersemble import FrameError
from nersemble.demo import read_identity

ONE = "participant_240__sequence_EXP-1-head__camera_222200037"


@pytest.fixture
def ds(access, cache):
    return load_dataset("nersemble", ONE, split="train", cache_dir=cache, timesteps=[4, 9, 2])


def references(ds, column="frame"):
    return ds.cast_column(column, nersemble.VideoFrame(decode=False))[column][:]


def painted(picture):
    picture.paste((1, 2, 3), (0, 0, 9, 9))


def drawn(picture):
    PIL.ImageDraw.Draw(picture).line((0, 0, 9, 9), fill=(1, 2, 3))


def poked(picture):
    picture.load()[3, 4] = (1, 2, 3)


def nudged(picture):
    """By one level in one colour of one pixel, the last."""
    at = picture.width - 1, picture.height - 1
    red, green, blue = picture.getpixel(at)
    picture.putpixel(at, (red, green, blue ^ 1))


CHANGES = {
    "paste": painted,
    "putpixel": nudged,
    "ImageDraw": drawn,
    "pixel access": poked,
    "putalpha": lambda p: p.putalpha(200),
    "frombytes": lambda p: p.frombytes(p.tobytes("raw", "BGR")),
    "thumbnail": lambda p: p.thumbnail((20, 20)),
    "im": lambda p: setattr(p, "im", p.transpose(PIL.Image.Transpose.ROTATE_180).im),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("batched", [False, True])
def test_a_picture_changed_in_place_is_not_written_back_as_the_old_frame(ds, change, batched):
    def work(row):
        change(row["frame"][1] if batched else row["frame"])
        return row

    with pytest.raises(FrameError, match=r"[13] of 3 pictures.*changed.*\.copy\(\).*datasets\.Image"):
        ds.map(work, batched=batched)


def test_a_change_is_told_when_the_row_itself_is_not_returned(ds):
    def work(row):
        drawn(row["frame"])
        return {"mean": 0.0}

    with pytest.raises(FrameError, match="in place"):
        ds.map(work)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_pictures_are_kept_where_the_column_becomes_one_of_images(ds, change):
    def work(row):
        change(row["frame"])
        return row

    def expected(row):
        picture = row["frame"].copy()
        change(picture)
        return picture

    mapped = ds.map(work, features=Features({**ds.features, "frame": Image()}))
    for before, after in zip(ds, mapped, strict=True):
        assert after["frame"].mode == expected(before).mode
        assert after["frame"].tobytes() == expected(before).tobytes()


def test_changed_pictures_are_kept_in_a_column_of_their_own(ds):
    def work(row):
        picture = row["frame"].copy()
        nudged(picture)
        return {"image": picture}

    mapped = ds.map(work)
    assert references(mapped) == references(ds)
    assert mapped.features["image"] == Image()
    for row in mapped:
        nudged(row["frame"])
        assert row["image"].tobytes() == row["frame"].tobytes()


USES = {
    "nothing": lambda p: None,
    "load": lambda p: p.load(),
    "resize": lambda p: p.resize((9, 9)),
    "a change taken back": lambda p: (nudged(p), nudged(p)),
    "close": lambda p: p.close(),
    "load and close": lambda p: (p.load(), p.close()),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("batched", [False, True])
def test_an_unchanged_picture_is_written_back_as_its_reference(ds, use, batched):
    def work(row):
        for picture in row["frame"] if batched else [row["frame"]]:
            use(picture)
        return row

    mapped = ds.map(work, batched=batched)
    assert mapped.features == ds.features
    assert references(mapped) == references(ds)
    assert [read_identity(row["frame"]).timestep for row in mapped] == ds["timestep"][:]


def test_a_picture_that_is_changed_after_it_was_closed_keeps_no_old_name(ds):
    picture = ds[0]["frame"]
    nudged(picture)
    picture.close()
    assert picture.filename == ""


def test_an_assigned_name_is_the_users_own(ds):
    picture = ds[0]["frame"]
    picture.filename = "mine.png"
    nudged(picture)
    assert picture.filename == "mine.png"


def test_pictures_of_a_moment_are_told_apart_too(access, cache):
    options = {"view": "timestep", "timesteps": [3], "split": "train", "cache_dir": cache}
    moments = load_dataset("nersemble", "participant_240__sequence_EXP-1-head", **options)

    def work(row, change):
        change(row["frames"][2])
        return row

    kept = moments.map(work, fn_kwargs={"change": PIL.Image.Image.load})
    assert [read_identity(picture).camera for picture in kept[0]["frames"]] == kept[0]["cameras"]
    with pytest.raises(FrameError, match=f"1 of {len(moments[0]['cameras'])} pictures"):
        moments.map(work, fn_kwargs={"change": nudged})


def test_a_stream_gives_what_map_made_of_a_picture(access):
    stream = load_dataset("nersemble", ONE, split="train", streaming=True, timesteps=[4, 9])

    def work(row, change):
        change(row["frame"])
        return row

    kept = stream.map(work, fn_kwargs={"change": PIL.Image.Image.load}, features=stream.features)
    assert [read_identity(row["frame"]).timestep for row in kept] == [4, 9]
    changed = stream.map(work, fn_kwargs={"change": nudged}, features=stream.features)
    for before, after in zip(stream, changed, strict=True):
        nudged(before["frame"])
        assert after["frame"] == before["frame"]


def test_the_feature_itself_takes_unchanged_pictures_only(ds):
    picture = ds[0]["frame"]
    picture.load()
    assert ds.features.encode_example(ds[0])["frame"] == references(ds)[0]
    assert ds.features["frame"].encode_example(picture) == references(ds)[0]
    nudged(picture)
    with pytest.raises(FrameError, match="in place"):
        ds.features["frame"].encode_example(picture)
    with pytest.raises(FrameError, match="in place"):
        ds.features.encode_example({**ds[0], "frame": picture})


@pytest.mark.parametrize("batched", [False, True])
def test_rows_in_a_format_are_refused_with_the_format_as_the_cause(ds, batched):
    """As arrays, whatever library makes them."""
    with pytest.raises(FrameError, match=r"have a format, such as numpy or torch\?.*with_format\(None\)"):
        ds.with_format("numpy").map(lambda rows: rows, batched=batched)
    assert references(ds.with_format("numpy").with_format(None).map(lambda row: row)) == references(ds)
