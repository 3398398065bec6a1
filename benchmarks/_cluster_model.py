"""A model of preparing on a cluster: what units cost, what machines give, and how long a run and its push then take.

Pure functions of numbers; ``cluster.py`` measures them.  Units are handed to workers in order, as every engine does.  A
worker reads a unit's videos while it decodes them, in turn: its own reading takes time beside its work, but other
workers go on meanwhile.  All workers slow down alike: by the cores that are busy beside them, and where a node's or the
server's network is full.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class UnitCost:
    """What a unit costs.

    Attributes:
        work: Seconds of one core, of a machine that does nothing else; more than 0.
        read: Bytes of its videos.
        written: Bytes of its shard.
        requests: Requests that reading takes, one after the other.
    """

    work: float
    read: float = 0.0
    written: float = 0.0
    requests: int = 0


@dataclass(frozen=True)
class Cluster:
    """Machines, and what is between them.

    Attributes:
        nodes: How many.
        cores: Cores of a node, with a worker each.
        slowdown: How much longer a unit takes where all cores of a node are busy, at least 1; between one busy core and
            all of them it grows evenly.
        start: Seconds until a worker begins with its first unit.
        node_bytes: Bytes a second of a node's network, both ways together.
        server_bytes: Bytes a second that the server of the videos sends to all nodes together.
        latency: Seconds of a request.
    """

    nodes: int = 1
    cores: int = 1
    slowdown: float = 1.0
    start: float = 0.0
    node_bytes: float = float("inf")
    server_bytes: float = float("inf")
    latency: float = 0.0

    @property
    def workers(self) -> int:
        return self.nodes * self.cores

    def slowdown_of(self, busy: int) -> float:
        """How much longer a unit takes while so many of all workers are busy, spread evenly over the nodes."""
        if self.cores == 1:
            return 1.0
        on_a_node = max(1.0, busy / self.nodes)
        return 1 + (self.slowdown - 1) * (on_a_node - 1) / (self.cores - 1)


@dataclass(frozen=True)
class Hub:
    """Where shards are pushed to, by one writer.

    Attributes:
        upload_bytes: Bytes a second.
        commits_an_hour: How many commits it takes.
        shards_a_commit: How many files one commit has.
    """

    upload_bytes: float
    commits_an_hour: float
    shards_a_commit: int = 50

    def seconds(self, shards: int, size: float) -> dict[str, float]:
        """How long the bytes of a push take, and how long its commits, which both pass at the same time."""
        commits = -(-shards // self.shards_a_commit)
        return {"upload": size / self.upload_bytes, "commits": commits / self.commits_an_hour * 3600}


def seconds_of_run(units: Sequence[UnitCost], cluster: Cluster) -> float:
    """Wall seconds until the last unit is done.

    Since all workers slow down alike, a unit ends when a common clock, which runs slower the more is going on, has
    counted its own seconds.
    """
    now, clock = cluster.start, 0.0
    running: list[tuple[float, int]] = []  # when a unit ends, on the common clock
    place, reading, moving = 0, 0.0, 0.0  # bytes a second of all that runs, if nothing slowed it down
    while place < len(units) or running:
        while place < len(units) and len(running) < cluster.workers:
            alone = _alone(units[place], cluster)
            heapq.heappush(running, (clock + alone, place))
            reading += units[place].read / alone
            moving += (units[place].read + units[place].written) / alone
            place += 1
        ends, ended = running[0]
        now += (ends - clock) * _slowdown(len(running), reading, moving, cluster)
        clock = ends
        heapq.heappop(running)
        alone = _alone(units[ended], cluster)
        reading -= units[ended].read / alone
        moving -= (units[ended].read + units[ended].written) / alone
    return now


def _alone(unit: UnitCost, cluster: Cluster) -> float:
    """Seconds of a unit on a cluster that does nothing else."""
    slowest = min(cluster.node_bytes, cluster.server_bytes)
    moved = unit.read / slowest + unit.written / cluster.node_bytes
    return unit.work + moved + unit.requests * cluster.latency


def _slowdown(busy: int, reading: float, moving: float, cluster: Cluster) -> float:
    """How much slower than alone everything goes."""
    on_a_node = moving / min(cluster.nodes, busy)
    return max(cluster.slowdown_of(busy), on_a_node / cluster.node_bytes, reading / cluster.server_bytes)


def bounds_of_run(units: Sequence[UnitCost], cluster: Cluster) -> dict[str, float]:
    """Seconds that each resource alone needs at least: no run is faster than any of them."""
    read, written = sum(unit.read for unit in units), sum(unit.written for unit in units)
    return {
        "cores": sum(unit.work for unit in units) / cluster.workers,
        "longest unit": max((_alone(unit, cluster) for unit in units), default=0.0),
        "node network": (read + written) / (cluster.node_bytes * cluster.nodes),
        "server": read / cluster.server_bytes,
    }


def fit_slowdown(units: Sequence[UnitCost], cluster: Cluster, measured: float) -> float:
    """The slowdown with which the model gives the seconds that a run took; 1 if it was faster than any."""
    low, high = 1.0, 64.0
    for _ in range(60):
        middle = (low + high) / 2
        if seconds_of_run(units, replace(cluster, slowdown=middle)) < measured:
            low = middle
        else:
            high = middle
    return low
