"""A Ray to work with: the one that is initialised, a cluster's, or one that is started here and ended again."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from ..cores import usable_cores
from ..errors import PrepareError

#: How a Ray of this machine is started: nobody is told that it is used; it listens on loopback alone, as where Ray
#: makes no clusters (which it asks as it is imported: where the caller has done so before, it listens as ever); and its
#: object store is small, since the job is all that is put there.
ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SMALL = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 100 << 20}
#: Seconds until a cluster has to take a connection: Ray itself would try for many minutes.
ANSWER = 10


@contextlib.contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[Any]:
    """The module ``ray``, as long as it is needed.

    Args:
        address: Of a cluster; None for a Ray of this machine, unless one is initialised.
        workers: Units at a time on this machine; one for each core by default.

    Raises:
        PrepareError: If Ray is not installed, does not start, or does not answer.
    """
    with _kept(ALONE if address is None else {}):
        ray: Any = None
        with contextlib.suppress(ImportError):
            ray = importlib.import_module("ray")
        if ray is None:
            raise PrepareError("The engine ray needs Ray, which is not installed: pip install ray.")
        if ray.is_initialized():
            yield ray
            return
        options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
        if address is None:
            options |= {"address": "local", "num_cpus": workers or usable_cores(), **SMALL}
        problem = "" if address is None else _knock(ray, address)
        try:
            if not problem:
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            where = f"No Ray answers at {address}" if address else "Ray does not start on this machine"
            raise PrepareError(f"{where}: {problem}")
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(ray: Any, address: str) -> str:
    """What keeps a connection from an address of the form ``host:port``."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return ""
    if host in ("localhost", "127.0.0.1"):  # Ray takes these for the address by which others know this machine
        host = ray.util.get_node_ip_address()
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        return f"{type(error).__name__} at {host}:{port}. Is the address that of the head node, as `ray status` shows?"
    return ""


@contextlib.contextmanager
def _kept(values: dict[str, str]) -> Iterator[None]:
    """Set variables that the caller has not set; in the end these, and what happens at SIGTERM, are as they were."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    on_term = signal.getsignal(signal.SIGTERM)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)
