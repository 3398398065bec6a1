"""However a selection is written, it means the same; what does not exist is answered with the nearest that does."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nersemble import VideoDecoder, VideoFrame, download, hub, open_folder, plan_download, verify_folder
from nersemble.catalog import parse_catalog, parse_participants
from nersemble.config import NersembleConfig
from nersemble.errors import CatalogError, SelectionError
from nersemble.layout import SEQUENCES, SERIALS, AssetPath
from nersemble.prepare.options import check_options
from nersemble.prepare.run import make_engine
from nersemble.selection import parse_config_name, select
from nersemble.timesteps import Timesteps, parse_timesteps

IDS = (18, 30, 33, 50, 51, 55, 60, 77, 100, 240)


def table(ids=IDS, sequences=SEQUENCES, cell="x"):
    lines = [",".join(["ID", "wears_glasses", "BACKGROUND", *sequences])]
    lines += [",".join([str(p), "", "x", *([cell] * len(sequences))]) for p in ids]
    return "\n".join(lines).encode()


CATALOG = parse_catalog(table())


def ids(written):
    return select(CATALOG, participants=written).participants


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (240, (240,)),
        ("240", (240,)),
        ([240], (240,)),
        ((240,), (240,)),
        (["240"], (240,)),
        ("33,55,77", (33, 55, 77)),
        ([77, 33, "55", 33], (33, 55, 77)),
        ("50-60", (50, 51, 55, 60)),
        (["50-60", 240], (50, 51, 55, 60, 240)),
        ("50 - 60, 240", (50, 51, 55, 60, 240)),
        (range(50, 52), (50, 51)),
        (None, IDS),
        ("all", IDS),
        ("033", (33,)),
        (np.array([33, 240]), (33, 240)),
        (np.array(240), (240,)),
        (np.array(["50-60", "33"]), (33, 50, 51, 55, 60)),
        (pd.Series([33, 240]), (33, 240)),
        ([np.array([33, 50]), np.int64(240)], (33, 50, 240)),
        ((number for number in (240, 33)), (33, 240)),
        ("0-99999999999", IDS),
    ],
)
def test_participants_in_every_written_form(written, expected):
    assert ids(written) == expected


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (241, "Did you mean .*240"),
        ("61-76", "60"),
        ("60-50", "50-60"),
        ("participant", "no participant id"),
        ([], "empty"),
        (True, "cannot be True"),
        (-3, "no participant id"),
        (10**12, "No participant 1000000000000. Did you mean"),
        (2.5, "not float"),
        (np.array(2.5), "not ndarray"),
        (np.array([]), "empty"),
        ("9" * 5000, "no participant id"),
        (f"1-{'9' * 5000}", "no participant id"),
    ],
)
def test_unknown_participants_are_answered_with_the_nearest(written, hint):
    with pytest.raises(SelectionError, match=hint):
        ids(written)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("EMO-*", 4),
        ("SEN-*,FREE", 11),
        (["EXP-1-head", "EXP-?-jaw-?"], 3),
        (np.array(["HAIR", "FREE"]), 2),
        ("*", 26),
        (None, 26),
    ],
)
def test_sequences_by_name_and_glob(written, count):
    chosen = select(CATALOG, 240, written).sequences_of[0][1]
    assert len(chosen) == count
    assert chosen == tuple(s for s in SEQUENCES if s in chosen)


@pytest.mark.parametrize("in_table", ["SEN-07-fond_note_friend", "SEN-07-fond_note_fried"])
@pytest.mark.parametrize("written", ["SEN-07-fond_note_friend", "SEN-07-fond_note_fried", "SEN-07*"])
def test_both_spellings_of_sen_07_select_the_one_that_the_table_has(in_table, written):
    sequences = [in_table if s.startswith("SEN-07") else s for s in SEQUENCES]
    catalog = parse_catalog(table(sequences=sequences))
    chosen = select(catalog, 240, written)
    assert chosen.sequences_of == ((240, (in_table,)),)
    assert chosen.name == "participant_240__sequence_SEN-07-fond_note_friend"


def test_unknown_sequences_and_cameras_name_the_nearest():
    with pytest.raises(SelectionError, match="EMO-1-shout"):
        select(CATALOG, 240, "EMO-1-shout")
    with pytest.raises(SelectionError, match="EXP-1-head"):
        select(CATALOG, 240, "exp-1-head")
    with pytest.raises(SelectionError, match="Did you mean 2222000"):
        select(CATALOG, 240, cameras="222200034")
    for written in (8, "8", np.array([8])):
        with pytest.raises(SelectionError, match=SERIALS[8]):
            select(CATALOG, 240, cameras=written)
    for written in ("9" * 5000, "\u00b2"):  # a superscript two is a digit, and no number
        with pytest.raises(SelectionError, match="The serials are"):
            select(CATALOG, 240, cameras=written)


def test_cameras_come_in_rig_order():
    assert select(CATALOG, 240, cameras=[SERIALS[9], int(SERIALS[2])]).cameras == (SERIALS[2], SERIALS[9])
    assert select(CATALOG, 240, cameras="*").cameras == SERIALS
    for serials in ([SERIALS[9], SERIALS[2]], [int(SERIALS[9]), int(SERIALS[2])]):
        assert select(CATALOG, 240, cameras=np.array(serials)).cameras == (SERIALS[2], SERIALS[9])


@pytest.mark.parametrize("cell", ["x", "m"])
def test_x_and_m_both_mean_present(cell):
    assert parse_catalog(table(cell=cell)).sequences_of[240] == SEQUENCES


@pytest.mark.parametrize("cell", ["", "-", "o", "X", "no"])
def test_anything_else_means_absent(cell):
    assert parse_catalog(table(cell=cell)).sequences_of[240] == ()


def test_a_participants_other_columns_are_no_sequences():
    catalog = parse_catalog(b"ID,gender,wears_glasses,BACKGROUND,EXP-1-head\n7,m,x,x,x\n")
    assert catalog.sequences == ("EXP-1-head",)
    assert catalog.backgrounds == {7}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "ID"),
        (b"a,b\n1,2\n", "ID"),
        (b"ID,b\n1,2\n", "no column is the name of a sequence"),
        (b"ID,EXP-1-head\n", "lists no participant"),
        (b"ID,EXP-1-head\nx,x\n", "line 2 is no number"),
        (b"ID,EXP-1-head\n1,x\n1,x\n", "twice"),
        (b"ID,EXP-1-head\n2147483648,x\n", "line 2 is no number"),
        (b"ID,EXP-1-head\n" + b"9" * 5000 + b",x\n", "line 2 is no number"),
        (b"\xff\xfe\x00junk", "no text"),
        (b"<!doctype html><title>Not here</title>", "web page"),
    ],
)
def test_a_table_that_is_none_gets_a_sentence(data, problem):
    with pytest.raises(CatalogError, match=problem):
        parse_catalog(data)


def test_tables_with_marks_of_other_systems_are_read():
    assert parse_catalog(b"\xef\xbb\xbf" + table().replace(b"\n", b"\r\n")).participants == IDS
    assert parse_participants(b"ID,age\n030,33\n")[1] == {30: {"ID": "030", "age": "33"}}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_tables_of_spreadsheets_of_other_countries_are_read(separator, encoding):
    assert parse_catalog(table().replace(b",", separator.encode())) == CATALOG
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([["ID", "Größe", "Haar, Augen"], [30, "1,78", 'grün; "hell"']])
    columns, rows = parse_participants(text.getvalue().encode(encoding))
    assert columns == ("Größe", "Haar, Augen")
    assert rows == {30: {"ID": "30", "Größe": "1,78", "Haar, Augen": 'grün; "hell"'}}


def test_what_stands_within_cells_is_taken_for_no_separator():
    assert parse_catalog(b'ID,"notes (a; b; c; d)",EMO-1-shout+laugh\n33,hi,x\n').participants == (33,)
    assert parse_catalog(b"ID,EMO-1-shout+laugh\t\t\n33,x\n").participants == (33,)
    assert parse_participants(b'id,"h; w; a; s",gender\n33,1,f\n')[0] == ("h; w; a; s", "gender")


def test_lines_of_participants_may_leave_out_empty_cells_and_lose_none():
    columns, rows = parse_participants(b"ID,gender,age,note\n50,m\n240,f,48,,,\n7\n33,,31,tall\n")
    assert columns == ("gender", "age", "note")
    assert rows[50] == {"ID": "50", "gender": "m", "age": "", "note": ""}
    assert rows[240] == {"ID": "240", "gender": "f", "age": "48", "note": ""}
    assert rows[7]["gender"] == ""
    assert rows[33]["note"] == "tall"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"ID,age,note\n240,48,tall\n50,34,short, too\n", "line 3 has more cells"),
        (b"ID,gender,age\n240,f,48\n50,m", "ends in the middle of a line"),
        (b"ID,gender,age\r\n240,f,48\r\n50,m\r", "ends in the middle of a line"),
        (b'ID,gender,age\n240,"f,48\n50,m,31\n', "a quotation mark is missing"),
        (b'ID,gender,age\n240,f,48\n50,"m\n', "a quotation mark is missing"),
        (b"ID,gender,age\n", "not those of a table"),
        (b"Dear all,\nthe server is down, sorry.\nSee you\n", "not those of a table"),
        (b"name,id\na,1\nb\n", "not those of a table"),
    ],
)
def test_a_table_of_participants_that_would_lose_a_cell_gets_a_sentence(data, problem):
    with pytest.raises(CatalogError, match=problem):
        parse_participants(data)


def test_config_names():
    assert parse_config_name("all") == {}
    assert parse_config_name("participant_33,55__camera_222200037") == {"participants": "33,55", "cameras": "222200037"}
    assert parse_config_name("sequence_SEN-01-cramp_small_danger") == {"sequences": "SEN-01-cramp_small_danger"}
    with pytest.raises(SelectionError, match="participant_240"):
        parse_config_name("partcipant_240")
    with pytest.raises(SelectionError, match="twice"):
        parse_config_name("participant_1__participant_2")


@pytest.mark.parametrize("mistake", ["data.example/s3cr3t/v2", "//data.example/s3cr3t", "240,data.example:1/s3cr3t"])
def test_what_may_be_the_access_url_without_its_scheme_is_not_repeated(mistake):
    wrong = [
        lambda: parse_config_name(mistake),
        lambda: NersembleConfig(name=mistake),
        lambda: select(CATALOG, [mistake]),
    ]
    wrong += [lambda: select(CATALOG, sequences=mistake), lambda: select(CATALOG, cameras=mistake)]
    for call in wrong:
        with pytest.raises(SelectionError, match="slash") as caught:
            call()
        assert "s3cr3t" not in str(caught.value)


@pytest.fixture
def config_id(monkeypatch, demo_folder: Path):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", str(demo_folder))

    def make(name="default", **options):
        return NersembleConfig(name=name, **options).create_config_id({})

    return make


def test_equal_selections_share_a_cache_folder_and_different_ones_do_not(config_id):
    same = [
        config_id("participant_240"),
        config_id(participants=240),
        config_id(participants=["240"]),
        config_id(
            "participant_240__sequence_" + ",".join(["EXP-1-head", "EMO-1-shout+laugh", "SEN-07-fond_note_fried"])
        ),
        config_id("participant_240", cameras=list(reversed(SERIALS))),
        config_id("participant_240", timesteps="0:"),
        config_id("participant_240", scale=1.0),
        config_id("participant_240", color_order="correct_first"),
    ]
    assert len(set(same)) == 1
    others = [
        config_id("participant_50"),
        config_id("participant_240", cameras=SERIALS[:15]),
        config_id("participant_240", view="timestep"),
        config_id("participant_240", timesteps="0:10"),
        config_id("participant_240", scale=0.5),
        config_id("participant_240", size=(138, 201)),
        config_id("participant_240", color_correction=True),
        config_id("participant_240", scale=0.5, color_correction=True),
        config_id("participant_240", scale=0.5, color_correction=True, color_order="correct_first"),
        config_id("participant_240", fetch="on_read"),
    ]
    assert len({same[0], *others}) == len(others) + 1
    # The order changes nothing where there is but one thing to do.
    for options in ({"scale": 0.5}, {"color_correction": True}, {"color_correction": True, "scale": 1}):
        ordered = config_id("participant_240", color_order="correct_first", **options)
        assert ordered == config_id("participant_240", **options)


def test_options_may_be_numbers_and_switches_of_numpy(config_id, demo_folder):
    of_numpy = {"size": np.array([138, 201]), "color_correction": np.True_, "timesteps": np.arange(0, 40, 3)}
    plain = {"size": (138, 201), "color_correction": True, "timesteps": "0:40:3"}
    assert config_id(participants=np.array([240]), **of_numpy) == config_id("participant_240", **plain)
    for scale in (np.float32(0.5), np.float64(0.5)):
        assert config_id("participant_240", scale=scale) == config_id("participant_240", scale=0.5)
    assert config_id("participant_240", scale=np.int64(1)) == config_id("participant_240")
    of_numpy |= {"quality": np.int64(80), "rows": "frame"}
    plain |= {"quality": 80, "rows": "frame"}
    assert check_options(**of_numpy).as_dict() == check_options(**plain).as_dict()
    assert json.dumps(check_options(**of_numpy).as_dict())
    data = open_folder(demo_folder)
    image = data.load_image(240, "EXP-1-head", SERIALS[8], 0, size=(138, 201), color_correction=True)
    options = {"size": np.array([138, 201]), "color_correction": np.True_}
    assert np.array_equal(data.load_image(240, "EXP-1-head", SERIALS[8], np.int64(0), **options), image)


@pytest.mark.parametrize("written", ["no", "False", 1, None, np.int64(0), [True]])
def test_what_is_no_switch_does_not_count_as_on(access, demo_folder, tmp_path, written):
    data = open_folder(demo_folder)
    calls = {
        "color_correction": [
            lambda: data.load_image(240, "EXP-1-head", SERIALS[8], 0, color_correction=written),
            lambda: VideoFrame(color_correction=written),
            lambda: check_options(color_correction=written),
            lambda: NersembleConfig(participants=240, color_correction=written),
        ],
        "dry_run": [lambda: hub.delete("lab/heads", 240, dry_run=written)],
        "deep": [lambda: verify_folder(demo_folder, deep=written)],
        "force": [lambda: plan_download("participant_240", tmp_path / "out", force=written)],
        "recheck": [lambda: plan_download("participant_240", tmp_path / "out", recheck=written)],
    }
    if written is not None:
        calls["progress"] = [lambda: download("participant_240", tmp_path / "out", progress=written)]
    for name, several in calls.items():
        for call in several:
            with pytest.raises(SelectionError, match=f"{name} is True or False, not "):
                call()


def test_counts_may_be_numbers_of_numpy_and_are_whole(access, demo_folder, tmp_path):
    video = demo_folder / str(AssetPath("video", 240, "EXP-1-head", SERIALS[8]))
    calls = {
        "workers": [
            lambda count: download(
                "participant_240", tmp_path / "out", assets="calibration", workers=count, progress=np.False_
            ),
            lambda count: verify_folder(demo_folder, workers=count),
            lambda count: make_engine("local", count, {}),
        ],
        "threads": [lambda count: VideoDecoder(video, threads=count).close()],
    }
    for name, several in calls.items():
        for call in several:
            call(np.int64(2))
            for count in (0, -1, 1.5, "2", True, np.array([1, 2])):
                with pytest.raises(SelectionError, match=rf"{name} is a number (of|from) 1 "):
                    call(count)
    with pytest.raises(SelectionError, match="patience is a number of seconds, not 'x'"):
        download("participant_240", tmp_path / "out", patience="x")
    for rate in ("x", [1], 0):
        with pytest.raises(SelectionError, match="max_rate is a positive number of bytes a second"):
            plan_download("participant_240", tmp_path / "out").run(max_rate=rate)


def test_a_cache_folder_belongs_to_its_root(config_id, demo_folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "240").symlink_to(demo_folder / "240")
    assert config_id("participant_240") == config_id("participant_240", data_dir=str(demo_folder) + "/")
    assert config_id("participant_240") != config_id("participant_240", data_dir=str(tmp_path / "other"))


def test_long_names_stay_within_what_disks_take(config_id):
    assert len(config_id("all", sequences=["EXP-1-head", "EMO-1-shout+laugh"], cameras=SERIALS[:15])) < 150


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "Name what to load"),
        ({"participants": 240, "view": "frames"}, "view is one of"),
        ({"participants": 240, "fetch": "never"}, "fetch is one of"),
        ({"participants": 240, "color_order": "last"}, "color_order is one of resize_first, correct_first"),
        ({"participants": 240, "view": "video", "color_order": "correct_first"}, "color_order apply to frames"),
        ({"participants": 240, "scale": 0}, "scale"),
        ({"participants": 240, "scale": 0.5, "size": (10, 10)}, "not both"),
        *(
            ({"participants": 240, "size": size}, "whole pixels")
            for size in (
                (10.5, 3),
                (10, 0),
                (True, 3),
                ([10], 3),
                "10x3",
                {10: 1, 3: 1},
                np.array([[10, 3], [4, 5]]),
                (1, 2, 3),
            )
        ),
        ({"participants": 240, "view": "video", "scale": 0.5}, "scale apply to frames"),
        ({"name": "participant_240", "participants": 3}, "both name participants"),
        ({"participants": 240, "data_dir": "https://data.example/secret"}, "folder on disk"),
        ({"participants": 240, "data_files": "x.csv"}, "data_files"),
    ],
)
def test_options_that_make_no_sense_get_a_sentence(options, hint):
    with pytest.raises(SelectionError, match=hint) as caught:
        NersembleConfig(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "frames"),
    [
        (None, range(12)),
        ("::", range(12)),
        ("0:9:3", [0, 3, 6]),
        ("0::5", [0, 5, 10]),
        (slice(2, 4), [2, 3]),
        (range(1, 9, 4), [1, 5]),
        (7, [7]),
        ("7", [7]),
        ([9, 1, 1, 4], [1, 4, 9]),
        ("1,4,9", [1, 4, 9]),
        ("0:300:3", [0, 3, 6, 9]),
        ([50], []),
        ("50:", []),
        (np.array([9, 1, 4]), [1, 4, 9]),
        (np.arange(0, 12, 5), [0, 5, 10]),
        (np.array(7), [7]),
        (np.array([7]), [7]),
        (pd.Series([9, 1]), [1, 9]),
    ],
)
def test_timesteps_in_every_written_form(written, frames):
    found = parse_timesteps(written).within(12)
    assert found.tolist() == list(frames)
    assert found.dtype == "int32"


def test_equal_timesteps_are_equal():
    assert parse_timesteps("0:10:3") == parse_timesteps([0, 3, 6, 9]) == parse_timesteps(range(0, 12, 3))
    assert parse_timesteps("0:1") == parse_timesteps(0) == parse_timesteps("0:3:7")
    assert parse_timesteps("0:") == Timesteps()


@pytest.mark.parametrize(
    "written",
    [
        *("-3:", [-1], [2**40], "5:2", "a", [], "", 1.5, True, "0:9:0", {"a": 1}, [1.5], "9" * 5000, f"0:{'9' * 5000}"),
        *(np.array([[0, 3], [6, 9]]), np.array([0.5]), np.array(0.5), np.array([]), np.array([True, False])),
    ],
)
def test_other_timesteps_get_a_sentence(written):
    with pytest.raises(SelectionError, match=r"timesteps"):
        parse_timesteps(written)
