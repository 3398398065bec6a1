"""Downloads against aria2c, the official kit and curl: ``python benchmarks/downloads.py --kit-python PYTHON``.

64 files of 8.7 MB and their catalogue are served on loopback in four profiles and fetched by each client in turn, round
after round.  Files are compared byte by byte after each run, so that no speed is that of wrong bytes.  The kit needs a
Python that has ``nersemble_data==0.0.6``.  ``--plan`` measures planning 170,000 files instead.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from _download_clients import CLIENTS, KIT_VERSION, OWN, Client, Job, find_clients
from _download_data import SIZE, fill_folder, make_all_tables, make_capture, record_sizes
from _download_server import DownloadServer, make_certificate
from _processes import Usage, measure_process

CAP = 5_000_000
MOST_MEMORY = 150e6
PLAN_SECONDS, PLAN_MEMORY = 3, 300e6

PLAN_CODE = """
import json, sys, time
begin = time.perf_counter()
import nersemble
plan = nersemble.plan_download(None, sys.argv[1])
print(json.dumps([time.perf_counter() - begin, len(plan.files), len(plan.done), len(plan.unchecked), len(plan.todo)]))
"""


@dataclass(frozen=True)
class Profile:
    """A way to serve, and its bars: how many times a peer's wall ours may take."""

    title: str
    bars: dict[str, float]
    latency: float = 0.0
    rate: float | None = None
    tls: bool = False


PROFILES = {
    "unthrottled": Profile("unthrottled", {"aria2c": 1.2, "kit": 1 / 3}),
    "latency": Profile("50 ms a request", {"aria2c": 1.1}, latency=0.05),
    "capped": Profile("5 MB/s a connection", {"ideal": 1.1}, rate=CAP),
    "tls": Profile("TLS", {"aria2c": 1.4}, tls=True),
}


@dataclass(frozen=True)
class Run:
    """One client's run, and what its server saw of it.

    ``seconds`` is what is compared; ``settled`` is the process's wall and the time after it until the disk has it all,
    which tells apart clients that wait for the disk (ours does, for each file) and those that leave it to the kernel.
    """

    seconds: float
    settled: float
    usage: Usage
    served: dict[str, float]
    problem: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kit-python", help=f"a Python that has nersemble_data=={KIT_VERSION}")
    parser.add_argument("--output-dir", type=Path, help="where clients write, such as /dev/shm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of a video")
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--plan", action="store_true", help="measure planning 170,000 files, and nothing else")
    options = parser.parse_args()
    if options.output_dir:
        options.output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nersemble-downloads-", dir=options.output_dir) as scratch:
        measure = measure_plan if options.plan else measure_downloads
        measure(Path(scratch).resolve(), options)


def measure_downloads(scratch: Path, options: argparse.Namespace) -> None:
    data = scratch / "data"
    files = make_capture(data, options.size)
    total = sum((data / path).stat().st_size for path in files)
    clients, absent = find_clients(options)
    if "tls" in options.profiles and not shutil.which("openssl"):
        options.profiles.remove("tls")
        print("TLS is left out: it needs openssl, which is not installed.")
    certificate, authority = make_certificate(scratch) if "tls" in options.profiles else (None, None)
    print(
        f"{len(files)} files, {total / 1e6:,.1f} MB, {options.workers} workers, {options.rounds} rounds, in {scratch}"
    )
    runs: dict[str, dict[str, list[Run]]] = {name: {client: [] for client in clients} for name in options.profiles}
    with ExitStack() as stack:
        servers = {}
        for name in options.profiles:
            way = PROFILES[name]
            server = DownloadServer(
                data, latency=way.latency, rate=way.rate, certificate=certificate if way.tls else None
            )
            servers[name] = stack.enter_context(server)
        for number in range(options.rounds):
            for name, server in servers.items():
                for client in rotated(list(clients), number):
                    trusted = authority if PROFILES[name].tls else None
                    job = Job(server.url, scratch / "out", files, options.workers, scratch / "home", trusted)
                    runs[name][client].append(run_once(client, clients[client], job, server, data))
    for name in options.profiles:
        report(PROFILES[name], runs[name], absent, total / (options.workers * CAP))


def rotated(names: list[str], by: int) -> list[str]:
    """In another order each round, so that no client always follows the same one."""
    by %= len(names)
    return names[by:] + names[:by]


def run_once(name: str, client: Client, job: Job, server: DownloadServer, data: Path) -> Run:
    """One run from nothing, and the check of what it wrote."""
    for folder in (job.folder, job.home):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    command, given = client(job)
    os.sync()  # nobody pays for writing what another one left in memory
    server.take_counts()
    usage = measure_process(command, job.environment(own=name in OWN), given, job.home)
    begin = time.perf_counter()
    os.sync()
    settled = usage.wall + time.perf_counter() - begin
    served = server.take_counts()
    problem = usage.problem or next(differences(job, data), "")
    seconds = json.loads(usage.output) if name == "call" and not problem else usage.wall
    return Run(seconds, settled, usage, served, problem)


def differences(job: Job, data: Path) -> Iterator[str]:
    """What is wrong in a folder that a client has filled.  Dot files at its top are the client's own business."""
    held = {str(path.relative_to(job.folder)) for path in job.folder.rglob("*") if path.is_file()}
    for path in sorted(held - set(job.files)):
        if not path.startswith("."):
            yield f"{path} should not be there"
    for path in job.files:
        if path not in held:
            yield f"{path} is missing"
        elif not same_bytes(job.folder / path, data / path):
            yield f"{path} has wrong bytes"


def same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while block := first.read(1 << 20):
            if block != second.read(1 << 20):
                return False
    return True


def report(profile: Profile, runs: dict[str, list[Run]], absent: dict[str, str], ideal: float) -> None:
    """A profile's table; "ours /" is how many times its wall `nersemble download` took."""
    print(f"\n{profile.title}")
    print(
        f"{'':24}{'wall s':^18}{'to disk s':>11}{'ours /':^18}{'CPU s':>8}{'peak MB':>9}{'requests':>10}{'server':>8}"
    )
    print(f"{'':24}{'min':>9}{'median':>9}{'median':>11}{'min':>9}{'median':>9}{'':27}{'CPU s':>8}")
    good = {name: [run for run in done if not run.problem] for name, done in runs.items()}
    times = {name: [run.seconds for run in done] for name, done in good.items() if done}
    for name, done in good.items():
        if done:
            settled, cpu, requests, served = map(
                statistics.median,
                zip(*((r.settled, r.usage.cpu, r.served["requests"], r.served["cpu"]) for r in done), strict=True),
            )
            memory = max(run.usage.memory for run in done) / 1e6
            text = columns(times[name], f"{settled:>11.3f}", times.get("ours"))
            print(f"{CLIENTS[name]:24}{text}{cpu:>8.2f}{memory:>9.0f}{requests:>10g}{served:>8.2f}")
        if problems := [run.problem for run in runs[name] if run.problem]:
            print(f"{CLIENTS[name]:24}FAILED {len(problems)} of {len(runs[name])} times: {problems[0]}")
    for name, reason in absent.items():
        print(f"{CLIENTS[name]:24}absent: {reason}")
    if profile.rate:
        times["ideal"] = [ideal]
        print(f"{'ideal':24}{columns([ideal], ' ' * 11, times.get('ours'))}")
    if "ours" in times:
        print_bars(profile, times, max(run.usage.memory for run in good["ours"]))


def columns(seconds: list[float], settled: str, mine: list[float] | None) -> str:
    text = f"{min(seconds):>9.3f}{statistics.median(seconds):>9.3f}{settled}"
    if not mine:
        return f"{text}{'-':>9}{'-':>9}"
    return f"{text}{min(mine) / min(seconds):>9.2f}{statistics.median(mine) / statistics.median(seconds):>9.2f}"


def print_bars(profile: Profile, times: dict[str, list[float]], memory: int) -> None:
    for peer, most in profile.bars.items():
        if peer in times:
            ratio = statistics.median(times["ours"]) / statistics.median(times[peer])
            print_bar(f"{ratio:.2f} times the median of {CLIENTS.get(peer, peer)}, at most {most:.2f}", ratio <= most)
        else:
            print(f"  bar not measured: {CLIENTS.get(peer, peer)}")
    print_bar(f"{memory / 1e6:.0f} MB of memory, under {MOST_MEMORY / 1e6:.0f}", memory < MOST_MEMORY)


def print_bar(text: str, met: bool) -> None:
    print(f"  bar {'met' if met else 'MISSED'}: {text}")


def measure_plan(scratch: Path, options: argparse.Namespace) -> None:
    """Plan every file of the size of the published data, into an empty folder, one that holds them all (as the kit
    leaves it, without a record of sizes), and one that holds them and the record.
    """
    data = scratch / "data"
    data.mkdir()
    make_all_tables(data)
    (scratch / "empty").mkdir()
    fill_folder(scratch / "full", data)
    names = f"{'folder':10}{'files':>10}{'done':>10}{'unchecked':>10}{'to do':>10}"
    print(f"{names}{'process s':^18}{'import, plan s':^18}{'peak MB':>9}")
    print(f"{'':50}{'min':>9}{'median':>9}{'min':>9}{'median':>9}")
    with DownloadServer(data) as server:
        for name, folder in (("empty", "empty"), ("full", "full"), ("recorded", "full")):
            if name == "recorded":
                record_sizes(scratch / folder)
            usages = []
            for _ in range(options.rounds):
                home = scratch / "home"
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir()
                job = Job(server.url, scratch / folder, [], options.workers, home, None)
                command = [sys.executable, "-c", PLAN_CODE, str(job.folder)]
                usages.append(measure_process(command, job.environment(own=True), "", home))
            report_plan(name, usages)


def report_plan(name: str, usages: list[Usage]) -> None:
    problem = next((usage.problem for usage in usages if usage.problem), "")
    if problem:
        print(f"{name:10}failed: {problem}")
        return
    outputs = [json.loads(usage.output) for usage in usages]
    walls, calls = [usage.wall for usage in usages], [output[0] for output in outputs]
    memory = max(usage.memory for usage in usages)
    counts = "".join(f"{count:>10,}" for count in outputs[0][1:])
    seconds = "".join(f"{value:>9.3f}" for taken in (walls, calls) for value in (min(taken), statistics.median(taken)))
    print(f"{name:10}{counts}{seconds}{memory / 1e6:>9.0f}")
    middle = statistics.median(walls)
    print_bar(f"{middle:.2f} s for the whole process, under {PLAN_SECONDS}", middle < PLAN_SECONDS)
    print_bar(f"{memory / 1e6:.0f} MB of memory, under {PLAN_MEMORY / 1e6:.0f}", memory < PLAN_MEMORY)


if __name__ == "__main__":
    main()
