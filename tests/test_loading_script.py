"""The loading script: used by datasets 3.6, refused by later ones, which do not run scripts."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import pytest
from datasets import load_dataset
from packaging.version import Version

from nersemble.demo import read_identity

SCRIPT = Path(__file__).parents[1] / "loading_script" / "nersemble.py"


def test_the_script_serves_the_same_rows_where_scripts_still_run(access, tmp_path):
    script = str(shutil.copy(SCRIPT, tmp_path / "nersemble.py"))
    if Version(datasets.__version__) >= Version("4"):
        with pytest.raises(RuntimeError, match="no longer supported"):
            load_dataset(script, "participant_240")
        return
    options = {"split": "train", "trust_remote_code": True}
    for row in (
        next(iter(load_dataset(script, "participant_240", streaming=True, **options))),
        load_dataset(script, "participant_240", cache_dir=str(tmp_path / "cache"), **options)[0],
    ):
        found = read_identity(row["frame"])
        assert (found.participant, found.camera, found.timestep) == (240, row["camera"], 0)
