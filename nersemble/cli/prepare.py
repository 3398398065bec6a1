"""``nersemble prepare``: a selection made into shards, checked, and pushed where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .options import Camera, Participant, Sequences
from .push import Members

if TYPE_CHECKING:
    from ..prepare import PreparePlan
    from ..prepare.sample import PrepareEstimate

#: Some units failed or were not tried: the same command, run again, goes on.
INCOMPLETE = 2

#: What a plan's file says; the other options say where and how it is run.
_PLANNED = tuple(
    "participant sequence camera timesteps scale size color_correction color_order image_format quality rows gop crf "
    "config_name without".split()
)
#: What `run` takes for itself.
_OWN_OPTIONS = ("plan", "folder", "engine", "workers", "recheck", "progress", "watch")

Out = Annotated[str, typer.Argument(metavar="OUT", help="A folder, or a URL that fsspec can write to.")]
Plan = Annotated[
    str | None,
    typer.Option("--plan", metavar="FILE", help="Run the plan of this plan.json, or of the shards in this folder."),
]
Timesteps = Annotated[
    str | None, typer.Option("--timesteps", metavar="SLICE", help="Such as 0::3 or 0:300:3.", show_default="all")
]
Scale = Annotated[float | None, typer.Option(help="Resize pictures by this factor.")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Resize pictures to this size.")]
Correct = Annotated[bool, typer.Option("--color-correction", help="Correct colours.")]
Order = Annotated[str, typer.Option(help="resize_first or correct_first.")]
Format = Annotated[str, typer.Option("--format", help="jpeg, png or webp.")]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP.")]
Rows = Annotated[str, typer.Option(help="A row is a moment (timestep), a picture (frame) or a clip (video).")]
Gop = Annotated[int, typer.Option(help="Pictures from keyframe to keyframe of clips.")]
Crf = Annotated[int, typer.Option(help="x264's constant rate factor of clips.")]
StageNames = Annotated[
    list[str] | None,
    typer.Option("--stage", metavar="MODULE:FUNCTION", help="A function that adds columns, such as a mask."),
]
ConfigName = Annotated[str | None, typer.Option(help="Name of the config.", show_default="participants")]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", metavar="DIR", help="A folder of the data set to read.", show_default="the server"),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="PATH", help="Leave out this video, which is damaged, say; as errors name it."),
]
FromCache = Annotated[bool, typer.Option("--from-cache", help="Read what load_dataset downloaded.")]
Engine = Annotated[str, typer.Option(help="local, ray or datatrove.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--engine-option", metavar="NAME=VALUE", help="Of the engine, such as partition=gpu."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Units at a time.", show_default="cores")]
Repo = Annotated[
    str | None, typer.Option("--push", metavar="REPO", help="Push to this private data set once it is verified.")
]
Recheck = Annotated[bool, typer.Option("--recheck", help="Make shards anew that were damaged since they were made.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what there is to do, from a measured sample, and do nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors alone.")]


@dataclass(frozen=True)
class _Call:
    """What is to be done with a plan."""

    out: str
    engine: str
    workers: int | None
    settings: dict[str, Any]
    repo: str | None
    members: int | None
    recheck: bool
    dry_run: bool
    yes: bool
    as_json: bool
    quiet: bool


def prepare(
    context: typer.Context,
    out: Out,
    plan: Plan = None,
    participant: Participant = None,
    sequence: Sequences = None,
    camera: Camera = None,
    timesteps: Timesteps = None,
    scale: Scale = None,
    size: Size = None,
    color_correction: Correct = False,
    color_order: Order = "resize_first",
    image_format: Format = "jpeg",
    quality: Quality = 95,
    rows: Rows = "timestep",
    gop: Gop = 12,
    crf: Crf = 16,
    stage: StageNames = None,
    config_name: ConfigName = None,
    without: Without = None,
    data_dir: DataDir = None,
    from_cache: FromCache = False,
    engine: Engine = "local",
    engine_option: Settings = None,
    workers: Workers = None,
    push: Repo = None,
    members: Members = None,
    recheck: Recheck = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prepare a selection once: decoded, resized, colour-corrected and encoded into Parquet shards.

    What was made is kept; the same command, run again, makes only what is missing. Exit code 2 if something could not
    be made.
    """
    call = _Call(out, engine, workers, _settings(engine_option), push, members, recheck, dry_run, yes, as_json, quiet)
    options.show_notes(quiet=quiet)
    options.stop_on_signals()
    try:
        code = _go(_plan(context), call)
    except KeyboardInterrupt:
        typer.echo("\nStopped. What was made is kept, and the same command goes on from there.", err=True)
        code = options.STOPPED
    if code:
        raise typer.Exit(code)


def _plan(context: typer.Context) -> PreparePlan:
    """The plan of a file, or of what was selected."""
    from .. import prepare as prepared
    from ..errors import SelectionError

    given = context.params
    source: dict[str, Any] = {name: given[name] for name in ("data_dir", "from_cache")}
    source["stages"] = [_stage(name) for name in given["stage"] or ()]
    if given["plan"] is None:
        chosen = {name: given[name] for name in _PLANNED}
        for name in ("participant", "sequence", "camera"):
            chosen[f"{name}s"] = options.written(chosen.pop(name), f"--{name}")
        chosen |= {"size": _size(chosen["size"]), "without": chosen["without"] or ()}
        return prepared.plan(**chosen, **source)
    words = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    said = [words[name] for name in _PLANNED if options.was_given(context, name)]
    if said:
        raise SelectionError(f"--plan says what is prepared and how: leave out {', '.join(said)}, or --plan.")
    return prepared.load_plan(given["plan"], **source)


def _go(plan: PreparePlan, call: _Call) -> int:
    from ..errors import PrepareError, PushError
    from ..prepare.claim import refusal
    from ..prepare.run import make_engine
    from ..prepare.target import Target

    target = Target(call.out)
    make_engine(call.engine, call.workers, call.settings)
    refused = refusal(plan, target)
    pushing = None if call.repo is None else _pushing(plan, call.repo, call.members)
    if call.dry_run:
        _show(plan, target.shown, call, refused, pushing)
        return 1 if refused or (pushing is not None and pushing.refusal) else 0
    if refused:
        raise PrepareError(refused)
    if pushing is not None and pushing.refusal:
        raise PushError(f"Nothing was made, since it could not be pushed: {pushing.refusal}")
    if not call.yes:
        _show(plan, target.shown, call, "", pushing)
        if not options.agreed("Nothing was made."):
            return 1
    silent = call.quiet or call.as_json
    shown = False if silent else None
    place = target.text  # a path from the root: what is imported for a stage may change the working directory
    report = plan.run(
        place, engine=call.engine, workers=call.workers, recheck=call.recheck, progress=shown, **call.settings
    )
    checked = plan.verify(place) if report.complete else None
    sound = checked is not None and checked.sound
    pushed = None
    if call.repo is not None and sound:
        pushed = plan.push(place, call.repo, members=call.members, progress=shown)
    parts = {"run": report, "verify": checked, "push": pushed}
    if call.as_json:
        options.print_json({name: None if part is None else part.as_dict() for name, part in parts.items()})
    if not silent or not (sound or report.submitted):
        typer.echo("\n".join(str(part) for part in parts.values() if part is not None), err=silent)
    return 0 if sound or report.submitted else INCOMPLETE


def _show(plan: PreparePlan, out: str, call: _Call, refused: str, pushing: Any) -> None:
    """Show what there is to do: to stdout if that was asked for, and to stderr in front of a question."""
    from ..prepare.sample import estimate

    reckoned = estimate(plan, call.workers)
    if call.dry_run and call.as_json:
        told = {**describe(plan, out, reckoned), "refusal": refused}
        options.print_json({**told, "push": None if pushing is None else pushing.as_dict()})
        return
    refusal = f"This will be refused: {refused}" if refused else ""
    parts = (summary(plan, out, reckoned), pushing, refusal)
    typer.echo("\n".join(str(part) for part in parts if part), err=not call.dry_run)


def _pushing(plan: PreparePlan, repo: str, members: int | None) -> Any:
    """What a push would do; asked before anything is made, so that a wrong token or a public target shows now."""
    from ..hub import plan_push

    return plan_push(plan, None, repo, members=members)


def summary(plan: PreparePlan, out: str, reckoned: PrepareEstimate) -> str:
    """What there is to do, for people."""
    selected = ", ".join(f"{name} {value}" for name, value in plan.selected.items())
    lines = [
        f"{plan}, into {out}",
        f"  selected      {selected}",
        f"  rows          {plan.rows:,} of kind {plan.options.rows}",
        f"  shards        {len(plan.units):,}",
        f"  estimate      {reckoned}, from a sample of {reckoned.pictures} pictures",
    ]
    return "\n".join(lines)


def describe(plan: PreparePlan, out: str, reckoned: PrepareEstimate) -> dict[str, Any]:
    """What there is to do, for scripts."""
    return {
        "plan": plan.hash,
        "config": plan.config,
        "target": out,
        "selected": plan.selected,
        "rows": plan.rows,
        "pictures": plan.pictures,
        "shards": len(plan.units),
        "estimate": {
            "bytes": reckoned.bytes,
            "seconds": round(reckoned.seconds, 1),
            "workers": reckoned.workers,
            "pictures": reckoned.pictures,
        },
    }


def _size(written: str | None) -> tuple[int, int] | None:
    if written is None:
        return None
    from ..errors import SelectionError

    words = written.lower().split("x")
    if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
        raise SelectionError(f"--size is width x height, such as 550x802, not {written!r}.")
    return int(words[0]), int(words[1])


def _stage(name: str) -> Any:
    """The function that ``module:function`` names; modules of the working directory count."""
    import importlib
    import os
    import sys

    from ..errors import SelectionError
    from ..prepare.said import said_by

    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    problem = ""
    try:
        return getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the module does when it is imported
        problem = said_by(error)
    raise SelectionError(f"--stage {name} cannot be had: {problem}. It is module:function, such as masks:matte.")


def _settings(written: list[str] | None) -> dict[str, Any]:
    from ..errors import SelectionError

    settings: dict[str, Any] = {}
    for word in written or ():
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise SelectionError(f"--engine-option is name=value, such as partition=gpu, not {word!r}.")
        if name in _OWN_OPTIONS:
            raise SelectionError(f"--engine-option {name}= is no option of an engine. See --help for {name}.")
        settings[name] = int(value) if value.isdecimal() else value
    return settings
