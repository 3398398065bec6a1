"""What importing the package costs: ``python benchmarks/import_time.py``.

Medians over fresh interpreters, one kind after the other in turns, so that a busy moment hits all kinds alike.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

LONGEST = 0.5
HEAVY = ("torch", "ray", "typer", "click", "rich", "datasets", "pandas", "av", "aiohttp")
FORBIDDEN = ("torch", "ray", "typer", "click", "rich")

TIMED = "import time; begin = time.perf_counter(); {}; print(time.perf_counter() - begin)"
KINDS = {
    "import nersemble, nothing imported before": TIMED.format("import nersemble"),
    "import nersemble, after import datasets": "import datasets; " + TIMED.format("import nersemble"),
    "import datasets": TIMED.format("import datasets"),
    "import datasets, after import nersemble": "import nersemble; " + TIMED.format("import datasets"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(repeats):
        for kind, code in KINDS.items():
            times[kind].append(float(run(code)))
    print(f"{'':44}{'median s':>10}{'best s':>10}")
    for kind, taken in times.items():
        print(f"{kind:44}{statistics.median(taken):>10.3f}{min(taken):>10.3f}")
    beyond = statistics.median(times["import nersemble, after import datasets"])
    print(f"Beyond import datasets: {beyond:.3f} s; the bar is {LONGEST} s.")
    pulled_in = run(f"import nersemble, sys; print(*[name for name in {HEAVY!r} if name in sys.modules])").split()
    print(f"Heavy libraries that import nersemble pulls in: {', '.join(pulled_in) or 'none'}.")
    if set(pulled_in) & set(FORBIDDEN):
        raise SystemExit(f"It must not pull in {', '.join(FORBIDDEN)}.")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
