"""How many bytes there are to fetch: the sizes that are known, and a guess at the others with its error."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..layout import AssetPath
from ..units import format_bytes

#: Bytes of a file whose size is not known and of whose kind none is: the mean of the published 170,631 videos
#: (1,490 GB), and rough guesses.
USUAL = {
    "video": 1_490e9 / 170_631,
    "background": 1.5e6,
    "camera_params": 8e3,
    "color_calibration": 8e3,
    "participants": 5e4,
    "sequences": 5e4,
}
#: How far off a guess without any known size may be, as a share of it.
USUAL_ERROR = 0.35
#: Of how many known sizes a mean is taken before it counts.
ENOUGH = 2
#: 95 % of a normal distribution.
Z = 1.96


@dataclass(frozen=True)
class Estimate:
    """Bytes to fetch.

    Attributes:
        bytes: The sum of known sizes and guesses.
        error: Half the width of its 95 % interval, 0 if every size is known.
        known: Files whose size is known.
        unknown: Files whose size is guessed.
    """

    bytes: int
    error: int
    known: int
    unknown: int

    def __str__(self) -> str:
        if not self.unknown:
            return f"{format_bytes(self.bytes)}"
        return f"about {format_bytes(self.bytes)}, give or take {format_bytes(self.error)}"


class SizeModel:
    """Guesses sizes from the sizes known of files of the same kind and, for videos, of the same sequence."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._known = sizes
        groups: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for path, size in sizes.items():
            asset = AssetPath.parse(path)
            if asset is not None:
                groups[asset.kind, None].append(size)
                if asset.kind == "video":
                    groups[asset.kind, asset.sequence].append(size)
        self._facts = {group: _mean_and_deviation(known) for group, known in groups.items() if len(known) >= ENOUGH}

    def group(self, asset: AssetPath) -> tuple[str, str | None] | None:
        """What a guess rests on: the sequence's videos, the kind's files, or nothing known."""
        for group in ((asset.kind, asset.sequence), (asset.kind, None)):
            if group in self._facts:
                return group
        return None

    def guess(self, asset: AssetPath) -> float:
        """Bytes of a file, known or guessed."""
        known = self._known.get(str(asset))
        if known is not None:
            return known
        group = self.group(asset)
        return self._facts[group][0] if group else USUAL[asset.kind]

    def total(self, assets: Iterable[AssetPath], held: Mapping[AssetPath, int]) -> Estimate:
        """Bytes of files, less those held of them already.

        The error of a sum of ``n`` guesses from a sample of ``m`` with deviation ``s`` is ``z s sqrt(n + n^2 / m)``:
        that of the files about their mean, and that of the mean.
        """
        known = unknown = 0
        total = 0.0
        guessed: dict[tuple[str, str | None] | None, list[float]] = defaultdict(lambda: [0, 0.0])
        for asset in assets:
            size = self._known.get(str(asset))
            if size is None:
                unknown += 1
                size_guess = self.guess(asset)
                tally = guessed[self.group(asset)]
                tally[0] += 1
                tally[1] += size_guess
            else:
                known += 1
                size_guess = size
            total += max(size_guess - held.get(asset, 0), 0)
        variance = systematic = 0.0
        for group, (count, size_sum) in guessed.items():
            if group is None:
                systematic += USUAL_ERROR * size_sum
            else:
                _, deviation, sample = self._facts[group]
                variance += deviation**2 * (count + count**2 / sample)
        return Estimate(round(total), round(systematic + Z * math.sqrt(variance)), known, unknown)


def choose_sample(assets: Sequence[AssetPath], count: int) -> list[AssetPath]:
    """Files to ask the sizes of: as many of each sequence or kind as its share, at least one of each while they last.

    The same files give the same sample.
    """
    groups: dict[tuple[str, str | None], list[AssetPath]] = defaultdict(list)
    for asset in assets:
        groups[asset.kind, asset.sequence].append(asset)
    shuffled = random.Random(0)
    chosen: list[AssetPath] = []
    ranked: list[tuple[float, AssetPath]] = []
    for members in groups.values():
        picked = shuffled.sample(members, min(count, len(members)))
        ranked += [((place + 0.5) / len(members), asset) for place, asset in enumerate(picked)]
        chosen.append(picked[0])
    chosen = chosen[:count]
    first = set(chosen)
    ranked.sort()
    return chosen + [asset for _, asset in ranked if asset not in first][: count - len(chosen)]


def _mean_and_deviation(sizes: Sequence[int]) -> tuple[float, float, int]:
    mean = sum(sizes) / len(sizes)
    # Where all of a small sample are alike, the next may still differ a little.
    least = 0.05 * mean
    spread = math.sqrt(sum((size - mean) ** 2 for size in sizes) / (len(sizes) - 1))
    return mean, max(spread, least), len(sizes)
