"""How long a cluster would take: ``python benchmarks/cluster.py [--data FOLDER] [--nodes 1 10 100] [--cores 16] ...``.

Measures what a frame costs here, fits the model of ``_cluster_model`` to a run of one worker and to one of two, and
lets it predict runs of other units, which are then measured.  At the end it says what the whole data set would take.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _cluster_model import Cluster, Hub, UnitCost, bounds_of_run, fit_slowdown, seconds_of_run
from _prepare_data import DEFAULT, capture_of_sequences, plan_of

from nersemble.cores import usable_cores
from nersemble.engines.local import LocalEngine
from nersemble.layout import SERIALS

VIDEOS, FRAMES_A_VIDEO, ALL_BYTES, CAMERAS = 170_631, 430, 1490e9, 16
MOST_ERROR = 0.10
GBIT = 1e9 / 8


@dataclass(frozen=True)
class Task:
    """What a run makes, and how.

    Attributes:
        cameras: Of the capture.
        timesteps: Of each camera.
        chunk: Moments of a unit.
        workers: That share the units.
        scale: Of the pictures.
    """

    cameras: slice
    timesteps: str
    chunk: int
    workers: int = 1
    scale: float | None = 0.25


FULL = Task(slice(0, 1), "0:90", 30, scale=None)
FITTED = {
    "short": Task(slice(0, 3), "0:180", 36),
    "long": Task(slice(0, 3), "0:180", 90),
    "two": Task(slice(3, 9), "0:180", 36, workers=2),
}
#: No frame that is predicted was fitted to.
PREDICTED = {
    "one later": Task(slice(9, 12), "180:380", 60),
    "two later": Task(slice(9, 16), "180:380", 60, workers=2),
}


@dataclass(frozen=True)
class Run:
    """A run of the local engine.

    Attributes:
        pictures: Of each unit, in the order in which they ended.
        ends: Seconds after the start when each ended.
        stages: Seconds of each kind of work, of all units but the first.
        written: Bytes of all shards.
    """

    pictures: list[int]
    ends: list[float]
    stages: dict[str, float]
    written: int

    @property
    def wall(self) -> float:
        return self.ends[-1]

    @property
    def a_picture(self) -> float:
        """Seconds of one worker for a picture, once it runs."""
        return (self.ends[-1] - self.ends[0]) / sum(self.pictures[1:])

    @property
    def a_unit(self) -> float:
        """Seconds of one worker for a unit, once it runs."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)

    @property
    def start(self) -> float:
        """Seconds of one worker in front of its first unit, what it imports late included."""
        return max(0.0, self.ends[0] - self.a_unit * self.pictures[0] / statistics.mean(self.pictures[1:]))


@dataclass(frozen=True)
class Cost:
    """Seconds of one worker for a picture, and for each video of a unit, however many of its pictures are made."""

    picture: float
    video: float

    @classmethod
    def fit(cls, runs: dict[str, list[Run]]) -> Cost:
        """From runs of the same videos in short and in long units."""
        short, long = (statistics.median(run.a_unit for run in runs[kind]) for kind in ("short", "long"))
        few, many = (statistics.mean(runs[kind][0].pictures[1:]) for kind in ("short", "long"))
        # Neither a picture nor the opening of a video takes less than nothing.
        picture = min(max(0.0, (long - short) / (many - few)), short / few)
        return cls(picture, (short - picture * few) / len(SERIALS[FITTED["short"].cameras]))

    def of(self, plan: Any) -> list[UnitCost]:
        """What the units of a plan cost."""
        wanted = plan.options.wanted
        return [UnitCost(self.picture * unit.pictures(wanted) + self.video * len(unit.videos)) for unit in plan.units]


class Here:
    """Runs on the machine that this script is on."""

    def __init__(self, data: Path, scratch: Path) -> None:
        self.data, self.scratch = capture_of_sequences(data, 1), scratch

    def plan(self, task: Task) -> Any:
        asked = {"timesteps": task.timesteps, "scale": task.scale, "chunk": task.chunk, "color_correction": True}
        return plan_of(str(self.data), cameras=list(SERIALS[task.cameras]), **asked)

    def run(self, plan: Any, workers: int) -> Run:
        results, ends = [], []

        def done(result: Any) -> bool:
            ends.append(time.perf_counter() - began)
            results.append(result)
            return True

        began = time.perf_counter()
        LocalEngine(workers).run(plan.job(self.scratch / "out"), plan.units, done)
        shutil.rmtree(self.scratch / "out")
        failed = [result.reason for result in results if result.outcome != "written"]
        if failed:
            raise SystemExit(f"a unit failed: {failed[0]}")
        stages: dict[str, float] = {}
        for result in results[1:]:
            for stage, spent in result.seconds.items():
                stages[stage] = stages.get(stage, 0) + spent
        return Run([result.pictures for result in results], ends, stages, sum(result.bytes for result in results))


def tell_costs(title: str, runs: Sequence[Run]) -> None:
    """One line: milliseconds a picture of each kind of work, and bytes."""
    middle = statistics.median(run.a_picture for run in runs)
    line = f"{title:<22}"
    known = 0.0
    for stage in ("decode", "resize", "colour", "encode", "write"):
        spent = statistics.median(run.stages.get(stage, 0) / sum(run.pictures[1:]) for run in runs)
        known += spent
        line += f"{spent * 1e3:9.2f}"
    kilobytes = runs[0].written / sum(runs[0].pictures) / 1e3
    print(f"{line}{(middle - known) * 1e3:9.2f}{middle * 1e3:9.2f}{kilobytes:11.0f}")


def measure(here: Here, rounds: int) -> tuple[Cost, Cluster, float]:
    """Fit the model, let it predict; what pictures cost, this machine, and bytes of a picture."""
    tasks = {"full": FULL, **FITTED, **PREDICTED}
    plans = {name: here.plan(task) for name, task in tasks.items()}
    runs: dict[str, list[Run]] = {name: [] for name in tasks}
    here.run(plans["full"], 1)  # not counted: what is compiled is kept, and files come into memory
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, task in tasks.items():
            runs[name].append(here.run(plans[name], task.workers))
    print(
        f"{'ms a frame, 1 worker':<22}{'decode':>9}{'resize':>9}{'colour':>9}{'encode':>9}{'write':>9}{'rest':>9}",
        end="",
    )
    print(f"{'all':>9}{'kB a frame':>11}")
    tell_costs("1/4 size, colour", runs["long"])
    tell_costs("full size, colour", runs["full"])
    cost = Cost.fit(runs)
    machine = Cluster(cores=usable_cores(), start=statistics.median(run.start for run in runs["short"]))
    both = statistics.median(run.wall for run in runs["two"])
    two = replace(machine, cores=2)
    slowdown = fit_slowdown(cost.of(plans["two"]), two, both)
    print(
        f"{cost.picture * 1e3:.2f} ms a frame and {cost.video * 1e3:.0f} ms a video of a unit; a worker starts in "
        f"{machine.start:.2f} s; 2 busy ones take {slowdown:.2f} times as long as 1\n"
    )
    print(f"{'units that the model was not fitted to':<42}{'predicted s':>13}{'measured s':>12}{'error':>8}")
    for name, task in PREDICTED.items():
        plan, workers = plans[name], task.workers
        cluster = replace(machine, cores=workers, slowdown=slowdown if workers > 1 else 1.0)
        predicted = seconds_of_run(cost.of(plan), cluster)
        measured = statistics.median(run.wall for run in runs[name])
        error = predicted / measured - 1
        said = f"{workers} worker{'s' * (workers > 1)}, {len(plan.units)} units, {plan.pictures:,} frames"
        print(f"{said:<42}{predicted:13.1f}{measured:12.1f}{error:+8.1%}")
        print(f"  bar {'met' if abs(error) <= MOST_ERROR else 'MISSED'}: within {MOST_ERROR:.0%}")
    return cost, replace(two, slowdown=slowdown), runs["long"][0].written / sum(runs["long"][0].pictures)


def units_of_all(cost: Cost, bytes_a_picture: float, chunk: int, requests: int) -> list[UnitCost]:
    """The whole data set, all frames, as equal units."""
    a_sequence = max(1, round(FRAMES_A_VIDEO / chunk))
    number = -(-VIDEOS // CAMERAS) * a_sequence
    pictures = VIDEOS * FRAMES_A_VIDEO / number
    work = cost.picture * pictures + cost.video * CAMERAS
    one = UnitCost(work, ALL_BYTES / number, bytes_a_picture * pictures, requests * CAMERAS)
    return [one] * number


def tell_all(units: list[UnitCost], node: Cluster, hub: Hub, numbers: Sequence[int]) -> None:
    """The table of the whole data set: what it takes, and what each resource alone would take at least."""
    written = sum(unit.written for unit in units)
    print(
        f"\n{VIDEOS:,} videos of {FRAMES_A_VIDEO} frames, {ALL_BYTES / 1e9:,.0f} GB, to {written / 1e9:,.0f} GB in "
        f"{len(units):,} shards; hours"
    )
    names = {"decode": "cores", "network": "node network", "server": "server", "upload": "upload", "commits": "commits"}
    print(f"{'':33}at least\n{'nodes':>5}{'run':>9}{'push':>9}{'both':>9}", end=" ")
    print("".join(f"{name:>9}" for name in names) + "   wall of the run, of both")
    for nodes in numbers:
        cluster = replace(node, nodes=nodes)
        run, of_run = seconds_of_run(units, cluster), bounds_of_run(units, cluster)
        of_run["cores"] *= cluster.slowdown
        of_push = hub.seconds(len(units), written)
        push = max(of_push.values())
        line = f"{nodes:5}" + "".join(f"{seconds / 3600:9.2f}" for seconds in (run, push, run + push)) + " "
        least = {name: {**of_run, **of_push}[key] for name, key in names.items()}
        walls = max(list(least)[:3], key=least.get), max(least, key=least.get)
        print(line + "".join(f"{seconds / 3600:9.2f}" for seconds in least.values()) + f"   {', '.join(walls)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--cores", type=int, default=16, help="of a node (16)")
    parser.add_argument("--node-gbit", type=float, default=10.0, help="Gbit/s of a node (10)")
    parser.add_argument("--server-gbit", type=float, default=10.0, help="Gbit/s of the server of the videos (10)")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds of a request (0.05)")
    parser.add_argument("--requests", type=int, default=6, help="requests of a video and unit (6)")
    parser.add_argument("--chunk", type=int, default=96, help="moments of a unit (96)")
    parser.add_argument("--upload-gbit", type=float, default=1.0, help="Gbit/s to the hub (1)")
    parser.add_argument("--commits-an-hour", type=float, default=128, help="that the hub takes (128)")
    parser.add_argument("--shards-a-commit", type=int, default=50, help="files of a commit (50)")
    parser.add_argument("--kilobytes", type=float, help="of a prepared picture; what this capture's have by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cost, machine, size = measure(Here(options.data, Path(scratch)), options.rounds)
    node = Cluster(
        cores=options.cores,
        slowdown=machine.slowdown,
        start=machine.start,
        node_bytes=options.node_gbit * GBIT,
        server_bytes=options.server_gbit * GBIT,
        latency=options.latency,
    )
    hub = Hub(options.upload_gbit * GBIT, options.commits_an_hour, options.shards_a_commit)
    size = options.kilobytes * 1e3 if options.kilobytes else size
    units = units_of_all(cost, size, options.chunk, options.requests)
    tell_all(units, node, hub, options.nodes)


if __name__ == "__main__":
    main()
