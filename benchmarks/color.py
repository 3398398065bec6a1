"""Colour correction of full frames beside the official kit: ``python benchmarks/color.py --kit-python PYTHON``.

PYTHON is one of an environment with the kit: ``pip install --no-deps nersemble_data==0.0.6``, with ``colour-science``.
Kit, NumPy, numba and, where it is installed, torch take turns, each in a process of its own that stays and corrects a
frame of 3208 x 2200 a few times when told to.  Seconds are of one frame; memory is the process's peak, above what it
had before the first: what an allocator keeps between calls counts.  Where torch has a GPU, it corrects a frame that
lies there, and memory is the GPU's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHAPE = (3208, 2200, 3)
WIDTHS = (3, 10, 20, 35)
TORCH = ("torch", "torch on GPU")
TIMES_THE_KIT = {"numba": 130, "NumPy": 10}
#: Calls in a turn, for each of which the least counts.  After a pause the cores of a virtual machine take up to 5 ms to
#: wake up, which is as long as a call.
CALLS = 3
MOST_MEMORY = 100e6
LEAST_EQUAL, MOST_OFF = 0.9999, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kit-python", metavar="PYTHON", help="of an environment with the official kit")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (9)")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        serve(options.peer)
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        make_inputs(Path(folder))
        peers = start_peers(options.kit_python, folder, stack)
        cores = len(os.sched_getaffinity(0))
        print(f"{SHAPE[0]} x {SHAPE[1]} uint8, {cores} cores, {options.rounds} turns of {CALLS} calls")
        for width in WIDTHS:
            compare(peers, width, options.rounds, Path(folder))


def make_inputs(folder: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    np.save(folder / "frame.npy", rng.integers(0, 256, SHAPE, np.uint8))
    for width in WIDTHS:
        np.save(folder / f"{width}.npy", np.eye(3, width) + rng.normal(0, 0.06, (3, width)))


def start_peers(kit_python: str | None, folder: str, stack: contextlib.ExitStack) -> dict[str, subprocess.Popen[str]]:
    """Each peer that is installed, waiting."""
    pythons = {"numba": sys.executable, "NumPy": sys.executable, **dict.fromkeys(TORCH, sys.executable)}
    if kit_python:
        pythons = {"kit": kit_python, **pythons}
    peers = {}
    for name, python in pythons.items():
        process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--peer", name],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        if process.stdout.readline().strip() == "ready":
            peers[name] = process
        elif name not in TORCH:
            raise SystemExit(f"{name} does not work with {python}")
    return peers


def ask(process: subprocess.Popen[str], width: int) -> dict[str, float]:
    process.stdin.write(f"{width}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compare(peers: dict[str, subprocess.Popen[str]], width: int, rounds: int, folder: Path) -> None:
    """One table: every peer, ``rounds`` times by turns."""
    import numpy as np

    runs: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    for _ in range(rounds + 1):  # the first does not count
        for name, process in peers.items():
            runs[name].append(ask(process, width))
    print(f"\nT = {width:<9}  wall s          CPU s   kit's wall /   extra MB      equal to  most off")
    print("               min   median     min    min   median       peak       the kit")
    kit = [run["wall"] for run in runs.get("kit", [])[1:]]
    right = np.load(folder / "kit.npy") if kit else None
    bars = []
    for name, all_runs in runs.items():
        wall, cpu = ([run[key] for run in all_runs[1:]] for key in ("wall", "cpu"))
        memory = max(run["memory"] for run in all_runs)
        line = f"{name:<12}{min(wall):>6.3f}{statistics.median(wall):>9.3f}{min(cpu):>8.3f}"
        if kit and name != "kit":
            best, middle = min(kit) / min(wall), statistics.median(kit) / statistics.median(wall)
            off = np.abs(np.load(folder / f"{name}.npy").astype(np.int16) - right)
            equal = 1 - np.count_nonzero(off) / off.size
            line += f"{best:>7.0f}{middle:>9.0f}{memory / 1e6:>11.0f}{equal:>14.5%}{off.max():>10}"
            bars.append(bars_of(name, best, middle, memory, equal, int(off.max())))
        else:
            line += f"{memory / 1e6:>27.0f}"
        print(line)
    print(*bars, sep="\n")


def bars_of(name: str, best: float, middle: float, memory: float, equal: float, off: int) -> str:
    """One line: the bars of a peer, each met or missed."""
    bars = []
    if name in TIMES_THE_KIT:
        bar = TIMES_THE_KIT[name]
        word = "met" if min(best, middle) >= bar else "met by the least, not by the median" if best >= bar else "missed"
        bars.append(f"{bar} times the kit {word}")
    bars.append(f"under {MOST_MEMORY / 1e6:.0f} MB {'met' if memory < MOST_MEMORY else 'missed'}")
    is_equal = equal >= LEAST_EQUAL and off <= MOST_OFF
    bars.append(f"{LEAST_EQUAL:.2%} equal and none off by more than {MOST_OFF} {'met' if is_equal else 'missed'}")
    return f"  bars of {name}: {'; '.join(bars)}"


# --- in a peer's process ----------------------------------------------------------------------------------------------


def serve(name: str) -> None:
    """Correct the frame CALLS times for each line of the input that names a matrix."""
    import numpy as np

    frame = np.load("frame.npy")
    put, correct, get, memory = corrector(name)
    frame = put(frame)
    reset_peak()
    before = memory()
    print("ready", flush=True)
    saved = set()
    for line in sys.stdin:
        ccm = np.load(f"{line.strip()}.npy")
        reset_peak()
        took = {"wall": np.inf, "cpu": np.inf}
        for _ in range(CALLS):
            corrected = None  # its memory is free for the next
            begin, cpu = time.perf_counter(), time.process_time()
            corrected = correct(frame, ccm)
            now = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
            took = {key: min(took[key], now[key]) for key in took}
        took["memory"] = memory() - before
        if line not in saved:
            np.save(f"{name}.npy", get(corrected))
            saved.add(line)
        del corrected
        print(json.dumps(took), flush=True)


def corrector(name: str) -> tuple[Callable[..., Any], ...]:
    """What makes a peer's picture of an array, its call, ready and warm, the way back, and the bytes that it has."""
    import numpy as np

    if name == "kit":
        from nersemble_data.util.color_correction import correct_color

        return np.asarray, correct_color, np.asarray, peak
    import nersemble

    backend = {"numba": "numba", "NumPy": "numpy"}.get(name, "auto")

    def correct(frame, ccm):
        return nersemble.correct_color(frame, ccm, backend=backend)

    correct(np.zeros((2, 2, 3), np.uint8), np.eye(3))
    if name not in TORCH:
        return np.asarray, correct, np.asarray, peak
    import torch

    if name == "torch":
        return torch.from_numpy, correct, torch.Tensor.numpy, peak

    def correct_there(frame, ccm):
        corrected = correct(frame, ccm)
        torch.cuda.synchronize()
        return corrected

    if not torch.cuda.is_available():
        raise SystemExit(1)
    correct_there(torch.zeros((2, 2, 3), dtype=torch.uint8, device="cuda"), np.eye(3))
    return (
        lambda frame: torch.from_numpy(frame).cuda(),
        correct_there,
        lambda corrected: corrected.cpu().numpy(),
        torch.cuda.max_memory_allocated,
    )


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
