"""The benchmarks' model of a cluster: its simple limits are those that anybody can work out by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from _cluster_model import (
    Cluster,
    Hub,
    UnitCost,
    bounds_of_run,
    fit_slowdown,
    seconds_of_run,
)

UNITS = [UnitCost(10.0, read=2e9, written=1e9, requests=40)] * 960
NODE = Cluster(cores=16, slowdown=1.25, node_bytes=1.25e9, server_bytes=1.25e9, latency=0.05)


def test_one_core_takes_the_sum_of_its_units_and_its_start():
    units = [UnitCost(seconds) for seconds in (3.0, 1.0, 2.0)]
    assert seconds_of_run(units, Cluster(start=1.5)) == pytest.approx(7.5)
    assert seconds_of_run([], Cluster(start=1.5)) == 1.5


def test_units_are_handed_out_in_order_and_the_last_one_can_be_late():
    units = [UnitCost(seconds) for seconds in (1.0, 1.0, 1.0, 4.0)]
    assert seconds_of_run(units, Cluster(cores=2)) == pytest.approx(5.0)
    assert seconds_of_run(units[::-1], Cluster(cores=2)) == pytest.approx(4.0)


def test_without_networks_time_is_what_the_cores_need_and_goes_down_with_the_nodes():
    units = [UnitCost(10.0)] * 960
    alone = Cluster(cores=16, slowdown=1.25)
    for nodes in (1, 2, 10, 60):
        assert seconds_of_run(units, replace(alone, nodes=nodes)) == pytest.approx(960 * 10 * 1.25 / 16 / nodes)
    assert seconds_of_run(units[:480], alone) == pytest.approx(seconds_of_run(units, alone) / 2)


def test_a_core_is_slower_only_while_others_are_busy():
    machine = Cluster(cores=2, slowdown=1.5)
    # Both run for 2 s of work, which take 3; the longer one does its other 4 s alone.
    assert seconds_of_run([UnitCost(2.0), UnitCost(6.0)], machine) == pytest.approx(7.0)
    assert machine.slowdown_of(1) == 1.0
    assert replace(machine, nodes=4).slowdown_of(4) == 1.0
    assert Cluster(cores=16, slowdown=1.75).slowdown_of(9) == pytest.approx(1.4)


def test_with_ever_more_nodes_the_server_is_the_wall():
    read = sum(unit.read for unit in UNITS)
    assert seconds_of_run(UNITS, replace(NODE, nodes=1000)) == pytest.approx(read / NODE.server_bytes)
    twice = replace(NODE, nodes=1000, server_bytes=2 * NODE.server_bytes)
    assert seconds_of_run(UNITS, twice) == pytest.approx(read / NODE.server_bytes / 2)


def test_a_narrow_node_is_held_up_by_all_that_it_reads_and_writes():
    narrow = Cluster(cores=16, node_bytes=1e8)
    assert seconds_of_run(UNITS, narrow) == pytest.approx(960 * 3e9 / 1e8)


def test_waiting_for_answers_counts_in_each_unit():
    far = Cluster(cores=2, latency=0.1)
    assert seconds_of_run([UnitCost(1.0, requests=10)] * 4, far) == pytest.approx(4.0)


@pytest.mark.parametrize("nodes", [1, 3, 10, 100, 5000])
@pytest.mark.parametrize("speed", [1e7, 1e9, 1e12])
def test_no_run_is_faster_than_any_single_bound(nodes, speed):
    uneven = [UnitCost(1.0 + number % 7, 1e8 * (number % 5), 3e7 * (number % 3), number % 11) for number in range(300)]
    cluster = replace(NODE, nodes=nodes, node_bytes=speed, server_bytes=3 * speed)
    run = seconds_of_run(uneven, cluster)
    for name, seconds in bounds_of_run(uneven, cluster).items():
        assert run >= seconds * (1 - 1e-9), name
    more = seconds_of_run(uneven, replace(cluster, nodes=nodes * 2, slowdown=1.0, server_bytes=speed * 30))
    assert more <= run * (1 + 1e-9)


def test_the_fit_gives_back_the_slowdown_of_a_run_and_none_for_one_that_was_faster():
    units = [UnitCost(1.0 + number % 3) for number in range(20)]
    machine = Cluster(cores=2, start=0.7, slowdown=1.31)
    measured = seconds_of_run(units, machine)
    assert fit_slowdown(units, replace(machine, slowdown=1.0), measured) == pytest.approx(1.31)
    assert fit_slowdown(units, machine, measured / 3) == pytest.approx(1.0)


def test_a_push_takes_its_bytes_and_its_commits():
    hub = Hub(upload_bytes=1e8, commits_an_hour=60, shards_a_commit=50)
    assert hub.seconds(101, 5e9) == {"upload": 50.0, "commits": 180.0}
