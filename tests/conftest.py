"""Every test runs with a home, caches and environment of its own, against a real server on loopback."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports `datasets`, which reads these once.
_SCRATCH = Path(tempfile.mkdtemp(prefix="nersemble-tests-"))
atexit.register(lambda owner: owner == os.getpid() and shutil.rmtree(_SCRATCH, ignore_errors=True), os.getpid())
os.environ["HF_HOME"] = str(_SCRATCH / "huggingface")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for _name in ("NERSEMBLE_DATA_URL", "NERSEMBLE_BENCHMARK_URL"):
    os.environ.pop(_name, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell starts with &: Ctrl-C is tested here
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("_engines")

from hub import Hub  # noqa: E402

import nersemble  # noqa: E402
from nersemble.demo import DemoServer, ensure_capture  # noqa: E402
from nersemble.opening import close_videos  # noqa: E402
from nersemble.prepare import PreparePlan  # noqa: E402


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The demo capture, made once and kept in the user's cache."""
    return Path(ensure_capture())


@pytest.fixture(scope="session")
def demo_server(demo_folder: Path) -> Iterator[DemoServer]:
    """The demo capture behind a secret URL on loopback."""
    with DemoServer(demo_folder) as server:
        yield server


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name in ("NERSEMBLE_DATA_URL", "NERSEMBLE_BENCHMARK_URL", "NERSEMBLE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def access(demo_server: DemoServer, monkeypatch: pytest.MonkeyPatch) -> DemoServer:
    """The demo server, with its URL in the environment and an empty log of requests."""
    monkeypatch.setenv("NERSEMBLE_DATA_URL", demo_server.url)
    close_videos()
    demo_server.reset()
    return demo_server


@pytest.fixture
def environ(tmp_path: Path, demo_server: DemoServer) -> dict[str, str]:
    """The environment of a command: a home and caches of its own, the demo server's URL, and warnings are errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NERSEMBLE_")}
    demo_server.reset()
    return {
        **kept,
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "caches"),
        "PYTHONPATH": str(Path(nersemble.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "NERSEMBLE_DATA_URL": demo_server.url,
    }


@pytest.fixture
def cache(tmp_path: Path) -> str:
    """An empty cache folder for ``datasets``."""
    return str(tmp_path / "cache")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub on loopback, which itself must not fail, and whose clients must not look for another."""
    with Hub(tmp_path / "hub") as server:
        yield server
    assert server.errors == []
    assert server.counts["elsewhere"] == 0


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> tuple[Path, PreparePlan]:
    """Shards of three participants, and their plan, which no test may change."""
    from _hub_cleaning import make_three

    return make_three(tmp_path_factory.mktemp("three"), demo_folder)


@pytest.fixture(params=["server", "folder"])
def fs(request, demo_folder):
    """The same filesystem over HTTP and over the folder."""
    from nersemble.filesystem import NersembleFileSystem

    if request.param == "folder":
        return NersembleFileSystem(folder=demo_folder)
    request.getfixturevalue("access")
    return NersembleFileSystem()
