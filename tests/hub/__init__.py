"""A hub for tests: a real server on loopback that speaks the protocol of the Hugging Face hub to its real clients.

The fixture ``hub`` gives a fresh one::

    def test_a_push_that_is_taken_up_again_sends_one_shard_at_most(hub):
        hub.organization("lab", alice="write", bob="read")         # roles; default_private=True for private=None
        token = hub.user("alice")                                  # role="read"; hub.fine_grained("alice", {...})
        fault = hub.faults.add("lfs-put", cut(1000), at=2)         # the second upload from now on, after 1000 bytes
        done = hub.python(code, "an argument", token=token)        # a fresh interpreter that knows this hub alone
        assert done.returncode == 0, done.stderr
        assert fault.hits == 1
        assert hub.received <= size + 1000
        assert hub.repos["lab/faces"].private

Clients run in processes of their own, with ``hub.environment(token)``, as the libraries read where the hub is when
they are imported; each call gives an empty ``HF_HOME``, unless ``home`` names one.

- Repositories: ``hub.create(name, private=False)`` makes one unasked, ``hub.repos[name]`` holds ``private`` and
  ``gated``, which a test may turn at any time, ``head``, ``branches``, ``commits``, ``paths()`` and
  ``read(path, revision)``.
- Faults: ``answer(503)``, ``answer(429, retry_after=1)``, ``drop()`` before and ``drop_after()`` or
  ``answer_after(400)`` after the thing is done, ``say(b"<html>")`` for what no hub says, ``cut(n)`` within the body,
  ``run(function)`` and ``run_after(function)``, such as one that turns ``private``; ``at``, ``times`` and ``path`` say
  which calls of the route.  ``hub.bytes_per_second`` makes the link slow.
- Records: ``hub.counts`` by route, ``hub.calls``, ``hub.large_bytes`` by SHA-256, ``hub.regular_bytes`` by path,
  ``hub.received`` for all bytes of files; ``hub.reset()`` forgets them.

The fixture fails a test in which the hub itself failed, or in which a client looked for another server.
"""

from .accounts import READ, WRITE
from .faults import Fault, Faults, answer, answer_after, cut, drop, drop_after, run, run_after, say
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
    "answer_after",
    "cut",
    "drop",
    "drop_after",
    "run",
    "run_after",
    "say",
]
