"""How large and how long a preparation will be, from a few pictures of it that are made and thrown away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..cores import usable_cores
from ..errors import PrepareError
from ..units import format_bytes
from .job import UnitResult
from .plans import PreparePlan
from .run import make_engine
from .scratch import scratch_folder, sweep_scratch
from .target import Target
from .unit import Unit

#: Stretches that are sampled, cameras and moments of each.
PLACES, CAMERAS, MOMENTS = 3, 2, 6


@dataclass(frozen=True)
class PrepareEstimate:
    """What a preparation will take, as far as a sample tells.

    Attributes:
        bytes: Of all shards.
        seconds: With ``workers`` processes on this machine.
        workers: How many of them have something to do.
        pictures: How many pictures were made to find out.
        seconds_each: Of one worker for one picture, by kind of work.
    """

    bytes: int
    seconds: float
    workers: int
    pictures: int
    seconds_each: dict[str, float]

    def __str__(self) -> str:
        hours, minutes = divmod(round(self.seconds / 60), 60)
        spent = f"{hours} h {minutes:02} min" if hours else f"{minutes} min" if minutes else f"{self.seconds:.0f} s"
        return (
            f"about {format_bytes(self.bytes)} in {spent} with {self.workers} worker{'' if self.workers == 1 else 's'}"
        )


def estimate(plan: PreparePlan, workers: int | None = None) -> PrepareEstimate:
    """Make a few pictures of a plan, and reckon from them.

    Args:
        plan: What is to be prepared.
        workers: Processes that it will be made by; by default one for each core of this machine.

    Raises:
        PrepareError: If the sample cannot be made; neither could the rest.
    """
    count = min(workers or usable_cores(), len(plan.units))
    pictures, size = 0, 0
    each: dict[str, float] = {}
    sweep_scratch()
    for result in _made(plan, _spread(plan)):
        pictures += result.pictures
        size += result.bytes
        for kind, seconds in result.seconds.items():
            each[kind] = each.get(kind, 0.0) + seconds
    scale = plan.pictures / pictures
    return PrepareEstimate(
        bytes=round(size * scale),
        seconds=sum(each.values()) * scale / count,
        workers=count,
        pictures=pictures,
        seconds_each={kind: seconds / pictures for kind, seconds in each.items()},
    )


def _made(plan: PreparePlan, units: list[Unit]) -> list[UnitResult]:
    """What comes of units whose shards are thrown away.

    A worker makes them, as it makes all others: a stage reaches neither this process nor its input and output.

    Raises:
        PrepareError: If one cannot be made.
    """
    results: list[UnitResult] = []

    def done(result: UnitResult) -> bool:
        results.append(result)
        target.remove(f"{plan.config}/{result.unit}")  # before the next one is begun, which may be of the same name
        return result.outcome != "failed"

    first = units[0].timesteps(plan.options.wanted, units[0].stop)[0]
    loads = replace(units[0], stop=int(first) + 1)  # what is loaded once, is not counted for every picture
    with scratch_folder("sample") as folder:
        target = Target(folder)
        make_engine("local", 1, {}).run(plan.job(folder), [loads, *units], done)
    failed = next((one for one in results if one.outcome == "failed"), None)
    if failed is not None:
        raise PrepareError(f"A sample of {failed.unit} cannot be made: {failed.reason}")
    return results[1:]


def _spread(plan: PreparePlan) -> list[Unit]:
    """Beginnings of a few units from all over a plan, of some cameras each."""
    places = sorted({len(plan.units) * number // PLACES for number in range(PLACES)})
    units = []
    for number, place in enumerate(places):
        unit = plan.units[place]
        first = number * CAMERAS % len(unit.videos)
        videos = unit.videos[first : first + CAMERAS]
        wanted = unit.timesteps(plan.options.wanted, max(video.facts.num_frames for video in videos))
        if len(wanted):
            units.append(replace(unit, stop=int(wanted[:MOMENTS][-1]) + 1, videos=videos))
    return units
