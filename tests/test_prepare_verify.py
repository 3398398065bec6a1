"""A check finds every way in which shards differ from their plan, and changes nothing."""

from __future__ import annotations

import io
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _prepared import digests, shards, small_plan

from nersemble.errors import PrepareError
from nersemble.prepare.shard import is_undamaged, seal


@pytest.fixture(scope="module")
def ready(demo_folder, tmp_path_factory):
    """A plan and its shards, by what a row is."""
    found = {}
    for kind in ("frame", "timestep", "video"):
        folder = tmp_path_factory.mktemp(kind)
        plan = small_plan(demo_folder, rows=kind, timesteps="0::2")
        assert plan.run(folder, workers=1).complete
        found[kind] = plan, folder
    return found


@pytest.fixture
def spoilt(ready, tmp_path):
    """A copy that may be spoilt."""

    def copy(kind):
        plan, folder = ready[kind]
        shutil.copytree(folder, tmp_path / "copy")
        return plan, tmp_path / "copy"

    return copy


def change(path, spoil):
    """Rewrite a shard with its rows changed, its footer kept, as if it had been made so."""
    table = pq.read_table(path)
    held = spoil(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(held, schema=table.schema), path)
    seal(path)


@pytest.mark.parametrize("kind", ["frame", "timestep", "video"])
def test_what_a_run_made_is_sound(ready, kind):
    plan, folder = ready[kind]
    before = digests(folder)
    report = plan.verify(folder)
    assert report.sound
    assert (report.rows, report.pictures, report.shards) == (plan.rows, plan.pictures, len(plan.units))
    assert report.bytes == sum(path.stat().st_size for path in shards(folder))
    assert digests(folder) == before


def unseen(rows):
    for row in rows:
        row["frame"]["bytes"] = None
    return rows


SPOILS = {
    "a row less": lambda rows: rows[:-1],
    "a row twice": lambda rows: [*rows, rows[-1]],
    "rows in another order": lambda rows: rows[::-1],
    "no rows": lambda rows: [],
    "null bytes": unseen,
    "empty bytes": lambda rows: [{**row, "frame": {**row["frame"], "bytes": b""}} for row in rows],
    "a path": lambda rows: [{**row, "frame": {**row["frame"], "path": "/home/me/1.jpg"}} for row in rows],
    "no picture": lambda rows: [{**row, "frame": {**row["frame"], "bytes": b"\xff\xd8\xff"}} for row in rows],
    "half a picture": lambda rows: [
        {**row, "frame": {**row["frame"], "bytes": row["frame"]["bytes"][: len(row["frame"]["bytes"]) // 2]}}
        for row in rows
    ],
    "another size": lambda rows: [{**row, "width": row["width"] + 1} for row in rows],
    "another timestep": lambda rows: [{**row, "timestep": row["timestep"] + 1} for row in rows],
    "another camera": lambda rows: [{**row, "camera": "222200036"} for row in rows],
    "another participant": lambda rows: [{**row, "participant": 241} for row in rows],
    "a matrix that is none": lambda rows: [{**row, "intrinsics": [[float("nan")] * 3] * 3} for row in rows],
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_rows_that_are_not_as_planned_are_found(spoilt, spoil):
    plan, folder = spoilt("frame")
    change(shards(folder)[1], spoil)
    report = plan.verify(folder)
    assert [found.shard for found in report.findings] == [shards(folder)[1].relative_to(folder).as_posix()]
    assert report.rows < plan.rows
    with pytest.raises(PrepareError, match="not as planned"):
        report.raise_if_unsound()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: {**row, "cameras": row["cameras"][::-1]},
        lambda row: {**row, "frames": row["frames"][:-1]},
        lambda row: {**row, "frames": [{**frame, "bytes": None} for frame in row["frames"]]},
        lambda row: {**row, "timestep": row["timestep"] + 1},
    ],
)
def test_moments_that_are_not_as_planned_are_found(spoilt, spoil):
    plan, folder = spoilt("timestep")
    change(shards(folder)[0], lambda rows: [spoil(row) for row in rows])
    assert len(plan.verify(folder).findings) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: {**row, "timesteps": row["timesteps"][:-1]},
        lambda row: {**row, "video": {**row["video"], "bytes": row["video"]["bytes"][:-200]}},
        lambda row: {**row, "video": {**row["video"], "bytes": None}},
        lambda row: {**row, "height": row["height"] - 2},
    ],
)
def test_clips_that_are_not_as_planned_are_found(spoilt, spoil):
    plan, folder = spoilt("video")
    change(shards(folder)[0], lambda rows: [spoil(row) for row in rows])
    assert len(plan.verify(folder).findings) == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_text("no shard"),
        lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({}), path),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
@pytest.mark.parametrize("decode", [True, False])
def test_shards_that_are_not_whole_are_found(spoilt, harm, decode):
    plan, folder = spoilt("frame")
    path = shards(folder)[0]
    harm(path)
    report = plan.verify(folder, decode=decode)
    assert [found.shard for found in report.findings] == [path.relative_to(folder).as_posix()]


def test_bytes_that_were_changed_inside_pictures_are_found(spoilt):
    plan, folder = spoilt("frame")
    path = shards(folder)[0]
    data = bytearray(path.read_bytes())
    picture = pq.read_table(path).to_pylist()[0]["frame"]["bytes"]
    start = data.index(picture)
    data[start : start + len(picture)] = bytes(len(picture))
    path.write_bytes(data)
    assert not plan.verify(folder).sound
    assert not plan.verify(folder, decode=False).sound  # by its checksums


@pytest.mark.parametrize("kind", ["frame", "timestep", "video"])
def test_a_bit_that_flipped_anywhere_is_found(spoilt, kind):
    """Decoders of JPEG take much for a picture, and readers of Parquet for a footer."""
    plan, folder = spoilt(kind)
    path = shards(folder)[0]
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in (*range(0, footer, max(1, footer // 50)), *range(footer, len(whole), 11)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        (found,) = plan.verify(folder, decode=False).findings
        assert found.shard == path.relative_to(folder).as_posix(), place


def test_every_bit_of_a_shard_is_in_its_digest(ready):
    """The digits themselves too."""
    _, folder = ready["frame"]
    whole = shards(folder)[0].read_bytes()
    assert is_undamaged(io.BytesIO(whole))
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    damaged = bytearray(whole)
    for place in range(footer, len(whole)):
        damaged[place] ^= 1
        assert not is_undamaged(io.BytesIO(damaged)), place
        damaged[place] ^= 1


def test_shards_that_are_no_part_of_the_plan_are_found(spoilt):
    """They would be loaded with it."""
    plan, folder = spoilt("frame")
    stray = folder / plan.config / "240" / "EXP-1-head-999999.parquet"
    shutil.copy(shards(folder)[0], stray)
    (found,) = plan.verify(folder).findings
    assert found.shard.endswith("999999.parquet")


def test_an_empty_folder_has_every_finding(ready, tmp_path):
    plan, _ = ready["frame"]
    report = plan.verify(tmp_path / "nowhere")
    assert len(report.findings) == len(plan.units)
    assert not (tmp_path / "nowhere").exists()


def test_large_pictures_are_sound(demo_folder, tmp_path):
    """Above half of what Pillow refuses it warns; warnings are errors here."""
    plan = small_plan(demo_folder, timesteps="0", cameras=["222200037"], scale=None, size=(9500, 9500))
    assert plan.run(tmp_path, workers=1).complete
    report = plan.verify(tmp_path)
    assert report.sound, report
    assert report.pictures == 1
