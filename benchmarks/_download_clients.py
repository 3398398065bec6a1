"""The clients that ``benchmarks/downloads.py`` compares: their command lines, and which of them are there."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nersemble

PARTICIPANTS = (30, 38, 59, 240)

KIT_VERSION = "0.0.6"
KIT_ASSETS = ("images", "calibration", "color_calibration", "metadata_participants", "metadata_sequences")
#: What the kit's command runs, without its check of a hash of the URL.
KIT_CODE = "from nersemble_data.scripts.manage_data import app; app.cli()"
KIT_CHECK = (
    "import importlib.metadata as m; print(m.version('nersemble_data')); import nersemble_data.scripts.manage_data"
)
CALL_CODE = """
import json, sys, time
import nersemble
begin = time.perf_counter()
report = nersemble.download(None, sys.argv[1], participants=sys.argv[2], workers=int(sys.argv[3]))
taken = time.perf_counter() - begin
print(json.dumps(taken) if report.complete else report)
sys.exit(not report.complete)
"""


@dataclass(frozen=True)
class Job:
    """What a client is to do: fetch ``files`` of ``url`` into ``folder``."""

    url: str
    folder: Path
    files: list[str]
    workers: int
    home: Path
    authority: Path | None

    def environment(self, *, own: bool) -> dict[str, str]:
        """That of a user who has nothing cached and configured nothing but the access URL."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        if own:  # the package that this script has imported, installed or not; not for the kit, which has its own
            kept["PYTHONPATH"] = str(Path(nersemble.__file__).resolve().parents[1])
        made = {"HOME": self.home, "XDG_CACHE_HOME": self.home / ".cache", "HF_HOME": self.home / ".cache/huggingface"}
        if self.authority:
            made |= {"SSL_CERT_FILE": self.authority, "REQUESTS_CA_BUNDLE": self.authority}
        return kept | {name: str(path) for name, path in made.items()} | {"NERSEMBLE_DATA_URL": self.url}


#: Gives the command of a job and what is written to its input.
Client = Callable[[Job], tuple[list[str], str]]


def ours(job: Job) -> tuple[list[str], str]:
    command = [sys.executable, "-m", "nersemble", "download", str(job.folder), "--participant", ids()]
    return [*command, "--workers", str(job.workers), "--yes"], ""


def ours_called(job: Job) -> tuple[list[str], str]:
    return [sys.executable, "-c", CALL_CODE, str(job.folder), ids(), str(job.workers)], ""


def aria2c(job: Job) -> tuple[list[str], str]:
    entries = "".join(f"{job.url}/{path}\n  out={path}\n" for path in job.files)
    command = ["aria2c", f"-j{job.workers}", "-x1", "--no-conf", "--quiet", f"--dir={job.folder}", "--input-file=-"]
    authority = [f"--ca-certificate={job.authority}"] if job.authority else []
    # By default it writes every file twice, first as zeros.
    return [*command, "--file-allocation=none", *authority], entries


def curl(job: Job) -> tuple[list[str], str]:
    entries = "".join(f'url = "{job.url}/{path}"\noutput = "{job.folder}/{path}"\n' for path in job.files)
    command = ["curl", "-q", "-Z", "--parallel-max", str(job.workers), "--globoff", "--create-dirs", "--fail"]
    authority = ["--cacert", str(job.authority)] if job.authority else []
    return [*command, "--silent", "--show-error", *authority, "--config", "-"], entries


def kit(python: str) -> Client:
    def client(job: Job) -> tuple[list[str], str]:
        command = [python, "-c", KIT_CODE, "download", str(job.folder), "--participant", ids()]
        return [*command, "--n_workers", str(job.workers), "--assets", *KIT_ASSETS], "y\n"

    return client


def ids() -> str:
    return ",".join(map(str, PARTICIPANTS))


OWN = ("ours", "call")
CLIENTS = {
    "ours": "nersemble download",
    "call": "nersemble.download()",
    "aria2c": "aria2c -j16 -x1",
    "kit": f"official kit {KIT_VERSION}",
    "curl": "curl -Z",
}


def find_clients(options: argparse.Namespace) -> tuple[dict[str, Client], dict[str, str]]:
    """The clients that can run, and why each other one cannot."""
    clients: dict[str, Client] = {"ours": ours, "call": ours_called}
    absent = {name: "not installed" for name in ("aria2c", "curl") if not shutil.which(name)}
    clients |= {name: client for name, client in (("aria2c", aria2c), ("curl", curl)) if name not in absent}
    if options.kit_python:
        python = shutil.which(options.kit_python) or options.kit_python
        found = subprocess.run([python, "-c", KIT_CHECK], capture_output=True, text=True, check=False)
        version = found.stdout.strip()
        if version == KIT_VERSION and not found.returncode:
            clients["kit"] = kit(str(Path(python).absolute()))
        else:
            absent["kit"] = f"version {version} and not {KIT_VERSION}" if version else f"not installed in {python}"
    else:
        absent["kit"] = "--kit-python was not given"
    wanted = [name for name in CLIENTS if name in options.clients]
    return {n: clients[n] for n in wanted if n in clients}, {n: absent[n] for n in wanted if n in absent}
