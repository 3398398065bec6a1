"""Rows a second and peak memory of preparing many videos: ``python benchmarks/rows.py``.

A capture of 1,000 videos of 400 frames is made of one short video, linked under each name.  One process prepares it:
every header is read, every row is built and written as Arrow.  Memory is measured in a process for each number of
videos and has to be flat.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FRAMES = 400
SEQUENCES = 10
CAMERAS = 10
LEAST_ROWS_A_SECOND = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, nargs="+", default=[100, 300, 1000], help="multiples of 100")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "VIDEOS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(prepare(options.child[0], int(options.child[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_capture(Path(folder), max(options.videos) // (SEQUENCES * CAMERAS))
        print(f"{'videos':>8}{'rows':>10}{'headers':>10}{'tables':>14}{'all of it':>14}{'peak memory':>14}")
        print(f"{'':>18}{'s':>10}{'rows/s':>14}{'rows/s':>14}{'MiB':>14}")
        for videos in options.videos:
            command = [sys.executable, __file__, "--child", folder, str(videos)]
            run = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{videos:>8,}{run['rows']:>10,}{run['headers']:>10.2f}{run['tables']:>14,.0f}{run['all']:>14,.0f}"
                f"{run['memory']:>14,.0f}"
            )
    print(f"The bar is {LEAST_ROWS_A_SECOND:,} rows/s in one process, and memory flat in the number of videos.")


def make_capture(folder: Path, participants: int) -> None:
    """A capture in the published layout, all of whose videos are one file."""
    import numpy as np

    from nersemble.demo import demo_rig
    from nersemble.demo.encode import write_video
    from nersemble.layout import SEQUENCES as NAMES
    from nersemble.layout import SERIALS, AssetPath

    video = folder / "video.mp4"
    write_video(video, (np.full((32, 32, 3), i % 256, np.uint8) for i in range(FRAMES)), (32, 32), gop=250)
    names = NAMES[:SEQUENCES]
    rows = [",".join(["ID", *names])]
    for participant in range(1, participants + 1):
        rows.append(",".join([str(participant), *("x" for _ in names)]))
        rig = demo_rig(participant, 2200, 3208)
        poses = {serial: matrix.tolist() for serial, matrix in rig.world_to_camera.items()}
        calibration = {
            "camera_params": {"world_2_cam": poses, "intrinsics": rig.intrinsics.tolist()},
            "color_calibration": {serial: matrix.tolist() for serial, matrix in rig.ccm.items()},
        }
        for kind, content in calibration.items():
            path = folder / str(AssetPath(kind, participant))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        for name in names:
            for serial in SERIALS[:CAMERAS]:
                path = folder / str(AssetPath("video", participant, name, serial))
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(video, path)
    (folder / "metadata_sequences.csv").write_text("\n".join(rows) + "\n")


def prepare(folder: str, videos: int) -> dict[str, float]:
    """Prepare the first so many videos in this process, and say what it took."""
    import datasets

    from nersemble.builder import Nersemble
    from nersemble.layout import SERIALS

    datasets.disable_progress_bars()
    participants = videos // (SEQUENCES * CAMERAS)
    with tempfile.TemporaryDirectory() as cache:
        builder = Nersemble(
            cache_dir=cache, data_dir=folder, participants=f"1-{participants}", cameras=list(SERIALS[:CAMERAS])
        )
        begin = time.perf_counter()
        builder.download_and_prepare()
        whole = time.perf_counter() - begin
        rows = builder.info.splits["train"].num_examples
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        begin = time.perf_counter()
        (split,) = builder._split_generators(datasets.DownloadManager())
        headers = time.perf_counter() - begin
        begin = time.perf_counter()
        built = sum(table.num_rows for _, table in builder._generate_tables(**split.gen_kwargs))
        tables = time.perf_counter() - begin
    if not rows == built == videos * FRAMES:
        raise SystemExit(f"{rows} rows were prepared and {built} built, not {videos * FRAMES}")
    return {"rows": rows, "headers": headers, "tables": rows / tables, "all": rows / whole, "memory": memory}


if __name__ == "__main__":
    main()
