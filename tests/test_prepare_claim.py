"""Whose a folder of shards is: nobody's shards are mixed with another plan's, whoever comes when."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import fsspec
import pytest
from _prepared import digests, made, shards, small_plan
from fsspec.implementations.local import LocalFileSystem

from nersemble import prepare
from nersemble.errors import PrepareError
from nersemble.prepare.claim import claim
from nersemble.prepare.job import Job, UnitResult
from nersemble.prepare.target import Target
from nersemble.prepare.unit import Unit
from nersemble.prepare.work import run_unit


class Queue:
    """An engine that hands units to a scheduler, which runs them when it likes."""

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        self.job, self.units = job, units
        return "job 1"

    def work(self) -> list[UnitResult]:
        return [run_unit(self.job, unit) for unit in self.units]


def test_what_waits_in_a_queue_stops_where_another_plan_took_its_folder(demo_folder, tmp_path):
    first, second = small_plan(demo_folder), small_plan(demo_folder, quality=50)
    waiting, taking = Queue(), Queue()
    first.run(tmp_path, engine=waiting)
    second.run(tmp_path, engine=taking)  # there is no shard yet, so that nothing is written over
    late = waiting.work()
    assert {(one.outcome, one.stops) for one in late} == {("failed", True)}
    assert "Another run, of a plan with other options or another selection, has taken" in late[0].reason
    assert shards(tmp_path) == []
    assert {one.outcome for one in taking.work()} == {"written"}
    assert second.verify(tmp_path).sound
    with pytest.raises(PrepareError, match="other options"):
        first.run(tmp_path, workers=1)


@pytest.mark.parametrize("url", [False, True])
def test_a_folder_that_is_taken_while_a_unit_is_made_gets_no_shard_of_it(demo_folder, tmp_path, url):
    place = f"file://{tmp_path}/out" if url else str(tmp_path / "out")
    other = small_plan(demo_folder, quality=50)

    @prepare.stage(seen="bool")
    def take(image, background, camera, row):
        claim(other, Target(place))
        return {"seen": True}

    queue = Queue()
    small_plan(demo_folder, stages=[take]).run(place, engine=queue)
    object.__setattr__(queue.job, "functions", (take,))  # not sent anywhere, so that it acts here
    result = run_unit(queue.job, queue.units[0])
    assert (result.outcome, result.stops) == ("failed", True)
    assert list((tmp_path / "out").rglob("*.parquet*")) == []


def test_a_run_goes_on_beside_one_of_more_of_the_same(demo_folder, tmp_path):
    some = small_plan(demo_folder, config_name="some")
    more = small_plan(demo_folder, sequences="EXP-1-head,EMO-1*", config_name="some")
    waiting = Queue()
    some.run(tmp_path, engine=waiting)
    claim(more, Target(tmp_path))
    assert {one.outcome for one in waiting.work()} == {"written"}
    assert more.run(tmp_path, workers=1).kept == len(some.units)


def test_a_run_stops_where_one_with_more_cameras_took_its_folder(demo_folder, tmp_path):
    """Whose units have the same names: the later one's shards are not put back to fewer cameras."""
    few = small_plan(demo_folder, cameras=["222200037"], config_name="some")
    more = small_plan(demo_folder, config_name="some")
    waiting = Queue()
    few.run(tmp_path, engine=waiting)
    made(more, tmp_path)
    before = digests(tmp_path)
    assert {(one.outcome, one.stops) for one in waiting.work()} == {("failed", True)}
    assert digests(tmp_path) == before


def test_shards_whose_plan_is_gone_are_gone_on_with_by_their_own_alone(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    made(plan, tmp_path)
    before, file = digests(tmp_path), tmp_path / plan.config / "plan.json"
    file.unlink()
    shards(tmp_path)[-1].unlink()
    with pytest.raises(PrepareError, match=r"holds no plan\.json, but files such as .*parquet"):
        small_plan(demo_folder, quality=50).run(tmp_path, workers=1)
    assert not file.exists()
    assert plan.run(tmp_path, workers=1).written == 1
    assert digests(tmp_path) == before


def test_a_file_of_others_is_not_written_over(demo_folder, tmp_path):
    plan = small_plan(demo_folder)
    theirs = tmp_path / plan.config / plan.units[0].name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(PrepareError, match="nobody knows how they were made"):
        plan.run(tmp_path, workers=1)
    assert theirs.read_bytes() == b"theirs"
    assert list(tmp_path.rglob("*.json")) == []


class Sticky(LocalFileSystem):
    """A store that lets nobody remove anything."""

    protocol = "sticky"

    def rm_file(self, path: str) -> None:
        raise RuntimeError("not yours")


def test_a_video_that_is_left_out_has_its_shards_made_anew_and_the_others_kept(demo_folder, tmp_path):
    video = "240/sequences/EXP-1-head/images/cam_222200037.mp4"
    options = {"sequences": "EXP-1-head,EMO-1*", "config_name": "some"}
    whole, less = small_plan(demo_folder, **options), small_plan(demo_folder, without=[video], **options)
    made(whole, tmp_path)
    fewer = small_plan(demo_folder, cameras=["222200042"], **options)
    for other in (fewer, prepare.PreparePlan.from_json(less.to_json())):  # which does not say what was left out
        with pytest.raises(PrepareError, match="another selection, such as 240/E"):
            claim(other, Target(tmp_path))
    own = [unit.name for unit in less.units if unit.sequence == "EXP-1-head"]
    before = digests(tmp_path)
    report = less.run(tmp_path, workers=1)
    assert (report.written, report.kept) == (len(own), len(less.units) - len(own))
    assert report.kept
    assert less.verify(tmp_path).sound
    after = digests(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {f"some/{name}" for name in own}
    assert whole.run(tmp_path, workers=1).written == len(own)  # once it was downloaded again
    assert digests(tmp_path) == before


def test_a_folder_whose_units_become_others_without_a_video_is_refused(demo_folder, tmp_path):
    options = {"sequences": "EXP-1-head,EMO-1*", "config_name": "some", "cameras": "222200037"}
    made(small_plan(demo_folder, **options), tmp_path)
    before = digests(tmp_path)
    with pytest.raises(PrepareError, match="another selection, such as 240/EXP-1-head"):
        small_plan(demo_folder, without="240/sequences/EXP-1-head/images/cam_222200037.mp4", **options).run(tmp_path)
    assert digests(tmp_path) == before


def test_what_cannot_be_removed_is_left_and_in_nobodys_way(demo_folder, tmp_path):
    fsspec.register_implementation("sticky", Sticky, clobber=True)
    plan, folder = small_plan(demo_folder), tmp_path / "out"
    made(plan, folder)
    suffix = subprocess.check_output(
        [sys.executable, "-c", "from nersemble.prepare.target import _part_suffix as made; print(made())"], text=True
    )
    part = shards(folder)[0].parent / f".EXP-1-head-000000.parquet{suffix.strip()}"
    part.write_bytes(b"half")
    claim(plan, Target(f"sticky://{folder}"))
    assert part.exists()
    claim(plan, Target(folder))
    assert not part.exists()


class Full(LocalFileSystem):
    """A store without any room left."""

    protocol = "full"

    def put_file(self, *arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")


def test_a_full_store_stops_the_run(demo_folder, tmp_path):
    fsspec.register_implementation("full", Full, clobber=True)
    plan = small_plan(demo_folder)
    result = run_unit(plan.job(f"full://{tmp_path}/out"), plan.units[0])
    assert (result.outcome, result.stops) == ("failed", True)
    assert result.reason.endswith("cannot be written: OSError: No space left on device.")
