"""A plan is pure data: equal inputs give equal plans, and it says every row before anything is decoded."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import replace

import _videos
import numpy as np
import pytest
from _prepared import SMALL, small_plan

from nersemble import VideoDecoder, prepare
from nersemble.capture import VideoFacts
from nersemble.errors import AssetNotFoundError, FrameError, MissingAssetWarning, PrepareError, SelectionError
from nersemble.prepare.names import check_config, config_name_of
from nersemble.prepare.options import check_options
from nersemble.prepare.planning import check_sizes
from nersemble.prepare.unit import cut, digest


def test_equal_inputs_give_equal_plans_however_they_are_written(demo_folder, access):
    written = small_plan(demo_folder, timesteps="0::3")
    otherwise = small_plan(demo_folder, participants="240", timesteps=slice(0, None, 3), cameras=list(SMALL["cameras"]))
    served = small_plan(None, timesteps="0::3")
    assert written.hash == otherwise.hash == served.hash
    assert written.to_json() == served.to_json()


def test_type_checkers_know_what_a_plan_gives():
    given = {
        name: inspect.signature(getattr(prepare.PreparePlan, name)).return_annotation for name in ("run", "verify")
    }
    assert given == {"run": prepare.RunReport.__name__, "verify": prepare.ShardReport.__name__}


@pytest.mark.parametrize(
    "change",
    [
        {"timesteps": "0::4"},
        {"scale": 0.25},
        {"scale": None},
        {"color_correction": True},
        {"image_format": "png"},
        {"quality": 90},
        {"rows": "frame"},
        {"cameras": ["222200037"]},
        {"chunk": 24},
        {"config_name": "other"},
    ],
    ids=str,
)
def test_what_gives_other_shards_is_another_plan(demo_folder, change):
    assert small_plan(demo_folder).hash != small_plan(demo_folder, **change).hash


@pytest.mark.parametrize(
    "change", [{"color_order": "correct_first"}, {"gop": 30}, {"crf": 20}, {"image_format": "jpg"}], ids=str
)
def test_what_makes_no_difference_is_the_same_plan(demo_folder, change):
    assert small_plan(demo_folder).hash == small_plan(demo_folder, **change).hash


def test_a_plan_comes_back_from_its_json_and_names_no_path_of_this_machine(demo_folder):
    plan = small_plan(demo_folder, timesteps="0::3")
    text = plan.to_json()
    assert str(demo_folder) not in text
    read = prepare.PreparePlan.from_json(text)
    assert read == plan
    assert read.to_json() == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda held: held.update(encoder="another"),
        lambda held: held["units"].pop(),
        lambda held: held["options"].update(quality=1),
        lambda held: held.update(config="../elsewhere"),
        lambda held: held.pop("units"),
        lambda held: held.update(format=99),
    ],
)
def test_a_plan_that_was_changed_is_refused(demo_folder, spoil):
    held = json.loads(small_plan(demo_folder).to_json())
    spoil(held)
    with pytest.raises((PrepareError, SelectionError)):
        prepare.PreparePlan.from_json(json.dumps(held))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PrepareError, match="no plan"):
        prepare.PreparePlan.from_json(text)


FORGED = {
    "a sequence that leaves the folder": lambda held: held["units"][0].update(sequence="../../../../x"),
    "a camera that leaves the folder": lambda held: held["units"][0]["videos"][0].__setitem__(0, "../x"),
    "no videos": lambda held: held["units"][0].update(videos=[]),
    "a start that is no number": lambda held: held["units"][0].update(start="0"),
    "a stop before the start": lambda held: held["units"][0].update(stop=0),
    "a participant that is no number": lambda held: held["units"][0].update(participant="240"),
    "frames below none": lambda held: held["units"][0]["videos"][0].__setitem__(1, -5),
    "stages that are none": lambda held: held.update(stages=[5]),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_plan_with_a_hash_of_its_own_and_impossible_units_is_refused(demo_folder, forge):
    held = json.loads(small_plan(demo_folder).to_json())
    forge(held)
    held["hash"] = digest({**held, "hash": None})
    with pytest.raises(PrepareError, match="no plan"):
        prepare.PreparePlan.from_json(json.dumps(held))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": 8}, "Pictures would be 17600 x 25664, 452 megapixels. Pillow, .*, refuses more than 178"),
        ({"scale": 8, "image_format": "webp"}, "WebP holds pictures of up to 16383 pixels a side"),
    ],
    ids=str,
)
def test_pictures_too_large_to_be_read_again_are_not_planned(demo_folder, options, said):
    unit = small_plan(demo_folder, timesteps="0").units[0]
    full = replace(unit, videos=tuple(replace(one, facts=VideoFacts(20, 2200, 3208, 73.0)) for one in unit.videos))
    with pytest.raises(SelectionError, match=said):
        check_sizes([full], check_options(**options))
    check_sizes([full], check_options(**options, rows="video"))
    check_sizes([full], check_options(scale=5))


def test_a_size_too_large_to_be_read_again_is_not_planned(demo_folder):
    with pytest.raises(SelectionError, match="refuses more than 178"):
        small_plan(demo_folder, scale=None, size=(16000, 16000))


def test_an_option_that_is_none_is_one_of_the_call():
    with pytest.raises(TypeError, match=r"plan\(\) got an unexpected keyword argument 'bogus'"):
        prepare.plan("participant_240", bogus=1)


def test_units_cover_every_wanted_timestep_once_and_begin_at_keyframes(demo_folder):
    plan = small_plan(demo_folder)
    seen = [row for unit in plan.units for row in unit.rows(plan.options.wanted, "timestep")]
    most = max(video.facts.num_frames for unit in plan.units for video in unit.videos)
    assert [timestep for timestep, _ in seen] == list(range(most))
    assert len(plan.units) > 2
    assert all(unit.start % 12 == 0 for unit in plan.units)
    assert plan.rows == most
    assert plan.pictures == sum(unit.pictures(plan.options.wanted) for unit in plan.units)


def test_a_video_that_is_shorter_than_the_others_is_in_no_unit_behind_its_end(demo_folder):
    plan = prepare.plan(participants=240, sequences="EXP-1-head", data_dir=demo_folder, chunk=12)
    last = plan.units[-1]
    assert all(video.facts.num_frames > last.start for video in last.videos)
    assert all(unit.videos for unit in plan.units)


def leads(count, gop):
    return np.arange(count) % gop


def test_cuts_lie_at_keyframes():
    starts = cut([leads(430, 30)] * 16, np.arange(430, dtype=np.int32), 96)
    assert all(start % 30 == 0 for start in starts)
    assert 48 <= np.diff(starts).min() <= np.diff(starts).max() <= 145


@pytest.mark.parametrize(("frames", "gop"), [(380, 30), (430, 12), (430, 1), (300, 10), (2000, 30)])
def test_units_are_near_to_equal_so_that_no_worker_is_left_with_a_long_last_one(frames, gop):
    sizes = np.diff([*cut([leads(frames, gop)] * 16, np.arange(frames, dtype=np.int32), 96), frames])
    assert sizes.max() - sizes.min() <= gop
    assert abs(len(sizes) - frames / 96) <= 1.5


def test_a_sequence_of_one_group_of_pictures_is_not_cut():
    """Each part would decode all in front of it again."""
    assert cut([np.arange(1000)] * 16, np.arange(1000, dtype=np.int32), 96) == [0]


def test_groups_longer_than_a_unit_are_units_themselves():
    assert cut([leads(1000, 250)] * 2, np.arange(1000, dtype=np.int32), 96) == [0, 250, 500, 750]


def test_cameras_whose_keyframes_differ_a_little_are_cut_where_little_is_decoded_twice():
    shifted = [np.concatenate([np.arange(3), leads(427, 30)]), leads(430, 30)]
    starts = cut(shifted, np.arange(430, dtype=np.int32), 96)
    assert len(starts) > 2
    twice = sum(int(lead[start]) for start in starts[1:] for lead in shifted)
    assert twice <= 0.05 * 860


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_short_units_of_pictures_that_are_all_keyframes(chunk):
    starts = cut([np.zeros(20, np.int64)], np.arange(20, dtype=np.int32), chunk)
    assert starts == sorted(set(starts))
    sizes = np.diff([*starts, 20])
    assert sizes.min() >= 1
    assert sizes.max() <= max(2, chunk + chunk // 2 + 1)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("50-60", "participant_50-60"),
        ("050 - 060, 7", "participant_50-60,7"),
        ([240, "50-60"], "participant_240,50-60"),
        (240, "participant_240"),
        (None, "all"),
        (range(3), "participant_0,1,2"),
    ],
)
def test_a_config_is_named_as_its_participants_were_written(written, name):
    assert config_name_of(written, "all") == name
    assert check_config(name) == name


def test_a_long_name_is_cut_and_still_its_own():
    names = {config_name_of([*range(100, 200), last], "all") for last in (300, 301)}
    assert len(names) == 2
    assert all(len(check_config(name)) <= 80 for name in names)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ü", "default", "x" * 81, 3])
def test_a_config_name_that_folders_or_the_hub_do_not_take_is_refused(demo_folder, name):
    with pytest.raises(SelectionError, match="config"):
        check_config(name)


@pytest.mark.parametrize(
    "options",
    [
        {"rows": "moments"},
        {"image_format": "gif"},
        {"quality": 0},
        {"quality": 95.5},
        {"scale": 0},
        {"scale": 0.5, "size": (10, 10)},
        {"color_correction": 1},
        {"color_order": "never"},
        {"timesteps": "5:2"},
        {"timesteps": "100000::1"},
        {"chunk": 0},
        {"on_missing": "ignore"},
        {"participants": None, "sequences": None, "cameras": None},
        {"participants": 999},
        {"stages": [3]},
        {"stages": [print]},
        {"data_dir": "https://example.invalid/secret"},
        {"from_cache": True},
    ],
    ids=str,
)
def test_options_that_are_none_are_refused(demo_folder, options):
    with pytest.raises(SelectionError) as found:
        small_plan(demo_folder, **options)
    assert "secret" not in str(found.value)


def test_files_that_are_not_there_are_named_and_left_out(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    (folder / "240/sequences/EXP-1-head/images/cam_222200042.mp4").unlink()
    with pytest.warns(MissingAssetWarning, match="cam_222200042"):
        plan = small_plan(folder)
    assert {video.camera for unit in plan.units for video in unit.videos} == {"222200037"}
    with pytest.raises(AssetNotFoundError, match="cam_222200042"):
        small_plan(folder, on_missing="raise")
    (folder / "240/calibration/camera_params.json").unlink()
    with pytest.raises(AssetNotFoundError, match=r"camera_params\.json"):
        small_plan(folder)


def test_a_video_that_is_none_stops_the_planning(demo_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(demo_folder / "240", folder / "240")
    (folder / "240/sequences/EXP-1-head/images/cam_222200042.mp4").write_text("no video")
    with pytest.raises(FrameError, match="cam_222200042"):
        small_plan(folder)


def test_what_load_dataset_downloaded_can_be_read_from_its_cache(access, monkeypatch, tmp_path, demo_folder):
    import datasets

    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "downloads")
    monkeypatch.setenv("HF_DATASETS_DOWNLOADED_DATASETS_PATH", str(tmp_path / "downloads"))  # of the workers
    with pytest.raises(AssetNotFoundError, match="downloaded"):
        small_plan(None, from_cache=True)
    from nersemble.prepare.job import cache_folder

    shutil.copytree(demo_folder, cache_folder())
    access.reset()
    plan = small_plan(None, from_cache=True)
    assert plan.hash == small_plan(demo_folder).hash
    assert plan.run(tmp_path / "out", workers=1).complete


@pytest.mark.parametrize("name", sorted(_videos.VIDEOS))
def test_what_is_decoded_in_front_of_a_frame_is_what_the_index_says(name, tmp_path):
    with VideoDecoder(_videos.write(tmp_path, name)) as decoder:
        index = decoder.index
        due = [int(packet) - index.start_for(int(packet)) for packet in index.packet_of]
        assert index.leads().tolist() == due
