"""Listed files that are not there, and paths that are written otherwise: what calls for many files make of them."""

from __future__ import annotations

import io

import pytest

from nersemble import AssetNotFoundError, SelectionError
from nersemble.demo import DemoOptions
from nersemble.layout import AssetPath

OPTIONS = DemoOptions()
MISSING = sorted(str(asset) for asset in OPTIONS.missing if asset.participant == 55)
HOME = "055/sequences"


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def there(fs):
    return set(fs.find("055")) - set(MISSING)


def test_the_demo_lists_files_that_are_not_there(fs):
    assert 1 <= len(MISSING) < len(there(fs))
    assert set(MISSING) <= set(fs.find("055"))


@pytest.mark.parametrize("kind", ["folder", "pattern", "list"])
def test_get_fetches_all_that_is_there_and_then_names_what_is_not(fs, tmp_path, kind):
    calls = {
        "folder": lambda: fs.get("055/", str(tmp_path / "055") + "/", recursive=True),
        "pattern": lambda: fs.get("055/*", str(tmp_path / "055") + "/", recursive=True),
        "list": lambda: fs.get(fs.find("055"), [str(tmp_path / path) for path in fs.find("055")]),
    }
    with pytest.raises(AssetNotFoundError, match="not there") as caught:
        calls[kind]()
    assert f"nersemble://{MISSING[0]}" in str(caught.value)
    assert "nersemble download" in str(caught.value)
    assert files_in(tmp_path) == there(fs)


def test_get_leaves_out_what_is_not_there_if_asked_to(fs, tmp_path):
    fs.get("nersemble://055/", str(tmp_path / "055") + "/", recursive=True, on_error="omit")
    fs.get(MISSING[0], str(tmp_path / "alone.mp4"), on_error="omit")
    assert files_in(tmp_path) == there(fs)
    with pytest.raises(SelectionError, match="on_error"):
        fs.get("055/", str(tmp_path), recursive=True, on_error="ignore")


def test_one_file_that_is_not_there_is_an_error_of_its_own(fs, tmp_path):
    for get in (fs.get, fs.get_file):
        with pytest.raises(AssetNotFoundError, match=MISSING[0].replace("+", r"\+")) as caught:
            get(MISSING[0], str(tmp_path / "one.mp4"))
        assert "All others" not in str(caught.value)
    assert files_in(tmp_path) == set()


def test_sizes_are_those_of_what_is_there(fs, demo_folder):
    sizes = {path: (demo_folder / path).stat().st_size for path in there(fs)}
    assert fs.du("055", total=False) == sizes
    assert fs.du("055") == sum(sizes.values())
    paths = [*sorted(sizes)[:3], MISSING[0], "metadata_sequences.csv"]
    assert fs.sizes(paths)[:4] == [*(sizes[path] for path in paths[:3]), None]


@pytest.mark.parametrize("path", ["55", "55/calibration", "0055", "nersemble://55/sequences/"])
def test_a_participant_written_with_other_digits_is_suggested(fs, path):
    meant = "nersemble://055" + path.removeprefix("nersemble://").lstrip("0").removeprefix("55").rstrip("/")
    for look in (fs.ls, fs.info):
        with pytest.raises(AssetNotFoundError, match="Did you mean") as caught:
            look(path)
        assert f"Did you mean {meant}?" in str(caught.value)
    assert not fs.exists(path)
    with pytest.raises(AssetNotFoundError) as caught:
        fs.ls("77")
    assert "Did you mean" not in str(caught.value)


def test_a_file_is_written_to_an_open_one(fs, demo_folder, tmp_path):
    path = str(AssetPath("camera_params", 240))
    held = io.BytesIO()
    fs.get_file(path, held)
    assert held.getvalue() == (demo_folder / path).read_bytes()
    with open(tmp_path / "copy", "wb") as file:
        fs.get_file(path, None, outfile=file)
        assert not file.closed
    assert (tmp_path / "copy").read_bytes() == held.getvalue()
    empty = io.BytesIO()
    with pytest.raises(AssetNotFoundError):
        fs.get_file(MISSING[0], empty)
    assert empty.getvalue() == b""
