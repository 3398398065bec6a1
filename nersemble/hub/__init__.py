"""Pushing prepared shards to a private data set of the hub, and deleting participants from it.

>>> report = nersemble.hub.push(plan, "out/", "my-lab/heads-quarter")     # doctest: +SKIP
>>> nersemble.hub.delete("my-lab/heads-quarter", [240])                   # doctest: +SKIP

A target that is not private is refused, always.  Where things are:

- pushing: ``push`` (the call) asks ``guard`` (who, where to, who sees it), ``looking`` and ``scan`` (what must not
  leave, with ``beside`` for pictures), and has ``committing`` send, with ``content`` (bytes on their way) and
  ``aftermath`` (is it private, however it ended);
- deleting: ``delete`` (the call), ``traces`` (where somebody is), ``theirs`` (which files are whose), ``without`` (what
  the head becomes);
- both: ``held`` (what a commit holds), ``card`` and ``head`` (README.md and its YAML), ``client``, ``tokens``,
  ``retry`` and ``hushing`` (calls to the hub), ``report``.
"""

from .delete import delete
from .push import plan_push, push
from .report import DeleteReport, PushDescription, PushReport

__all__ = ["DeleteReport", "PushDescription", "PushReport", "delete", "plan_push", "push"]
