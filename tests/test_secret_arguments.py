"""What a caller gives by mistake, and looks like the access URL, is in no error: in Python, whatever the argument."""

from __future__ import annotations

import inspect
import pickle
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from _pushing import SMALL, allow_hubs, small_shards
from hub import Hub

import nersemble
from nersemble.errors import NersembleError
from nersemble.hub import retry
from nersemble.layout import SERIALS
from nersemble.transport import policy

SECRET = "s3cr3t-word"
URL = f"https://user:{SECRET}@data.example/v2/{SECRET}"
#: As callers may have it: alone, in a list, within other text, as bytes, as a path, and with a comma within.
GIVEN: list[Any] = [URL, [URL], f"see {URL}, please", URL.encode(), Path(URL), f"{URL},{SECRET}", URL.upper()]
VIDEO = f"240/sequences/EXP-1-head/images/cam_{SERIALS[8]}.mp4"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """What a URL leads to is not there, and not worth the usual pauses between tries."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(retry, "WAITS", (0.01,) * len(retry.WAITS))


def shown_by(call: Callable[[], Any]) -> str:
    """Everything that Python shows of what a call raises, warns of and returns."""
    shown = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            shown.append(repr(call()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not show the URL
            shown.append("".join(traceback.format_exception(error)))
            shown += [repr(error), repr(error.args)]
            if isinstance(error, NersembleError):
                shown.append(pickle.dumps(error).decode("latin1"))
    return "\n".join([*shown, *(str(one.message) for one in caught)])


def each_argument(call: Callable[..., Any], **usual: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A call for each of its arguments and each way to give the URL as that."""
    parameters = inspect.signature(call).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    # Functions that are called back have words of their own.
    names = [one.name for one in parameters if one.kind not in kinds and one.name not in ("watch", "on_file")]
    for name in {**dict.fromkeys(names), **usual}:
        for number, value in enumerate(GIVEN):
            yield f"{name}[{number}]", lambda name=name, value=value: call(**{**usual, name: value})


def leaks(calls: Iterator[tuple[str, Callable[[], Any]]]) -> dict[str, list[str]]:
    """The calls that show the secret, with the lines that do."""
    shown = {name: shown_by(call).splitlines() for name, call in calls}
    found = {name: [line for line in lines if SECRET in line.lower()] for name, lines in shown.items()}
    return {name: lines for name, lines in found.items() if lines}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made under such a name is made in a folder of the test."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


CONFIG = {
    "participants": 240,
    "sequences": "EXP-1-head",
    "cameras": SERIALS[8],
    "view": "frame",
    "timesteps": "0:2",
    "scale": None,
    "size": None,
    "color_correction": False,
    "color_order": "resize_first",
    "fetch": "on_read",
    "on_missing": "warn",
}


def test_no_argument_of_a_load_is_shown(access, cache):
    def load(name: Any = None, **options: Any) -> Any:
        return nersemble.load_dataset(name, split="train", streaming=True, **options)

    def load_by_datasets(name: Any = None, **options: Any) -> Any:
        return datasets.load_dataset("nersemble", name, split="train", streaming=True, cache_dir=cache, **options)

    def named(name: Any, **options: Any) -> Any:
        return nersemble.load_dataset(f"participant_{name}", split="train", streaming=True)

    def prepared(**options: Any) -> Any:
        return nersemble.load_dataset("participant_240", fetch="on_read", **{"cache_dir": cache, **options})

    handed_on = {"split": "train", "download_mode": None, "verification_mode": None, "data_files": None}
    assert leaks(each_argument(prepared, **handed_on, cache_dir=cache)) == {}
    for call in (load, load_by_datasets):
        assert leaks(each_argument(call, **CONFIG, data_dir=None)) == {}
    assert leaks(each_argument(named, name="240")) == {}
    assert leaks(each_argument(nersemble.VideoFrame)) == {}


def test_no_argument_of_a_plan_or_of_its_shards_is_shown(demo_folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder, plan = small_shards(demo_folder)
    usual: dict[str, Any] = {**SMALL, "data_dir": demo_folder, "rows": "timestep", "size": None, "quality": 90}
    usual |= {"image_format": "jpeg", "gop": 12, "crf": 16, "color_correction": False, "color_order": "resize_first"}
    assert leaks(each_argument(nersemble.prepare.plan, **usual)) == {}
    run = {"folder": str(folder), "engine": "local", "workers": 1, "progress": False, "recheck": False}
    assert leaks(each_argument(plan.run, **run)) == {}
    assert leaks(each_argument(plan.verify, folder=str(folder))) == {}
    assert leaks(each_argument(nersemble.prepare.load_plan, place=str(folder))) == {}
    assert leaks(each_argument(nersemble.prepare.stage, columns={"mask": "image"})) == {}


def test_no_argument_of_a_push_or_a_deletion_is_shown(hub: Hub, demo_folder, monkeypatch):
    allow_hubs(hub, monkeypatch)
    folder, plan = small_shards(demo_folder)
    common = {"token": hub.user("alice"), "endpoint": hub.url, "progress": False, "repo_id": "alice/faces"}
    pushed = {**common, "plan": plan, "folder": str(folder), "dry_run": True}
    assert leaks(each_argument(nersemble.hub.push, **pushed)) == {}
    described = {name: value for name, value in pushed.items() if name not in ("progress", "dry_run")}
    assert leaks(each_argument(nersemble.hub.plan_push, **described)) == {}
    assert leaks(each_argument(nersemble.hub.delete, **common, participants=240, dry_run=True)) == {}
    assert hub.repos == {}


def test_no_argument_of_a_download_or_of_a_folder_is_shown(access, demo_folder, tmp_path):
    usual = {"participants": 240, "sequences": "EXP-1-head", "cameras": SERIALS[8]}
    planned = {**usual, "folder": str(tmp_path / "data"), "selection": None}
    assert leaks(each_argument(nersemble.plan_download, **planned)) == {}
    assert leaks(each_argument(nersemble.download, **planned, progress=False)) == {}
    assert leaks(each_argument(nersemble.folder_status, folder=str(demo_folder))) == {}
    assert leaks(each_argument(nersemble.verify_folder, folder=str(demo_folder), **usual)) == {}
    assert leaks(each_argument(nersemble.open_folder)) == {}
    data = nersemble.open_folder(demo_folder)
    shot = {"participant": 240, "sequence": "EXP-1-head", "camera": SERIALS[8]}
    for call in (data.sequences, data.camera_calibration, data.camera_rig, data.color_calibration):
        assert leaks(each_argument(call, participant=240)) == {}
    assert leaks(each_argument(data.cameras, participant=240, sequence="EXP-1-head")) == {}
    assert leaks(each_argument(data.num_frames, **shot)) == {}
    assert leaks(each_argument(data.load_image, **shot, timestep=0)) == {}
    assert leaks(each_argument(data.background, participant=240, camera=SERIALS[8])) == {}


def test_no_argument_of_what_stands_alone_is_shown(access, demo_folder):
    files = nersemble.NersembleFileSystem()
    for call in (files.info, files.ls, files.cat_file, files.open, files.glob):
        assert leaks(each_argument(call, path="240")) == {}
    assert leaks(each_argument(nersemble.NersembleFileSystem, folder=None)) == {}
    with nersemble.VideoDecoder(str(demo_folder / VIDEO)) as video:
        assert leaks(each_argument(video.get_frame_at, timestep=0)) == {}
        assert leaks(each_argument(video.get_frames_at, timesteps=[0])) == {}
    assert leaks(each_argument(nersemble.VideoDecoder, source=str(demo_folder / VIDEO))) == {}
    rig = nersemble.open_folder(demo_folder).camera_rig(240)
    assert leaks(iter([("camera", lambda: rig[URL])])) == {}
    assert leaks(each_argument(nersemble.resize_intrinsics)) == {}
    assert leaks(each_argument(nersemble.correct_color)) == {}


#: The URL as people write it who leave out its scheme, with a login, a port or an address.
BARE = [f"data.example/{SECRET}", f"user:{SECRET}@data.example/v2", f"data.example:8443/{SECRET}", f"10.0.0.1/{SECRET}"]
#: What is copied along with it.
COPIED = [f" data.example/{SECRET}", f"'data.example/{SECRET}'", f"<data.example/{SECRET}>", f"//data.example/{SECRET}"]
COPIED += [f"NERSEMBLE_DATA_URL=data.example/{SECRET}", f"data.example?token={SECRET}", f"data.example#{SECRET}"]


@pytest.mark.parametrize("given", [*BARE, *COPIED, f"localhost:8000/{SECRET}", Path(f"DATA.example/{SECRET}/v2")])
def test_no_path_is_shown_that_may_be_the_url_without_its_scheme(given, cache):
    def load(data_dir: Any) -> Any:
        return nersemble.load_dataset("participant_240", split="train", data_dir=data_dir, cache_dir=cache)

    calls = [load, nersemble.open_folder, nersemble.VideoDecoder, nersemble.folder_status, nersemble.verify_folder]
    for call in calls:
        shown = shown_by(lambda call=call: call(given))
        assert SECRET not in shown
        assert "AssetNotFoundError" in shown
        assert "`nersemble login`" in shown


@pytest.mark.parametrize(
    "path", ["240/a.mp4", "../data.example/a", "./data.example/a", "kit_v1.2/a", "here.is/a", "a.b"]
)
def test_other_paths_that_are_not_there_are_shown(path):
    Path("here.is").mkdir()
    for call in (nersemble.open_folder, nersemble.VideoDecoder, nersemble.folder_status):
        with pytest.raises(nersemble.AssetNotFoundError, match=path.lstrip("./")):
            call(path)


def test_a_video_that_is_there_is_read_whatever_its_name(demo_folder):
    for name in ("data.example#1.mp4", "cam:1\\2.mp4"):
        shutil.copyfile(demo_folder / VIDEO, name)
        with nersemble.VideoDecoder(name) as video:
            assert video.get_frame_at(0).any()


COMMANDS = """
import contextlib, io, sys
from nersemble.cli.app import main
url = sys.stdin.read()
for words in sys.argv[1].split(";"):
    sys.argv[1:] = [word.replace("URL", url) for word in words.split()]
    with contextlib.suppress(SystemExit):
        main()
"""
WORDS = """list URL;list --participant URL;URL;download out URL;download URL;status URL;verify URL;list --URL
prepare out --push URL;prepare out --participant 240 --timesteps URL;prepare URL
prepare out --engine-option URL;prepare out --stage URL
push out URL;push URL x;push x --delete URL;push out x -m URL;push out x --token-file URL;demo --folder URL;login URL
autoload URL;--URL"""


def test_no_word_of_a_command_is_shown(environ):
    words = WORDS.replace("\n", ";")
    told = {"input": URL, "env": environ, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, "-c", COMMANDS, words], **told)
    assert done.stderr.count("Error: An access URL does not belong on the command line") == words.count(";") + 1
    assert SECRET not in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("'https://a/b' is no id.", "a URL is no id."),
        ("not ['https://a/b', 2].", "not [a URL, 2]."),
        ("no folder /home/me/https:/a/b", "no folder /home/me/a URL"),
        ("not b'HTTP://a/b'.", "not a URL."),
        ("at https://huggingface.co/settings/tokens, then", "at https://huggingface.co/settings/tokens, then"),
        ("at https://huggingface.co/settings/tokens/../../x", "at a URL"),
        ("https://huggingface.co/datasets/a/b", "a URL"),
        ("s3://bucket/x and nersemble://240", "s3://bucket/x and nersemble://240"),
    ],
)
def test_every_error_and_warning_says_a_url_in_its_place(said, wanted):
    for kind in (nersemble.SelectionError, nersemble.AccessError, nersemble.StorageError, nersemble.StageWarning):
        error = kind(said)
        assert (str(error), error.args, str(pickle.loads(pickle.dumps(error)))) == (wanted, (wanted,), wanted)
