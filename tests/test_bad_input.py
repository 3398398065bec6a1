"""Bad input gets a sentence that names what is wrong, never a library's traceback, and never the secret."""

from __future__ import annotations

import json
import os
import shutil
import socket

import pytest
from datasets import load_dataset

import nersemble
from nersemble.demo import DemoServer
from nersemble.demo.handler import DemoHandler
from nersemble.layout import SERIALS
from nersemble.transport import policy

NAME = "participant_240__sequence_EXP-1-head__camera_222200042,222200037"
VIDEO = "240/sequences/EXP-1-head/images/cam_222200042.mp4"


@pytest.fixture
def folder(demo_folder, tmp_path):
    """A small copy of the capture that a test may break."""
    target = tmp_path / "capture"
    shutil.copytree(demo_folder / "240" / "calibration", target / "240" / "calibration")
    for serial in ("222200042", "222200037"):
        path = f"240/sequences/EXP-1-head/images/cam_{serial}.mp4"
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(demo_folder / path, target / path)
    for table in ("metadata_sequences.csv", "metadata_participants.csv"):
        shutil.copy(demo_folder / table, target / table)
    return target


@pytest.fixture(params=["download", "on_read", "streaming", "folder"])
def load(request, folder, monkeypatch, cache):
    """Load from the broken copy in each of the four ways, up to reading the first frames."""
    with DemoServer(folder) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        options = {"split": "train", "cache_dir": cache}
        if request.param == "streaming":
            options["streaming"] = True
        elif request.param == "folder":
            options["data_dir"] = str(folder)
        else:
            options["fetch"] = request.param

        def run(name=NAME, **more):
            return [row["frame"].size for row in load_dataset("nersemble", name, **options, **more)]

        yield run


def edit_json(path, change):
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def test_the_copy_loads_when_nothing_is_broken(load):
    assert len(load()) == 80


def test_a_table_without_its_columns(folder, load):
    (folder / "metadata_sequences.csv").write_text("name,age\nx,3\n")
    with pytest.raises(nersemble.CatalogError, match=r"metadata_sequences\.csv.*no column 'ID'"):
        load()


@pytest.mark.parametrize("name", ["camera_params", "color_calibration"])
@pytest.mark.parametrize("text", ["{", "not json", "[]", "\x00\x01"])
def test_a_calibration_that_is_no_json(folder, load, name, text):
    (folder / "240" / "calibration" / f"{name}.json").write_text(text)
    with pytest.raises(nersemble.CalibrationError, match=rf"240/calibration/{name}\.json"):
        load()


def test_a_calibration_without_its_matrices(folder, load):
    edit_json(folder / "240/calibration/camera_params.json", lambda table: table.pop("intrinsics"))
    with pytest.raises(nersemble.CalibrationError, match="no 'intrinsics'"):
        load()


def test_a_matrix_of_the_wrong_shape(folder, load):
    edit_json(
        folder / "240/calibration/camera_params.json",
        lambda table: table["world_2_cam"].update({"222200042": [[1, 0], [0, 1]]}),
    )
    with pytest.raises(nersemble.CalibrationError, match=r"222200042.*no 4 x 4 matrix"):
        load()


def test_a_number_that_no_matrix_holds(folder, load):
    path = folder / "240/calibration/camera_params.json"
    edit_json(path, lambda table: table["intrinsics"].__setitem__(0, [10**400, 0, 138]))
    with pytest.raises(nersemble.CalibrationError, match=r"intrinsics.*no 3 x 3 matrix of numbers"):
        load()


def test_a_camera_without_a_color_matrix(folder, load):
    edit_json(folder / "240/calibration/color_calibration.json", lambda table: table.pop("222200042"))
    with pytest.raises(nersemble.CalibrationError, match="Camera 222200042 has no colour-correction matrix"):
        load()


def test_a_color_matrix_of_no_known_width(folder, load):
    matrix = [[1.0] * 9] * 3
    edit_json(folder / "240/calibration/color_calibration.json", lambda table: table.update({"222200037": matrix}))
    assert len(load()) == 80
    words = r"Colours of camera 222200037 cannot be corrected by \S*240/calibration/color_calibration\.json: .*\(3, 9\)"
    with pytest.raises(nersemble.CalibrationError, match=words):
        load(color_correction=True)
    assert nersemble.prepare.plan(NAME, data_dir=folder).pictures == 80
    with pytest.raises(nersemble.CalibrationError, match=words):
        nersemble.prepare.plan(NAME, data_dir=folder, color_correction=True)


def test_a_camera_without_a_pose(folder, load):
    edit_json(folder / "240/calibration/camera_params.json", lambda table: table["world_2_cam"].pop("222200037"))
    with pytest.raises(nersemble.CalibrationError, match="Camera 222200037 has no pose"):
        load()


def test_a_missing_calibration_leaves_the_participant_out(folder, load, request):
    (folder / "240/calibration/color_calibration.json").unlink()
    if "streaming" in request.node.callspec.id:
        with pytest.warns(nersemble.MissingAssetWarning, match=r"240/calibration/color_calibration\.json"):
            assert load() == []
        return
    with pytest.raises(nersemble.AssetNotFoundError, match=r"240/calibration/color_calibration\.json"):
        load()


@pytest.mark.parametrize("content", [b"this is a text, not a video\n" * 100, b"\x00" * 5000, b"\xff\xd8\xff\xe0JFIF"])
def test_a_video_that_is_none(folder, load, content):
    (folder / VIDEO).write_bytes(content)
    with pytest.raises(nersemble.FrameError, match=VIDEO):
        load()


@pytest.mark.parametrize(
    "path", [VIDEO, "240/calibration/camera_params.json", "240/calibration/color_calibration.json"]
)
def test_an_empty_file(folder, load, path):
    """Downloads take none; what is read where it lies is not what it should be."""
    (folder / path).write_bytes(b"")
    of_another_kind = nersemble.FrameError if path == VIDEO else nersemble.CalibrationError
    with pytest.raises((of_another_kind, nersemble.TransportError), match=path):
        load()


def test_a_truncated_video(folder, load):
    data = (folder / VIDEO).read_bytes()
    (folder / VIDEO).write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(nersemble.FrameError, match=rf"{VIDEO}.*cut off"):
        load()


def test_a_timestep_that_no_video_has(load, request):
    if "streaming" in request.node.callspec.id:
        with pytest.warns(nersemble.MissingAssetWarning, match="timesteps 9999"):
            assert load(timesteps=[9999]) == []
        return
    with pytest.raises(nersemble.SelectionError, match="lie beyond every selected video"):
        load(timesteps=[9999])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("participant_241", "Did you mean 240"),
        ("participant_240__sequence_EXP-1-heed", "Did you mean EXP-1-head"),
        ("participants", "participant_240"),
        ("sequence_EMO-*", "as an option: sequences"),
        (240, "named by a string"),
    ],
)
def test_an_unknown_config(load, name, hint):
    with pytest.raises(ValueError, match=hint):
        load(name)


def test_a_timestep_out_of_range_is_named(access, demo_folder):
    with pytest.raises(nersemble.FrameError, match=r"no timestep 40: it has 40 frames, 0 to 39"):
        nersemble.VideoFrame().decode_example({"path": str(demo_folder / VIDEO), "timestep": 40})
    with pytest.raises(nersemble.FrameError, match=r"nersemble://240/.* no timestep -1"):
        nersemble.VideoFrame().decode_example({"path": f"nersemble://{VIDEO}", "timestep": -1})


@pytest.mark.parametrize("streaming", [True, False])
def test_no_access_url(streaming, cache):
    with pytest.raises(nersemble.AccessError, match=r"(?s)forms\.gle.*nersemble login.*nersemble demo"):
        load_dataset("nersemble", "participant_240", split="train", streaming=streaming, cache_dir=cache)


def test_a_wrong_url(access, monkeypatch, cache):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", access.url + "/elsewhere")
    with pytest.raises(nersemble.AssetNotFoundError, match="access URL is wrong"):
        load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)
    monkeypatch.setenv("NERSEMBLE_DATA_URL", access.url.rsplit("/", 1)[0] + "/wrong-token")
    with pytest.raises(nersemble.AccessError, match="HTTP 403"):
        load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)


def test_what_came_beside_a_file_that_is_refused_loads_from_the_folder(demo_folder, monkeypatch, tmp_path, cache):
    """As servers answer that may not say what they do not have."""

    class Refusing(DemoHandler):
        def respond(self, path: str) -> None:
            self.send_status(403) if path == VIDEO else super().respond(path)

    selected = {"participants": 240, "sequences": "EXP-1-head"}
    with DemoServer(demo_folder, handler=Refusing) as server:
        monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
        message = rf"(?s){VIDEO} \(HTTP 403\).*`nersemble download`.*data_dir="
        with pytest.raises(nersemble.NersembleError, match=message):
            load_dataset("nersemble", **selected, split="train", cache_dir=cache)
        report = nersemble.download(folder=tmp_path / "data", **selected, progress=False)
    assert [str(asset) for asset in report.failed] == [VIDEO]
    with pytest.warns(nersemble.errors.MissingAssetWarning, match=VIDEO):
        rows = load_dataset(
            "nersemble", **selected, view="video", split="train", cache_dir=cache, data_dir=tmp_path / "data"
        )
    assert len(rows) == 15


def test_a_server_that_is_gone(monkeypatch, cache):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.01)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("NERSEMBLE_DATA_URL", f"http://127.0.0.1:{port}/token")
    with pytest.raises(nersemble.TransportError, match="could not be reached"):
        load_dataset("nersemble", "participant_240", split="train", cache_dir=cache)


def test_a_server_that_goes_away_while_streaming(folder, monkeypatch):
    server = DemoServer(folder)
    server.start()
    monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
    rows = iter(load_dataset("nersemble", NAME, split="train", streaming=True))
    next(rows)
    server.close()
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.01)
    with pytest.raises(nersemble.TransportError, match="nersemble://240/"):
        list(rows)


def test_a_folder_that_is_none(tmp_path, cache):
    with pytest.raises(nersemble.AssetNotFoundError, match="no folder"):
        load_dataset("nersemble", "all", data_dir=str(tmp_path / "nowhere"), cache_dir=cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(nersemble.AssetNotFoundError, match="holds no participant"):
        load_dataset("nersemble", "all", data_dir=str(tmp_path / "empty"), cache_dir=cache)


def test_a_cleaned_cache_says_how_to_go_on(access, cache):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    path = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[0]["frame"]["path"]
    nersemble.opening.close_videos()
    shutil.rmtree(path.split("/240/")[0])
    with pytest.raises(nersemble.AssetNotFoundError, match="reuse_cache_if_exists"):
        ds[0]
    again = load_dataset("nersemble", NAME, split="train", cache_dir=cache, download_mode="reuse_cache_if_exists")
    assert again[0]["frame"].size == (again[0]["width"], again[0]["height"])


def test_calibration_is_read_anew_by_every_load(folder, cache):
    first = load_dataset("nersemble", NAME, data_dir=str(folder), split="train", streaming=True)
    before = next(iter(first))["ccm"]
    edit_json(
        folder / "240/calibration/color_calibration.json", lambda table: table.update({SERIALS[0]: [[2, 0, 0]] * 3})
    )
    after = next(iter(load_dataset("nersemble", NAME, data_dir=str(folder), split="train", streaming=True)))["ccm"]
    assert after == [[2, 0, 0]] * 3 != before


@pytest.mark.parametrize("files", ["x", "x.mp4", ["a.mp4"], {"train": "a.mp4"}])
def test_data_files_are_refused_by_their_name(load, files):
    with pytest.raises(nersemble.SelectionError, match=r"takes no data_files\. Name a folder with data_dir="):
        load(data_files=files)


def test_a_cache_that_cannot_be_written_is_called_so(demo_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(nersemble.StorageError, match=r"cache of datasets cannot be written: .*file.*HF_HOME"):
        load_dataset("nersemble", NAME, data_dir=str(demo_folder), cache_dir=str(tmp_path / "file" / "cache"))


@pytest.mark.parametrize("rest", [25_000, 100, 0])
def test_a_cached_video_that_was_cut_off_is_fetched_again_as_its_error_says(access, cache, demo_folder, rest):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    path = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[39]["frame"]["path"]
    os.truncate(path, rest)
    for read in (lambda: ds[39]["frame"], lambda: ds[:]["frame"]):
        with pytest.raises(nersemble.FrameError, match=r'cut off.*download_mode="reuse_cache_if_exists" fetches'):
            read()
    again = load_dataset("nersemble", NAME, split="train", cache_dir=cache, download_mode="reuse_cache_if_exists")
    assert again[39]["frame"].size == ds[39]["frame"].size


def test_a_folders_video_that_was_cut_off_is_no_loads_to_fetch(folder, cache):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache, data_dir=str(folder))
    os.truncate(folder / VIDEO, 25_000)
    with pytest.raises(nersemble.FrameError, match="cut off") as caught:
        ds[:]["frame"]
    assert "download_mode" not in str(caught.value)
