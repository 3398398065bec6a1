"""A hub for tests: a real server on loopback that speaks the protocol of the Hugging Face hub to its real clients."""

from .accounts import READ, WRITE
from .faults import Fault, Faults, answer, cut, drop, drop_after, run, run_after
from .handler import Call
from .repos import Commit, Repo
from .server import Hub

__all__ = [
    "READ",
    "WRITE",
    "Call",
    "Commit",
    "Fault",
    "Faults",
    "Hub",
    "Repo",
    "answer",
    "cut",
    "drop",
    "drop_after",
    "run",
    "run_after",
]
