"""The card of a pushed data set, its ``README.md``: what the data are, how they were made, what may be done with them.

What this package writes stands between two comments, with a section for each config; all else of a card is kept as it
is.  The same plan on the same card gives the same text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from ..access import ACCESS_FORM
from ..prepare import PreparePlan
from .described import CITATION, INTRODUCTION, SECTION, section
from .head import Head
from .patterns import Taking, kind_of

BEGIN, END = "<!-- nersemble: begin -->", "<!-- nersemble: end -->"
#: From a beginning to an end, with no other beginning in between: others may write of either.
_OURS = re.compile(f"{BEGIN}(?:(?!{BEGIN}).)*?{END}", re.DOTALL)
#: Begins the name of a file that does not exist, which the card names while a push is not finished: loading then fails.
INCOMPLETE = "incomplete-push-again"
#: Characters of somebody else's value that a report shows.
_SHOWN = 60

_GATE = (
    "This shows people's faces. The terms of the NeRSemble data set go for it, and you need access from its authors "
    f"({ACCESS_FORM}). Do not pass the data on, do not publish them, and do not try to find out who the people are."
)
_KEYS: dict[str, Any] = {
    "pretty_name": "NeRSemble v2, prepared",
    "tags": ["nersemble", "multi-view", "faces"],
}
#: What shows faces is under these terms, whatever somebody else wrote in the card.
_TERMS: dict[str, Any] = {
    "license": "other",
    "license_name": "nersemble-terms-of-use",
    "license_link": ACCESS_FORM,
    "extra_gated_prompt": _GATE,
    "extra_gated_fields": {"I agree to the terms of the NeRSemble data set": "checkbox"},
}
#: Names of files, in lower case, that `datasets` takes for data where no configs are named.
_LOADABLE = re.compile(
    r"\.(?:csv|tsv|jsonl?|ndjson|parquet|arrow|feather|geoparquet|gpq|txt|xml|h5|hdf5|nc|zip|tar|tgz|gz|bz2|xz|zst|7z|lz4"
    r"|jpe?g|png|gif|bmp|webp|tiff?|ppm|pgm|heic|mp4|mkv|mov|avi|webm|mpe?g|wav|mp3|flac|ogg|opus|m4a|pdf|eval|lance|vortex"
    r"|nii)$"
)
_NO_DATA = re.compile(
    r"(?:^|/)(?:\.|__)|(?:^|/)(?:readme|licen[cs]e|citation|notice|requirements|dataset_infos?)[^/]*$"
)


def is_ours(card: str | None) -> bool:
    """Whether this package wrote in a card."""
    return card is not None and BEGIN in card and END in card


def merge_card(card: str | None, plan: PreparePlan, size: int, *, incomplete: bool = False) -> str:
    """A card with the section and the entry of a config as they should be.

    Args:
        card: What it is now; None if there is none.
        plan: Of the config.
        size: Bytes of its shards.
        incomplete: Whether shards are missing still: then nothing can be loaded under the config's name.

    Raises:
        PushError: If the card's YAML cannot be read, or not be changed without loss.
    """
    head, body = _split(card)
    for key, value in _KEYS.items():
        if head.get(key) is None:
            head.set(key, value)
    for key, value in _TERMS.items():
        head.set(key, value)
    head.set("viewer", False)
    head.set_data_files(plan.config, _data_files(plan.config, plan.hash if incomplete else ""))
    sections = _sections(body)
    sections[plan.config] = section(plan, size, incomplete=incomplete)
    return _joined(head, body, sections)


def remove_config(card: str, config: str) -> str:
    """A card without a config."""
    head, body = _split(card)
    head.remove_config(config)
    sections = _sections(body)
    sections.pop(config, None)
    return _joined(head, body, sections)


def overrides(card: str | None) -> tuple[str, ...]:
    """What others wrote in a card that a push replaces, since faces are under terms of their own: keys and values.

    The hub is not to show them in its viewer either.
    """
    head = _split(card)[0]
    told = {key: head.get(key) for key in (*_TERMS, "viewer")}
    return tuple(
        f"{key}: {' '.join(str(value).split())[:_SHOWN]}"
        for key, value in told.items()
        if value is not None and value != _TERMS.get(key, "false")
    )


def conflict_in(
    card: str | None, config: str, files: Iterable[str], configs: Iterable[str], coming: Collection[str]
) -> str:
    """Why a config must not be added to a card; "" if nothing stands against it.

    Args:
        card: What it is now; None if there is none.
        config: Its name.
        files: All files of the data set.
        configs: Those that this package pushed.
        coming: The files that the config will have.
    """
    if card is not None and "\ufffd" in card:
        return "The README.md on the hub is not UTF-8, and would lose what it says. Save it as UTF-8 there first."
    head, body = _split(card)
    entries = head.entries()
    for entry in entries:
        if entry.get("config_name") == config and not _is_ours(entry, config):
            return (
                f"The README.md on the hub has a config {config} of other files: {entry.get('data_files')!r}. Plan "
                "with another config_name=."
            )
    folders = tuple(f"{one}/" for one in {*configs, *_sections(body), config})
    loadable = [path for path in files if _is_loadable(path)]
    theirs = [path for path in loadable if not path.startswith(folders)]
    if theirs and not entries:
        return (
            f"There are files of others, {min(theirs)} first, that load without a config's name, and would not once a "
            "config is named. Name them as one in the `configs` of the README.md on the hub first, or push to another "
            "data set."
        )
    kind = kind_of(entries[0], [*loadable, *coming]) if entries and not _is_ours_by_name(entries[0]) else ""
    if kind not in ("", "parquet"):
        return (
            f"The first config in the README.md on the hub, {entries[0].get('config_name')}, is of {kind} files, and "
            "`datasets` loads all configs of a data set as it loads the first: these shards, of Parquet, or the files "
            "of others could not be loaded. Push to another data set, or make Parquet of them there first."
        )
    others = [entry for entry in entries if not _is_ours_by_name(entry)]
    return next(filter(None, (_taken(entry, loadable, theirs, coming) for entry in others)), "")


def _taken(entry: dict[str, Any], files: list[str], theirs: list[str], coming: Collection[str]) -> str:
    """Why a config of others stands against files that are to come; "" if it does not take them.

    One that takes files of ours already, and none of others, is meant to.
    """
    taking = Taking(entry, [*files, *coming])
    taken = next(filter(taking.takes, coming), "")
    if not taken or (any(map(taking.takes, files)) and not any(map(taking.takes, theirs))):
        return ""
    return (
        f"The config {entry.get('config_name')} of others in the README.md on the hub takes {taking.told}: it would "
        f"take {taken} as well, and load it as its own or not load any more. Narrow its data_files in the README.md "
        "of the data set first, such as to one folder, or push to another data set."
    )


def unfinished(card: str | None, config: str) -> str:
    """The hash of the plan whose push into a config was begun and not finished; "" if there is none such."""
    for entry in _split(card)[0].entries():
        if entry.get("config_name") == config:
            found = re.search(rf"/{INCOMPLETE}-([0-9a-f]+)\.", str(entry.get("data_files")))
            return found[1] if found else ""
    return ""


def configs_of(card: str | None) -> list[str]:
    """The configs that a card has sections of."""
    return list(_sections(_split(card)[1]))


def section_of(text: str, config: str) -> str:
    """The section of a config in a card with ``\n`` at the end of every line; "" if it has none."""
    return _sections(text).get(config, "")


# --- YAML -------------------------------------------------------------------------------------------------------------


def _split(card: str | None) -> tuple[Head, str]:
    """The YAML at the head of a card, and all that follows it, with one kind of line ends."""
    card = (card or "").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = re.match(r"\s*---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", card, re.DOTALL | re.MULTILINE)
    return (Head(""), card) if found is None else (Head(found[1]), card[found.end() :])


def _data_files(config: str, unfinished: str) -> list[dict[str, str]]:
    name = f"{INCOMPLETE}-{unfinished}.parquet" if unfinished else "**/*.parquet"
    return [{"split": "train", "path": f"{config}/{name}"}]


def _is_ours(entry: dict[str, Any], config: str) -> bool:
    files = entry.get("data_files")
    begun = re.search(rf"/{INCOMPLETE}-([0-9a-f]+)\.", str(files))
    return bool(files == _data_files(config, begun[1] if begun else ""))


def _is_ours_by_name(entry: dict[str, Any]) -> bool:
    return _is_ours(entry, str(entry.get("config_name")))


def _is_loadable(path: str) -> bool:
    return bool(_LOADABLE.search(path.lower())) and not _NO_DATA.search(path.lower())


# --- text -------------------------------------------------------------------------------------------------------------


def _sections(body: str) -> dict[str, str]:
    ours = _OURS.search(body)
    return {} if ours is None else {found[1]: found[0] for found in SECTION.finditer(ours[0])}


def _joined(head: Head, body: str, sections: dict[str, str]) -> str:
    configs = "\n".join(sections.values())
    ours = f"{BEGIN}\n{INTRODUCTION}\n## Configs\n\n{configs}{CITATION}\n{END}"
    before = _OURS.search(body)
    if before is not None:
        body = body[: before.start()] + ours + body[before.end() :]
    else:
        body = f"{body.rstrip()}\n\n{ours}\n".lstrip("\n")
    return f"---\n{head.text}---\n{body}"
