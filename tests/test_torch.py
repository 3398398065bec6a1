"""PyTorch: formats and DataLoader workers.  Runs where torch is installed on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import load_dataset
from torch.utils.data import DataLoader

import nersemble
from nersemble.demo import read_identity

NAME = "participant_240__sequence_EXP-1-head"


def identities(batch):
    for picture, camera, timestep in zip(batch["frame"], batch["camera"], batch["timestep"], strict=True):
        seen = read_identity(picture.permute(1, 2, 0).numpy())
        yield (seen.camera, seen.timestep) == (camera, int(timestep))


def test_the_torch_format_gives_tensors(access, cache):
    row = load_dataset("nersemble", NAME, split="train", cache_dir=cache).with_format("torch")[5]
    assert row["frame"].dtype == torch.uint8
    assert row["frame"].shape == (3, row["height"], row["width"])
    assert row["intrinsics"].shape == (3, 3)
    assert row["world_to_camera"].shape == (4, 4)
    assert row["ccm"].shape == (3, 3)


def test_rows_of_tensors_make_cameras(access, cache):
    frames = load_dataset("nersemble", NAME, split="train", cache_dir=cache).with_format("torch")
    moments = load_dataset("nersemble", NAME, view="timestep", split="train", cache_dir=cache).with_format("torch")
    rig = nersemble.CameraRig.from_row(moments[0])
    camera = nersemble.Camera.from_row(frames[0])
    assert np.array_equal(rig[frames[0]["camera"]].intrinsics, camera.intrinsics)
    points = torch.zeros(2, 3, dtype=torch.float64)
    assert np.array_equal(camera.project(points), camera.project(points.numpy()))
    with pytest.raises(nersemble.CalibrationError, match="take one row"):
        nersemble.Camera.from_row(frames[:2])
    with pytest.raises(nersemble.CalibrationError, match="grad"):
        camera.project(points.requires_grad_())


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("fetch", ["download", "on_read"])
def test_loader_workers_read_the_right_frames(access, cache, fetch, method):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache, fetch=fetch).with_format("torch")
    ds[0]  # the parent reads first
    ds = ds.select(range(0, len(ds), 11))
    loader = DataLoader(ds, batch_size=4, shuffle=True, num_workers=2, multiprocessing_context=method, timeout=120)
    right = [good for batch in loader for good in identities(batch)]
    assert len(right) == len(ds)
    assert all(right)


def test_loader_workers_share_a_stream(access):
    ds = load_dataset("nersemble", NAME, split="train", streaming=True, timesteps="::20").with_format("torch")
    next(iter(ds))
    loader = DataLoader(ds, batch_size=4, num_workers=2, timeout=120)
    seen = []
    for batch in loader:
        assert all(identities(batch))
        seen += list(zip(batch["camera"], batch["timestep"].tolist(), strict=True))
    assert len(seen) == len(set(seen)) == 32


def test_frames_come_as_tensors_channels_first(access, cache):
    ds = load_dataset("nersemble", NAME, split="train", cache_dir=cache)
    path = ds.cast_column("frame", nersemble.VideoFrame(decode=False))[0]["frame"]["path"]
    with nersemble.VideoDecoder(path) as decoder:
        one = decoder.get_frame_at(4, as_tensor=True)
        assert one.dtype == torch.uint8
        assert one.shape == (3, decoder.height, decoder.width)
        assert np.array_equal(one.permute(1, 2, 0).numpy(), decoder.get_frame_at(4))
        many = decoder.get_frames_at([9, 4], as_tensor=True)
        assert many.shape == (2, 3, decoder.height, decoder.width)
        assert torch.equal(many[1], one)
        some = decoder.get_frames_in_range(3, 9, 2, as_tensor=True)
        assert [read_identity(frame.permute(1, 2, 0).numpy()).timestep for frame in some] == [3, 5, 7]
        one += 1  # its own memory
        assert not torch.equal(decoder.get_frame_at(4, as_tensor=True), one)


def test_torch_takes_a_copy_of_a_camera_without_a_warning():
    camera = nersemble.Camera(np.eye(3), np.eye(4), 4, 3)
    tensor = torch.tensor(camera.intrinsics)
    tensor[0, 0] = 7
    assert camera.intrinsics[0, 0] == 1
