"""What the card of a pushed data set says in words: an introduction, a section for each config, and what to cite."""

from __future__ import annotations

import re

from ..access import ACCESS_FORM
from ..prepare import PreparePlan
from ..units import format_bytes
from .report import told_ids

#: A section, by its config.
SECTION = re.compile(r"<!-- nersemble: config (\S+) -->\n.*?<!-- nersemble: end of config -->\n", re.DOTALL)

#: What Markdown takes for markup; underscores are none within a word.
_MARKS = re.compile(r"[\\`*<|\[~&]|(?<![^\W_])_|_(?![^\W_])")

INTRODUCTION = f"""
# NeRSemble v2, prepared

> **This shows people's faces. It must stay private**, and only people whom the data set's authors gave access may see
> it. Do not publish it, do not pass it on, and do not try to find out who the people are.

Pictures of the [NeRSemble v2](https://tobias-kirschstein.github.io/nersemble/) multi-view head videos, prepared with
the Python package `nersemble`. The people in it can take their consent back. This removes one of them from this data
set, with its history: `nersemble push OWNER/NAME --delete ID`.

## Terms

The terms of the NeRSemble data set go for everything here. They are those that were agreed to when access was asked
for: {ACCESS_FORM}

## Columns

Rows of a config are in the order participant, sequence (by name), time. Pictures are encoded files in stock columns of
`datasets`, which need no other package to be read. Clips, in a column `video`, need
[torchcodec](https://github.com/meta-pytorch/torchcodec) as well, or torchvision where `datasets` is older than 4.0.

| Column | Holds |
|---|---|
| `participant`, `sequence` | the participant's id, and the sequence's name |
| `camera`, `cameras` | serials of cameras |
| `timestep`, `timesteps` | 0-based numbers of frames in the published videos |
| `frame`, `frames` | pictures |
| `video`, `num_frames`, `fps` | a clip, how many frames it has, and how many a second |
| `width`, `height` | size of the pictures in pixels |
| `intrinsics` | K, 3 x 3, in pixels of these pictures: it follows their size |
| `world_to_camera` | 4 x 4 rigid transform from the world to the camera, not its inverse |
| `ccm` | the camera's colour-correction matrix, as published |

Cameras follow OpenCV: +x right, +y down, +z into the scene, and (0, 0) is the centre of the top-left pixel.
`ccm` is what turns the camera's colours into corrected ones; where the table of a config says that colours are
corrected, it has been applied already.
"""

CITATION = """
## Citation

```bibtex
@article{kirschstein2023nersemble,
    author = {Kirschstein, Tobias and Qian, Shenhan and Giebenhain, Simon and Walter, Tim and Nie\\ss{}ner, Matthias},
    title = {NeRSemble: Multi-View Radiance Field Reconstruction of Human Heads},
    journal = {ACM Transactions on Graphics},
    volume = {42},
    number = {4},
    articleno = {161},
    year = {2023},
    doi = {10.1145/3592455},
}
```
"""


def section(plan: PreparePlan, size: int, *, incomplete: bool) -> str:
    """The section of a config: how it was made, and what it holds."""
    options = plan.options
    resized = f"scaled by {options.scale}" if options.scale else ""
    resized = f"{options.size[0]} x {options.size[1]}" if options.size else resized
    coded = options.image_format + (f", quality {options.quality}" if options.image_format != "png" else "")
    clips = f"H.264, a keyframe every {options.gop} frames, crf {options.crf}"
    kinds = {"frame": "a picture", "timestep": "a moment, with all its cameras", "video": "a clip of one camera"}
    order = options.color_order.replace("_", " ")
    colors = f"yes, {order}" if options.color_correction and resized else "yes" if options.color_correction else "no"
    stages = ", ".join(f"{told['name']} ({', '.join(told['columns'])})" for told in plan.stages_told)
    facts = {
        "A row is": kinds[options.rows],
        "Rows": f"{plan.rows:,}",
        "Pictures": f"{plan.pictures:,}",
        "Shards": f"{len(plan.units):,}, {format_bytes(size)}",
        "Participants": f"{len(plan.participants):,}: {told_ids(plan.participants)}",
        **{f"Selected {name}": value for name, value in plan.selected.items()},
        "Timesteps": options.timesteps,
        "Size": resized or "as published",
        "Colours corrected": colors,
        "Encoded as": clips if options.rows == "video" else coded,
        "Encoder": plan.encoder,
        "Columns added": stages or "none",
    }
    told = {name: _cell(value) for name, value in facts.items()}
    told["Made by"] = f"nersemble {plan.package}, plan `{plan.hash}` (`{plan.config}/plan.json`)"
    table = "\n".join(f"| {name} | {value} |" for name, value in told.items())
    note = "\n**The push of this config was not finished. Push it again.**\n" if incomplete else ""
    return (
        f"<!-- nersemble: config {plan.config} -->\n### `{plan.config}`\n{note}\n| | |\n|---|---|\n{table}\n"
        "<!-- nersemble: end of config -->\n"
    )


def _cell(value: str) -> str:
    """A value that is shown as it is, such as ``<lambda>`` or ``EMO-*, EXP-*``."""
    return " ".join(_MARKS.sub(r"\\\g<0>", value).split())
