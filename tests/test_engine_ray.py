"""The engine ``ray`` keeps what engines promise: on a cluster of two nodes, and with a Ray of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest
import ray
from _engines import (
    MARK,
    Driver,
    EngineConformance,
    assert_on_loopback,
    check_a_server_that_dies,
    hashes,
    in_arguments,
    in_files,
    plan_of,
    secret_of,
    wait_for,
)
from ray.cluster_utils import Cluster

import nersemble.prepare
from nersemble.errors import PrepareError

#: Nobody is told that it is used, and Ray gives no advice on GPUs, which would be a warning.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: Ray listens on loopback alone at this very address.
HOST = "127.0.0.1"
#: Which Ray takes for the one by which others know this machine, unless it makes no clusters but for this one.
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False, "node_ip_address": HOST}
PATHS = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one worker each, whose workers find this package and its tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, "PYTHONPATH": PATHS, ALONE: "0", MARK: "cluster"}.items():
            patch.setenv(name, value)
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)  # Ray asked as it was imported
        made = Cluster(initialize_head=True, head_node_args=NODE)
        made.add_node(**NODE)
        yield made
        made.shutdown()


@nersemble.prepare.stage(node="string")
def where(image, background, camera, row):
    return {"node": ray.get_runtime_context().get_node_id()}


@nersemble.prepare.stage(seen="int32")
def deadly(image, background, camera, row):
    if row["timestep"] == 5 and row["participant"] == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seen": 1}


class TestCluster(EngineConformance):
    @pytest.fixture(autouse=True)
    def _options(self, cluster):
        self.OPTIONS = {"engine": "ray", "workers": 2, "address": cluster.address}
        yield
        assert not ray.is_initialized()

    def test_it_is_on_loopback(self, cluster):
        assert_on_loopback("cluster")

    def test_every_node_makes_units(self, demo_folder, tmp_path):
        plan = plan_of(demo_folder, tmp_path / "notes", stages=[where])
        assert self.run(plan, tmp_path / "out").complete
        import pyarrow.parquet as pq

        nodes = {
            node
            for path in (tmp_path / "out").rglob("*.parquet")
            for row in pq.read_table(path, columns=["node"])["node"].to_pylist()
            for node in row
        }
        assert len(nodes) == 2

    def test_a_node_that_dies_takes_nothing_with_it(self, cluster, plan, reference, tmp_path):
        extra = cluster.add_node(**NODE)
        ended = []

        def end(progress):
            if progress.files_done == 5:
                ended.append(cluster.remove_node(extra, allow_graceful=False))

        report = self.run(plan, tmp_path, workers=6, watch=end)
        assert ended
        assert report.complete, report
        assert hashes(tmp_path) == reference

    def test_a_unit_of_which_every_worker_dies_fails_and_the_others_are_made(self, demo_folder, tmp_path):
        plan = plan_of(demo_folder, tmp_path / "notes", stages=[deadly])
        report = self.run(plan, tmp_path / "out", max_retries=1)
        expected = {unit.name for unit in plan.units if unit.participant == 50 and unit.start <= 5 < unit.stop}
        assert set(report.failed) == expected
        assert "every worker that tried it died" in str(report)
        assert report.written == len(plan.units) - len(expected)

    def test_ctrl_c_cancels_what_is_under_way_and_leaves_the_cluster(self, cluster, driver, plan, reference, tmp_path):
        running = driver()
        wait_for(tmp_path / "notes" / "pictures")
        running.process.send_signal(signal.SIGINT)
        code, _, err = running.wait()
        assert code == -signal.SIGINT
        assert err.count("Traceback") == 1
        running.wait_until_nothing_is_left()
        assert self.run(plan, tmp_path / "out").complete
        assert hashes(tmp_path / "out") == reference

    def test_a_ray_that_is_initialised_is_used_and_left_as_it_was(self, cluster, plan, reference, tmp_path):
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        before = ray.get_runtime_context().get_job_id()
        try:
            report = plan.run(tmp_path, engine="ray", progress=False)
            assert ray.is_initialized()
            assert ray.get_runtime_context().get_job_id() == before
        finally:
            ray.shutdown()
        assert report.complete
        assert hashes(tmp_path) == reference

    def test_a_run_that_is_stopped_leaves_a_ray_that_is_initialised_to_go_on(self, cluster, plan, reference, tmp_path):
        def stop(progress):
            if progress.files_done:
                raise KeyboardInterrupt

        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        try:
            with pytest.raises(KeyboardInterrupt):
                plan.run(tmp_path, engine="ray", progress=False, watch=stop)
            report = plan.run(tmp_path, engine="ray", progress=False)  # beside what the first one had under way
        finally:
            ray.shutdown()
        assert report.complete
        assert hashes(tmp_path) == reference


@pytest.fixture
def ray_folder(monkeypatch):
    """Where a Ray that is started keeps its logs; sockets allow short paths alone."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_ray_of_its_own_is_silent_on_loopback_and_knows_no_access_url(access, ray_folder, tmp_path):
    driver = Driver("", tmp_path / "out", tmp_path / "notes", {"engine": "ray", "workers": 2})
    secret = secret_of(access)
    wait_for(tmp_path / "notes" / "pictures")
    seen = in_arguments(secret)
    assert_on_loopback(driver.mark)
    code, told, err = driver.wait()
    assert (code, err) == (0, "")
    assert json.loads(told)["complete"]
    assert not seen
    assert list(ray_folder.rglob("gcs_server.out"))
    assert not in_files(secret, ray_folder, tmp_path)
    usage = [json.loads(path.read_text()) for path in ray_folder.rglob("usage_stats.json")]
    assert not [one for one in usage if one["success"]]
    driver.wait_until_nothing_is_left()


def test_a_server_that_dies_stops_the_run_which_goes_on_later(demo_folder, ray_folder, tmp_path, monkeypatch):
    for name, value in {**QUIET, "PYTHONPATH": PATHS}.items():
        monkeypatch.setenv(name, value)
    check_a_server_that_dies(demo_folder, tmp_path, monkeypatch, engine="ray", workers=2)


def test_a_killed_driver_takes_a_ray_of_its_own_with_it(demo_folder, ray_folder, tmp_path):
    driver = Driver(demo_folder, tmp_path / "out", tmp_path / "notes", {"engine": "ray", "workers": 2})
    wait_for(tmp_path / "notes" / "pictures")
    driver.process.kill()
    assert driver.wait()[0] == -signal.SIGKILL
    driver.wait_until_nothing_is_left()


def test_ctrl_c_ends_a_ray_of_its_own(demo_folder, ray_folder, tmp_path):
    driver = Driver(demo_folder, tmp_path / "out", tmp_path / "notes", {"engine": "ray", "workers": 2})
    wait_for(tmp_path / "notes" / "pictures")
    driver.process.send_signal(signal.SIGINT)
    code, _, err = driver.wait()
    assert code == -signal.SIGINT
    assert err.count("Traceback") == 1
    driver.wait_until_nothing_is_left()


def test_workers_without_this_package_are_told_of(demo_folder, ray_folder, monkeypatch, tmp_path):
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys; sys.modules['nersemble'] = None")
    driver = Driver(demo_folder, tmp_path / "out", tmp_path / "notes", {"engine": "ray", "workers": 1}, without)
    code, told, err = driver.wait()
    assert (code, err) == (0, "")
    assert "cannot import nersemble" in json.loads(told)["stopped"]
    assert "Install it on every node" in json.loads(told)["stopped"]
    assert not hashes(tmp_path / "out")


def test_a_cluster_that_does_not_answer_is_named_at_once(demo_folder, tmp_path):
    plan = plan_of(demo_folder, tmp_path / "notes")
    with socket.socket() as closed:
        closed.bind(("127.0.0.2", 0))
        address = f"127.0.0.2:{closed.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(PrepareError, match=f"No Ray answers at {address}: ConnectionRefusedError"):
            plan.run(tmp_path / "out", engine="ray", address=address, progress=False)
    assert time.monotonic() - began < 30
