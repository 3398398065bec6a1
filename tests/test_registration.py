"""Importing the package is enough for datasets and fsspec, in whatever order, and costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from datasets import get_dataset_config_names, load_dataset, load_dataset_builder

import nersemble
from nersemble.layout import SERIALS

LOAD = 'load_dataset("nersemble", "participant_240__camera_222200037", split="train", streaming=True)'


def run(code, cwd=None, check=True):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=cwd)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "imports",
    [
        "import nersemble\nfrom datasets import load_dataset",
        "from datasets import load_dataset\nimport nersemble",
        "import datasets, nersemble\nfrom datasets import load_dataset",
        "import nersemble\nimport fsspec\nimport datasets.load\nfrom datasets import load_dataset",
        "import nersemble, importlib\nimportlib.reload(nersemble)\nfrom datasets import load_dataset",
    ],
)
def test_the_order_of_imports_does_not_matter(access, imports, tmp_path):
    done = run(f"{imports}\nprint(next(iter({LOAD}))['camera'])", cwd=tmp_path)
    assert done.stdout.strip() == "222200037"


def test_it_works_from_the_root_of_a_clone(access):
    root = Path(__file__).parents[1]
    done = run(f"import nersemble\nfrom datasets import load_dataset\nprint(next(iter({LOAD}))['camera'])", cwd=root)
    assert done.stdout.strip() == "222200037"


def test_it_works_with_warnings_as_errors(access, tmp_path):
    code = f"import nersemble\nfrom datasets import load_dataset\nprint(next(iter({LOAD}))['camera'])"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:nersemble", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "222200037", done.stderr


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, nersemble; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(run(code).stdout.split())
    assert not loaded & {"torch", "ray", "typer", "click", "rich", "datasets", "numpy", "pyarrow", "av", "aiohttp"}


def test_registering_pulls_in_no_torch_or_command_line(access):
    code = "import sys, datasets; before = set(sys.modules); import nersemble; print(*(set(sys.modules) - before))"
    new = {name.partition(".")[0] for name in run(code).stdout.split()}
    assert "nersemble" in new
    assert not new & {"torch", "ray", "typer", "click", "rich"}


def test_the_real_config_names_are_listed(access):
    names = get_dataset_config_names("nersemble")
    assert names[:3] == ["participant_50", "participant_55", "participant_240"]
    assert {"sequence_EMO-1-shout+laugh", f"camera_{SERIALS[8]}", "all"} <= set(names)
    assert "sequence_FREE" not in names
    for name in names:
        assert load_dataset_builder("nersemble", name).config.selection.participants


def test_builders_say_what_they_are(access):
    builder = load_dataset_builder("nersemble", "participant_240")
    assert builder.info.features["frame"] == nersemble.VideoFrame()
    assert "kirschstein2023" in builder.info.citation
    assert datasets.get_dataset_split_names("nersemble", "participant_240") == ["train"]


def test_load_dataset_without_the_private_seam_is_the_same_call(access, cache):
    seam = load_dataset("nersemble", "participant_240", view="video", split="train", cache_dir=cache)
    access.reset()
    public = nersemble.load_dataset("participant_240", view="video", split="train", cache_dir=cache)
    assert public.cache_files == seam.cache_files
    assert access.requests == []
    row = next(iter(nersemble.load_dataset("participant_240", split="train", streaming=True)))
    assert row["participant"] == 240
    assert list(nersemble.load_dataset("participant_240", view="video", cache_dir=cache)) == ["train"]


def test_load_dataset_without_the_private_seam_leaves_datasets_as_it_is(access, tmp_path):
    code = """
import datasets, datasets.load
factory = datasets.load.dataset_module_factory
import nersemble
datasets.load.dataset_module_factory = factory
row = next(iter(nersemble.load_dataset("participant_240", split="train", streaming=True)))
print(row["frame"].size)
"""
    assert run(code).stdout.startswith("(")


@pytest.mark.filterwarnings("ignore:unclosed file <_io.BufferedReader name='.*rows.csv'>:ResourceWarning")
def test_other_data_sets_load_as_before(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    # Older releases of `datasets` leave the file open.
    ds = load_dataset("csv", data_files=str(tmp_path / "rows.csv"), split="train", cache_dir=str(tmp_path / "c"))
    assert ds[0] == {"a": 1, "b": 2}


def test_the_feature_survives_a_round_trip_through_its_description():
    for frame in (
        nersemble.VideoFrame(),
        nersemble.VideoFrame(size=(10, 20), color_correction=True, decode=False),
        nersemble.VideoFrame(scale=0.5, color_correction=True, color_order="correct_first"),
    ):
        features = datasets.Features({"frame": frame, "frames": [frame]})
        assert datasets.Features.from_dict(features.to_dict()) == features
        assert datasets.Features.from_arrow_schema(features.arrow_schema) == features


@pytest.mark.parametrize("probe", ["importlib.util.find_spec('datasets')", "importlib.util.find_spec('fsspec')"])
def test_looking_a_library_up_is_not_importing_it(access, tmp_path, probe):
    code = f"import nersemble, importlib.util\n{probe}; {probe}\nfrom datasets import load_dataset\n"
    assert run(f"{code}print(next(iter({LOAD}))['camera'])", cwd=tmp_path).stdout.strip() == "222200037"
