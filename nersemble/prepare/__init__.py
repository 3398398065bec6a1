"""Preparing a subset once: planned, made on one machine or a cluster, verified, and pushed to a private hub.

>>> plan = nersemble.prepare.plan(participants="50-60", scale=0.25, color_correction=True)    # doctest: +SKIP
>>> plan.run("out/", workers=8)                                                               # doctest: +SKIP
>>> plan.verify("out/")                                                                       # doctest: +SKIP
>>> plan.push("out/", "my-lab/heads-quarter")                                                 # doctest: +SKIP

Where things are:

- planning: ``planning`` (the call), ``headers``, ``options``, ``names``, ``unit``, ``plans`` and ``plan_files`` (what
  comes of it), ``sample`` (how large and how long it will be);
- stages: ``stages``, ``packing`` (on their way to workers), ``fingerprint`` (what tells them apart), with ``told`` for
  values and ``owners`` for modules;
- making: ``run`` (the driver, on an engine), ``claim`` (whose the folder is), ``job``, ``work`` (a unit), with
  ``view``, ``encode``, ``shard``, ``whole`` (is it there?) and ``target``;
- after it: ``report``, ``verify``.
"""

from .options import PrepareOptions
from .plan_files import load_plan
from .planning import plan
from .plans import PreparePlan
from .report import RunReport
from .run import run_plan
from .stages import stage
from .unit import Unit
from .verify import ShardReport, verify_shards

__all__ = [
    "PrepareOptions",
    "PreparePlan",
    "RunReport",
    "ShardReport",
    "Unit",
    "load_plan",
    "plan",
    "run_plan",
    "stage",
    "verify_shards",
]
