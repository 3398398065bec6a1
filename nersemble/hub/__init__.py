"""Pushing prepared shards to a private data set of the hub, and deleting participants from it.

>>> report = nersemble.hub.push(plan, "out/", "my-lab/heads-quarter")     # doctest: +SKIP
>>> nersemble.hub.delete("my-lab/heads-quarter", [240])                   # doctest: +SKIP

A target that is not private is refused, always.
"""

from .delete import delete
from .push import plan_push, push
from .report import DeleteReport, PushDescription, PushReport

__all__ = ["DeleteReport", "PushDescription", "PushReport", "delete", "plan_push", "push"]
