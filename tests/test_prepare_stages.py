"""Stages of a preparation: the columns they add, what tells them apart, and what they cannot do to the rows."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from typing import ClassVar

import numpy as np
import PIL.Image
import pytest
from _prepared import made, picture, rows, shards, small_plan

from nersemble import Camera, prepare
from nersemble.errors import PrepareError, SelectionError
from nersemble.prepare.fingerprint import describe_stage
from nersemble.prepare.sample import estimate


@prepare.stage(mask="image", brightness="float32", name="string")
def look(image, background, camera, row):
    assert isinstance(camera, Camera)
    assert (camera.width, camera.height) == image.shape[1::-1]
    assert image.shape == background.shape
    difference = np.abs(image.astype(int) - background).sum(-1)
    return {"mask": difference > 40, "brightness": image.mean(), "name": f"{row['camera']}-{row['timestep']}"}


@prepare.stage(other="float32")
def other_look(image, background, camera, row):
    return {"other": image.max()}


@pytest.mark.parametrize("kind", prepare.options.ROWS)
def test_a_stage_adds_columns_to_every_picture(demo_folder, tmp_path, kind):
    plan = small_plan(demo_folder, rows=kind, stages=[look], timesteps="0::4", chunk=96, color_correction=True)
    for row in made(plan, tmp_path):
        masks, names = row["mask"], row["name"]
        if kind == "frame":
            assert names == f"{row['camera']}-{row['timestep']}"
            assert picture(masks).size == (row["width"], row["height"])
            continue
        steps = row["timesteps"] if kind == "video" else [row["timestep"]] * 2
        cameras = [row["camera"]] * len(steps) if kind == "video" else row["cameras"]
        assert names == [f"{camera}-{step}" for camera, step in zip(cameras, steps, strict=True)]
        assert {picture(mask).mode for mask in masks} == {"L"}
        assert {value for mask in masks for value in np.unique(picture(mask))} <= {0, 255}
    assert plan.verify(tmp_path).sound


def test_a_stage_is_part_of_the_plan(demo_folder, tmp_path):
    plan = small_plan(demo_folder, stages=[look])
    assert plan.hash != small_plan(demo_folder).hash
    made(plan, tmp_path)
    read = prepare.load_plan(tmp_path)
    assert read == plan
    assert read.verify(tmp_path).sound
    with pytest.raises(PrepareError, match="look"):
        read.run(tmp_path)
    for others in ([other_look], [look, other_look]):
        with pytest.raises(PrepareError, match=r"other stages than these.*: look"):
            prepare.load_plan(tmp_path, stages=others)
    shards(tmp_path)[0].unlink()
    assert prepare.load_plan(tmp_path, stages=[look], data_dir=demo_folder).run(tmp_path, workers=1).written == 1
    assert plan.verify(tmp_path).sound


BROKEN = {
    "raises": lambda *_: 1 / 0,
    "other columns": lambda *_: {"other": 1},
    "no columns": lambda *_: None,
    "a wrong shape": lambda *_: {"mask": np.zeros((2, 2, 2), np.uint8)},
    "an empty picture": lambda *_: {"mask": np.zeros((0, 2), np.uint8)},
    "a wrong type": lambda *_: {"mask": np.zeros((2, 2))},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_stage_that_fails_is_named(demo_folder, tmp_path, broken):
    function = prepare.stage(mask="image")(broken)
    report = small_plan(demo_folder, stages=[function]).run(tmp_path, workers=1)
    assert len(report.failed) == report.not_tried + len(small_plan(demo_folder).units)
    assert "stage" in str(report)
    assert shards(tmp_path) == []


def counted(start):
    def count(image, background, camera, row):
        return {"count": start}

    return prepare.stage(count="int32")(count)


LIMIT = 3


@prepare.stage(count="int32")
def limited(image, background, camera, row):
    return {"count": LIMIT}


class Counting:
    columns: ClassVar = {"count": "int32"}

    def __init__(self, start):
        self.start = start

    def __call__(self, image, background, camera, row):
        return {"count": self.start}


def test_what_a_stage_refers_to_is_part_of_the_plan(demo_folder, monkeypatch):
    def plan_hash(one):
        return small_plan(demo_folder, stages=[one]).hash

    assert plan_hash(counted(1)) == plan_hash(counted(1)) != plan_hash(counted(2))
    assert plan_hash(Counting(1)) == plan_hash(Counting(1)) != plan_hash(Counting(2))
    before = plan_hash(limited)
    monkeypatch.setitem(globals(), "LIMIT", 4)
    assert plan_hash(limited) != before
    apart = [counted(1), counted(2)]
    for one in apart:
        one.version = "7"  # which says that they are the same
    assert plan_hash(apart[0]) == plan_hash(apart[1])


def test_a_stage_whose_source_cannot_be_read_needs_a_version(demo_folder):
    names: dict = {}
    exec("def unread(image, background, camera, row): return {'count': 1}", names)
    one = prepare.stage(count="int32")(names["unread"])
    with pytest.raises(SelectionError, match="version"):
        small_plan(demo_folder, stages=[one])
    one.version = 1
    assert small_plan(demo_folder, stages=[one]).stages_told


#: A script whose stage refers to what is in it, as an object that travels by its name could not.
SCRIPT = """
import enum, functools, sys, threading, typing
from nersemble import prepare

class Label(enum.IntEnum):
    SKIN = 2

    @property
    def twice(self):
        return 2 * self

class Held(typing.Generic[typing.TypeVar("T")]):
    @functools.cached_property
    def one(self):
        return 1

    @functools.cache
    def two(self):
        return 2

@functools.lru_cache(maxsize=None)
def sums(number):
    return number + sums(number - 1) if number else 0

LOCK, HELD = threading.RLock(), Held()

@prepare.stage(count="int32")
def count(image, background, camera, row):
    with LOCK:
        return {"count": sums(3) + Label.SKIN.twice + HELD.one + HELD.two()}

if __name__ == "__main__":
    plan = prepare.plan(
        "participant_240__sequence_EXP-1-head", cameras="222200037", timesteps="0::20", scale=0.25, rows="frame",
        data_dir=sys.argv[1], stages=[count],
    )
    plan.run(sys.argv[2], workers=1, progress=False).raise_if_incomplete()
"""


def test_a_stage_of_a_script_brings_along_what_it_refers_to(demo_folder, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(demo_folder), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {row["count"] for row in rows(tmp_path / "out")} == {6 + 4 + 1 + 2}


#: A script whose stage loads a model at its first call, which cannot be sent, and which tells the hashes of its plans.
LOADING = """
import sys, threading
from nersemble import prepare

class Model:
    def __init__(self):
        self.thread = threading.current_thread()
        self.file = open(__file__)

_model = None

@prepare.stage(count="int32")
def count(image, background, camera, row):
    load()
    return {"count": _calls + len(_model.file.name[:0])}

def load():
    global _model, _calls
    if _model is None:
        _model, _calls = Model(), 0
    _calls += 1

def planned():
    return prepare.plan(
        "participant_240__sequence_EXP-1-head", cameras="222200037", timesteps="0::20", scale=0.25, rows="frame",
        data_dir=sys.argv[1], stages=[count],
    )

if __name__ == "__main__":
    options = {"engine": sys.argv[3], "workers": 1, "progress": False}
    first = planned()
    print(first.hash)
    first.run(sys.argv[2], **options).raise_if_incomplete()
    count(None, None, None, {})
    again = planned()
    print(again.hash)
    for folder in (sys.argv[2], sys.argv[2] + "-again"):
        report = again.run(folder, **options)
        report.raise_if_incomplete()
        print(report.kept)
"""


def test_a_model_that_a_stage_loads_when_it_is_first_called_is_no_part_of_it(demo_folder, tmp_path):
    """Neither in the process that called it, nor in a new one; and workers load their own."""
    (tmp_path / "script.py").write_text(LOADING)
    command = [sys.executable, str(tmp_path / "script.py"), str(demo_folder)]
    told = []
    for kept in ("0", "1"):
        done = subprocess.run([*command, str(tmp_path / "out"), "local"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.split())
        assert told[-1][2:] == ["1", kept]
    assert len({one for hashes in told for one in hashes[:2]}) == 1
    for folder in ("out", "out-again"):
        assert [row["count"] for row in rows(tmp_path / folder)] == [1, 2]


def test_what_a_stage_does_not_assign_itself_is_still_part_of_it(demo_folder, monkeypatch):
    def set_limit(value):
        global LIMIT
        LIMIT = value

    before = small_plan(demo_folder, stages=[limited]).hash
    monkeypatch.setitem(globals(), "LIMIT", LIMIT)
    set_limit(5)
    assert small_plan(demo_folder, stages=[limited]).hash != before


RESETTING = """
class Chance:
    reset = print

CHANCE, LEVEL = Chance(), {}

def reset():
    global LEVEL
    LEVEL = 0
"""
#: What an edit or a setting changes, beside what a stage assigns itself.
TOLD = {
    "what an assigned global held at first": ("LEVEL = {}", "    global LEVEL\n    LEVEL = LEVEL or 3\n"),
    "a function in an assigned global": (
        "def level():\n    return {}\n\nLEVEL = level",
        "    global LEVEL\n    LEVEL = LEVEL or None\n",
    ),
    "what a method assigns that is not called": (
        "class Setting:\n    def set(self):\n        global LEVEL\n        LEVEL = 0\n\nSETTING, LEVEL = Setting(), {}",
        "    SETTING\n",
    ),
    "what a function assigns whose name is a method's too": (
        RESETTING,
        "    CHANCE.reset()\n",
    ),
}


@pytest.mark.parametrize(("top", "body"), TOLD.values(), ids=TOLD)
def test_what_a_run_does_not_make_of_a_stage_tells_it(tmp_path, monkeypatch, top, body):
    monkeypatch.syspath_prepend(str(tmp_path))
    told = []
    for number in (1, 2, 1):
        name = f"told_{len(told)}"
        source = f"from nersemble import prepare\n\n{top.format(number)}\n\n@prepare.stage(count='int32')\n"
        source += f"def count(image, background, camera, row):\n{body}    return {{'count': bool(LEVEL)}}\n"
        (tmp_path / f"{name}.py").write_text(source)
        told.append(describe_stage(importlib.import_module(name).count)["source"])
    assert told[0] != told[1]
    assert told[0] == told[2]


LOADS = """
MODEL = None

def load(size=2):
    global MODEL
    MODEL = MODEL or [1] * size
    return MODEL
"""
COUNTED = """
CALLS = 0

def counted(call):
    @functools.wraps(call)
    def counting(*given):
        global CALLS
        CALLS += 1
        return call(*given)
    return counting
"""
KEPT = """
def kept(call):
    @functools.wraps(call)
    def keeping():
        return call()
    return keeping
"""
#: Ways to a function that assigns a global: what stands in the module of the stage, above it, and what the stage calls.
WAYS = {
    "a decorator of the stage": (COUNTED, "@counted\n", "[1]"),
    "a decorator of what it calls": (f"{LOADS}\n{KEPT}\n\nkept_load = kept(load)", "", "kept_load()"),
    "a cache": (f"{LOADS}\ncached = functools.cache(load)", "", "cached()"),
    "a partial": (f"{LOADS}\nsmall = functools.partial(load, 1)", "", "small()"),
    "a module of a package": ("import {package}.tools", "", "{package}.tools.load()"),
}


@pytest.mark.parametrize(("top", "above", "call"), WAYS.values(), ids=WAYS)
def test_what_a_stage_loads_by_way_of_others_does_not_tell_it(tmp_path, monkeypatch, top, above, call):
    monkeypatch.syspath_prepend(str(tmp_path))
    package, name = f"parts_{tmp_path.name}", f"stages_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "tools.py").write_text(LOADS)
    source = f"import functools\n\nfrom nersemble import prepare\n\n{top}\n\n@prepare.stage(count='int32')\n{above}"
    source += f"def count(image, background, camera, row):\n    return {{'count': len({call})}}\n"
    (tmp_path / f"{name}.py").write_text(source.replace("{package}", package))
    stage = importlib.import_module(name).count
    before = describe_stage(stage)
    assert stage(None, None, None, {})["count"]
    assert describe_stage(stage) == before


@prepare.stage(first="float64")
def scribbling(image, background, camera, row):
    with contextlib.suppress(ValueError):
        image[:] = 0
    with contextlib.suppress(ValueError):
        background[:] = 0
    return {"first": background.mean()}


def test_a_stage_cannot_change_the_pictures(demo_folder, tmp_path):
    plain = made(small_plan(demo_folder, rows="frame", timesteps="0::20"), tmp_path / "plain")
    seen = made(small_plan(demo_folder, rows="frame", timesteps="0::20", stages=[scribbling]), tmp_path / "stage")
    assert [row["frame"] for row in seen] == [row["frame"] for row in plain]
    assert all(row["first"] > 10 for row in seen)


@pytest.mark.parametrize("one", [Counting(1).__call__, len, int, "look", None])
def test_what_takes_no_attribute_is_no_stage(one):
    with pytest.raises(SelectionError, match=f"takes attributes, which a {type(one).__name__} does not. Define one"):
        prepare.stage(count="int32")(one)


def test_the_decorator_without_columns_says_what_it_needs():
    with pytest.raises(SelectionError, match=r"names the columns it adds: @nersemble\.prepare\.stage"):

        @prepare.stage
        def bare(image, background, camera, row):
            return {}


@pytest.mark.parametrize(
    "columns",
    [{"a/b": "image"}, {"mask": "picture"}, {"frame": "image"}, {}, {"mask": ["image"]}, {"mask": 5}],
)
def test_columns_that_cannot_be_added_are_refused(columns):
    with pytest.raises(SelectionError, match=r"stage|column"):
        prepare.stage(**columns)


def test_a_stage_of_two_names_for_one_column_is_refused(demo_folder):
    with pytest.raises(SelectionError, match="one name"):
        small_plan(demo_folder, stages=[look, look])


@prepare.stage(done="bool")
def overreaching(image, background, camera, row):
    row["ccm"] *= 0.5
    row["timestep"] = 99
    camera.intrinsics.setflags(write=True)
    for one in (image, background, image.base):
        with contextlib.suppress(ValueError, AttributeError):
            one.flags.writeable = True
            one[:] = 0
    return {"done": True}


@pytest.mark.parametrize("kind", ["timestep", "frame"])
def test_nothing_that_a_stage_writes_to_is_in_the_rows(demo_folder, tmp_path, kind):
    options = {"rows": kind, "timesteps": "0::20", "color_correction": True, "image_format": "png"}
    plain = made(small_plan(demo_folder, **options), tmp_path / "plain")
    plan = small_plan(demo_folder, stages=[overreaching, look], **options)
    for row, before in zip(made(plan, tmp_path / "stage"), plain, strict=True):
        assert {key: row[key] for key in before} == before
        names = row["name"] if kind == "timestep" else [row["name"]]
        assert all(name.endswith(f"-{row['timestep']}") for name in names)


@prepare.stage(level="float64")
def level(image, background, camera, row):
    return {"level": -1 if background is None else background.mean()}


@pytest.fixture
def capture(demo_folder, tmp_path):
    """A copy of a participant, to be changed."""
    shutil.copytree(demo_folder / "240", tmp_path / "capture" / "240")
    return tmp_path / "capture"


def stills(capture):
    return sorted((capture / "240/sequences/BACKGROUND").iterdir())


def test_the_stills_that_stages_see_are_part_of_the_plan(capture, tmp_path):
    options = {"timesteps": "0::20", "stages": [level]}
    plan, without = small_plan(capture, **options), small_plan(capture, timesteps="0::20")
    before = made(plan, tmp_path / "out")
    for still in stills(capture):
        PIL.Image.new("RGB", (128, 188), (9, 9, 9)).save(still)
    assert small_plan(capture, timesteps="0::20") == without
    report = plan.run(tmp_path / "other", workers=1)
    assert "not what it was when the work was planned. Plan again" in str(report)
    again = small_plan(capture, **options)
    assert again.hash != plan.hash
    assert [row["level"] for row in made(again, tmp_path / "out")] == [[9.0, 9.0]] * len(before)
    for still in stills(capture):
        still.unlink()
    assert "BACKGROUND" in str(again.run(tmp_path / "other", workers=1))
    none = small_plan(capture, **options)
    assert [row["level"] for row in made(none, tmp_path / "out")] == [[-1.0, -1.0]] * len(before)


def test_a_still_that_is_none_is_named(capture, tmp_path):
    for still in stills(capture):
        still.write_bytes(b"")
    report = str(small_plan(capture, timesteps="0", stages=[level]).run(tmp_path / "out", workers=1))
    assert "BACKGROUND/image_222200042.jpg is no picture, but 0 bytes of something else" in report
    assert "BytesIO" not in report


def test_stills_are_not_asked_for_without_stages(access):
    small_plan(None)
    assert not [one for one in access.requests if "BACKGROUND" in one.path]
    small_plan(None, stages=[level])
    assert len([one for one in access.requests if "BACKGROUND" in one.path]) == 2


ODD = {
    "leaves": (lambda *_: sys.exit(0), "SystemExit"),
    "too large": (lambda *_: {"value": 1e300}, "1e+300"),
    "a list": (lambda *_: {"value": [1, [2]]}, "no float32"),
}


@pytest.mark.parametrize(("odd", "said"), ODD.values(), ids=ODD)
def test_what_a_stage_may_not_do_is_said_with_its_name(demo_folder, tmp_path, odd, said):
    odd.__name__ = "odd"
    plan = small_plan(demo_folder, timesteps="0", stages=[prepare.stage(value="float32")(odd)])
    told = str(plan.run(tmp_path, workers=1))
    assert "The stage odd" in told
    assert said in told
    assert "240_EXP-1-head_00000_222200042" in told
    with pytest.raises(PrepareError, match="The stage odd"):
        estimate(plan)


ACCESS_URL = "https://user:pass@server.example/s3cret"


def raising(*_):
    raise RuntimeError(f"cannot get {ACCESS_URL}/x")


QUOTING = {
    "raises": (lambda *_: raising(), "int32", "failed at 240_EXP-1-head_00000_222200042: RuntimeError: cannot get a"),
    "a value": (lambda *_: {"value": ACCESS_URL}, "int32", "is wrong: a URL of 240_EXP-1-head_00000_222200042-value"),
    "in a value": (lambda *_: {"value": {"from": [ACCESS_URL]}}, "string", "is wrong: {'from': [a URL]} of 240_EXP"),
    "of a library": (lambda *_: {"value": Unreadable()}, "image", "is no image (ValueError: a URL is not read)"),
}


class Unreadable:
    def __array__(self, *arguments, **options):
        raise ValueError(f"{ACCESS_URL} is not read")


@pytest.mark.parametrize(("quoting", "kind", "said"), QUOTING.values(), ids=QUOTING)
def test_what_may_be_the_access_url_is_not_repeated(demo_folder, tmp_path, quoting, kind, said):
    plan = small_plan(demo_folder, timesteps="0", stages=[prepare.stage(value=kind)(quoting)])
    told = str(plan.run(tmp_path, workers=1))
    assert said in told
    assert "s3cret" not in told
    with pytest.raises(PrepareError, match="a URL") as caught:
        estimate(plan)
    assert "s3cret" not in str(caught.value)


def test_a_stage_that_cannot_be_sent_does_not_tell_the_access_url(demo_folder, tmp_path):
    class Kept:
        def __reduce__(self):
            raising()

    held = Kept()

    @prepare.stage(value="bool")
    def keeps(image, background, camera, row):
        return {"value": held is not None}

    keeps.version = "1"
    with pytest.raises(PrepareError, match="sent to a worker: RuntimeError: cannot get a URL") as caught:
        small_plan(demo_folder, timesteps="0", stages=[keeps]).run(tmp_path, workers=1)
    assert "s3cret" not in str(caught.value)


def test_a_module_that_ends_the_process_of_a_worker_is_said(demo_folder, tmp_path, monkeypatch):
    """As one that asks for something that this process alone has."""
    (tmp_path / "here_alone.py").write_text(
        "import os, sys, nersemble\n@nersemble.prepare.stage(one='int32')\n"
        "def one(*_):\n    return {'one': 1}\n"
        f"if os.getpid() != {os.getpid()}:\n    sys.exit('only there')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import here_alone

    report = small_plan(demo_folder, timesteps="0", stages=[here_alone.one]).run(tmp_path / "out", workers=1)
    assert "cannot be loaded by this worker: SystemExit: only there." in str(report)


@pytest.mark.parametrize(("kind", "value"), [("image", [[1, 2], [3]]), ("string", "\ud800")])
def test_values_that_cannot_be_stored_are_named(demo_folder, tmp_path, kind, value):
    @prepare.stage(value=kind)
    def odd(image, background, camera, row):
        return {"value": value}

    told = str(small_plan(demo_folder, timesteps="0", stages=[odd]).run(tmp_path, workers=1))
    assert f"The stage odd is wrong: what it gave for value at 240_EXP-1-head_00000_222200042 is no {kind}" in told


def test_infinite_values_are_kept(demo_folder, tmp_path):
    @prepare.stage(value="float32")
    def depth(image, background, camera, row):
        return {"value": float("inf")}

    plan = small_plan(demo_folder, timesteps="0", stages=[depth])
    assert made(plan, tmp_path)[0]["value"] == [float("inf")] * 2


def test_what_a_stage_prints_is_no_part_of_a_dry_run(demo_folder, tmp_path):
    (tmp_path / "loud.py").write_text(
        "import nersemble\n@nersemble.prepare.stage(one='int32')\n"
        "def loud(image, background, camera, row):\n    print('LOUD')\n    return {'one': 1}\n"
    )
    words = f"prepare out --participant 240 --sequence EXP-1-head --timesteps 0 --data-dir {demo_folder}"
    done = subprocess.run(
        [sys.executable, "-m", "nersemble", *words.split(), *"--stage loud:loud --dry-run --json".split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert "LOUD" in done.stderr
