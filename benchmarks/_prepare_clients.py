"""Processes that prepare pictures, or do a part of it: ``python _prepare_clients.py WHAT``.

What to do comes as JSON on standard input, and what it took goes out as the last line of standard output.  ``kit`` runs
in a Python that has the official kit and not this package.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

#: Decoded pictures that are held while each stage is timed over them.
HELD = 8


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Run a plan on the local engine."""
    from _prepare_data import plan_of

    report = plan_of(**given["plan"]).run(given["out"], workers=given["workers"], progress=False)
    report.raise_if_incomplete()
    return report.as_dict()


def loop(given: dict[str, Any]) -> dict[str, Any]:
    """Run a plan in this process, unit after unit."""
    from _prepare_data import plan_of

    from nersemble.cores import be_worker
    from nersemble.prepare.work import run_unit

    class Loop:
        def run(self, job: Any, units: Sequence[Any], done: Callable[[Any], bool]) -> str:
            for unit in units:
                done(run_unit(job, unit))
            return ""

    plan = plan_of(**given["plan"])
    be_worker()
    report = plan.run(given["out"], engine=Loop(), progress=False)
    report.raise_if_incomplete()
    return report.as_dict()


def stages(given: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of each stage alone, over the frames of a plan, by the calls that a worker makes.

    Decoding is timed in a pass that does nothing else.  The other stages are timed one after the other over ``HELD``
    decoded pictures at a time, so that each finds its input where a worker's would be: outside of the core's cache.
    """
    from _prepare_data import plan_of

    from nersemble.cores import be_worker
    from nersemble.prepare.view import UnitView

    plan = plan_of(**given["plan"])
    be_worker()
    job, clock, pictures = plan.job(given["out"]), _Clock(), 0
    _import_what_is_late(plan.encoder, colour=plan.options.color_correction)
    for unit in plan.units:
        clips = []
        for video in unit.videos:
            path = job.capture.path(unit.asset(video))
            timesteps = [int(one) for one in unit.timesteps(plan.options.wanted, video.facts.num_frames)]
            pictures += len(timesteps)
            with clock("decode"):
                for _ in _decoded(path, timesteps):
                    pass
            view = UnitView(job, unit, video)
            clips.append((view, _finished(path, timesteps, view, plan, clock)))
        with clock("write"):
            _write(job, plan, unit, clips)
    return {"cpu": clock.cpu, "pictures": pictures}


class _Clock:
    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)

    def __call__(self, stage: str) -> _Clock:
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._before = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.cpu[self._stage] += time.process_time() - self._before


def _decoded(path: str, timesteps: list[int]) -> Any:
    from nersemble.opening import open_video

    with open_video(path) as decoder:
        for _, picture in decoder.read_many(timesteps, threads=1):
            yield picture


def _finished(path: str, timesteps: list[int], view: Any, plan: Any, clock: _Clock) -> dict[int, bytes]:
    """The encoded pictures of a video."""
    from nersemble.color import correct_color
    from nersemble.prepare.encode import picture_encoder
    from nersemble.video import resize_picture

    encode, encoded = picture_encoder(plan.options, plan.encoder), []
    source = _decoded(path, timesteps)
    while held := list(itertools.islice(source, HELD)):
        with clock("resize"):
            held = [resize_picture(picture, view.size) for picture in held]
        if plan.options.color_correction:
            with clock("colour"):
                held = [correct_color(picture, view.ccm) for picture in held]
        with clock("encode"):
            encoded += [encode(picture) for picture in held]
    return dict(zip(timesteps, encoded, strict=True))


def _write(job: Any, plan: Any, unit: Any, clips: list[tuple[Any, dict[int, bytes]]]) -> None:
    """Write rows of moments as a worker does."""
    from nersemble.prepare.shard import ShardWriter, features_of

    with (
        job.output.writing(job.shard_name(unit)) as part,
        ShardWriter(part, features_of(plan.options, {}), job.digest_of(unit)) as writer,
    ):
        for timestep in sorted({timestep for _, encoded in clips for timestep in encoded}):
            parts = [(view, encoded[timestep]) for view, encoded in clips if timestep in encoded]
            row = {"participant": unit.participant, "sequence": unit.sequence, "timestep": timestep}
            row["cameras"] = [view.serial for view, _ in parts]
            row["frames"] = [{"bytes": data, "path": f"{timestep:05d}_{view.serial}.jpg"} for view, data in parts]
            row.update({key: [view.cells[key] for view, _ in parts] for key in parts[0][0].cells})
            writer.add(row, sum(len(data) for _, data in parts))


def kit(given: dict[str, Any]) -> dict[str, Any]:
    """The official kit's colour correction of JPG files, which are read and written by OpenCV."""
    import cv2
    import numpy as np
    from nersemble_data.util.color_correction import correct_color

    ccm = np.array(given["ccm"])
    correct_color(np.zeros((2, 2, 3), np.uint8), ccm)
    began, before = time.perf_counter(), time.process_time()
    for path in given["paths"]:
        picture = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        corrected = cv2.cvtColor(correct_color(picture, ccm), cv2.COLOR_RGB2BGR)
        cv2.imwrite(path, corrected, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - before}


def libraries(given: dict[str, Any]) -> dict[str, Any]:
    """Bytes of a process that has imported what a worker imports, and done nothing."""
    import nersemble.engines.worker  # noqa: F401
    from nersemble.cores import be_worker

    be_worker()
    _import_what_is_late(given["encoder"], given["colour"])
    return {"resident": status_of(os.getpid(), "VmRSS")}


def _import_what_is_late(encoder: str, colour: bool) -> None:
    """What a worker imports with its first picture and shard."""
    import pyarrow as pa
    import pyarrow.parquet

    from nersemble.color.compiled import load
    from nersemble.prepare.encode import picture_encoder
    from nersemble.prepare.options import PrepareOptions

    pa.Table.from_pylist([{"a": 1}])  # imports pandas, where it is there
    picture_encoder(PrepareOptions(), encoder)
    if colour:
        load()


def status_of(process: int, field: str) -> int:
    """Bytes that Linux tells of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field + ":")).split()[1])


WORKS = {"run": run, "loop": loop, "stages": stages, "kit": kit, "libraries": libraries}


def main() -> None:
    print(json.dumps(WORKS[sys.argv[1]](json.load(sys.stdin))))


if __name__ == "__main__":
    main()
