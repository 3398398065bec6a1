"""The YAML at the head of a card, changed key by key: all else stays as it was written, comments and spelling too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from ..errors import PushError

_AGAIN = "Repair it there first."
_STYLE: dict[str, Any] = {"allow_unicode": True, "width": 100_000}


class Head:
    """The YAML at the head of a card.

    Args:
        text: It, with ``\\n`` at the end of every line.

    Attributes:
        text: As it is now.

    Raises:
        PushError: If it cannot be read, or is no mapping.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._root = _read(text)

    def get(self, key: str) -> Any:
        """The value of a key, with texts in place of numbers, dates and truths; None if it is not there or null.

        Raises:
            PushError: If it cannot be told.
        """
        node = self._node(key)
        return None if node is None else _value(node)

    def entries(self) -> list[dict[str, Any]]:
        """The configs, of values as ``get`` gives them, with those that they take over from others (``<<``).

        Raises:
            PushError: If they are no list of mappings.
        """
        return [_whole(_value(node)) for node in self._entries()]

    def set_data_files(self, config: str, data_files: list[dict[str, str]]) -> None:
        """Say which files a config has, in an entry that is there or made."""
        entries = self._entries()
        names = [_value(node).get("config_name") for node in entries]
        if config not in names:
            entries.append(_node_of({"config_name": config}))
            names.append(config)
        mine = entries[names.index(config)]
        mine.value = [pair for pair in mine.value if pair[0].value != "data_files"]
        mine.value.insert(1, (_node_of("data_files"), _node_of(data_files)))
        self._set_entries(entries)

    def remove_config(self, config: str) -> None:
        """Remove the entry of a config, and the key if it was the last."""
        self._set_entries([node for node in self._entries() if _value(node).get("config_name") != config])

    def set(self, key: str, value: Any) -> None:
        """Give a key a value, unless it has that."""
        self._set_node(key, _node_of(value))

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _pairs(self) -> list[tuple[Any, Any]]:
        return [] if self._root is None else self._root.value

    def _node(self, key: str) -> Any:
        """The last one, as YAML's readers take it."""
        found = [value for name, value in self._pairs() if isinstance(name, yaml.ScalarNode) and name.value == key]
        return None if not found or found[-1].tag.endswith(":null") else found[-1]

    def _entries(self) -> list[Any]:
        node = self._node("configs")
        if node is None:
            return []
        entries = node.value if isinstance(node, yaml.SequenceNode) else [None]
        if not all(isinstance(entry, yaml.MappingNode) for entry in entries):
            raise PushError(f"The entry `configs` of the README.md on the hub is no list. {_AGAIN}")
        return list(entries)

    def _set_entries(self, entries: list[Any]) -> None:
        """Give `configs` these entries, one of which is flagged."""
        told = [_whole(_value(node)) for node in entries]
        flagged = any(str(one.get("default")).lower() in ("true", "yes", "on") for one in told)
        # With one of several configs flagged, every loader and `push_to_hub` of `datasets` know which one is meant.
        if entries and not flagged and not any(one.get("config_name") == "default" for one in told):
            # Others that take over what an entry says would be flagged with it.
            shared = _shared(self._root)
            first = next((one for one in entries if id(one) not in shared), None)
            if first is not None:
                first.value = [pair for pair in first.value if pair[0].value != "default"]
                first.value.append((_node_of("default"), _node_of(True)))
        node = yaml.SequenceNode("tag:yaml.org,2002:seq", entries, flow_style=False) if entries else None
        before = self._entries()
        places = [next((place for place, one in enumerate(before) if one is entry), None) for entry in entries]
        self._set_node("configs", node, lambda: self._with_entries(entries, places))

    def _set_node(self, key: str, node: Any, kept: Callable[[], str | None] = lambda: None) -> None:
        """Give a key this value, or remove it.

        Args:
            key: The key.
            node: Its value; None to remove it.
            kept: Gives a text that keeps more of what it has than one that is written anew; None if there is none.
        """
        told = None if node is None else _written(_mapping([(_node_of(key), node)]))
        self._root = _read(self.text)  # entries were changed where they are
        before = self._told()
        named = [name for name, _ in self._pairs() if isinstance(name, yaml.ScalarNode) and name.value == key]
        if len(named) > 1:
            raise PushError(f"The head of the README.md on the hub has the key `{key}` {len(named)} times. {_AGAIN}")
        if told == before.get(key) or (told is None and not named):
            return
        wanted = {name: said for name, said in before.items() if name != key}
        wanted |= {} if told is None else {key: told}
        for text in (kept() if named else None, self._with(named[0] if named else None, told or "")):
            if text is not None and _says(text, wanted):
                self.text, self._root = text, _read(text)
                return
        raise PushError(f"The head of the README.md on the hub cannot be changed without loss. {_AGAIN}")

    def _with_entries(self, entries: list[Any], places: list[int | None]) -> str | None:
        """The text with these entries, of which those that were there, at these places, keep their comments."""
        node = self._node("configs")
        was = self._entries()
        if node is None or node.flow_style or not was:
            return None
        name = next(name for name, value in self._pairs() if value is node)
        start, end = self._span(name)
        starts = [self.text.rfind("\n", 0, one.start_mark.index) + 1 for one in was]
        dash = re.match(r" *(?=-)", self.text[starts[0] :])
        if dash is None or starts[0] <= start:
            return None
        bounds = [*starts, end]
        parts = []
        for entry, place in zip(entries, places, strict=True):
            text = "" if place is None else self.text[bounds[place] : bounds[place + 1]]
            same = place is not None and _written(was[place]) == _written(entry)
            if not same:
                text = _changed(text, entry, None if place is None else was[place], dash[0])
            parts.append(text if text.endswith("\n") else f"{text}\n")
        return self.text[: starts[0]] + "".join(parts) + self.text[end:]

    def _told(self) -> dict[str, str]:
        """What each key says, in one way of writing it."""
        pairs = [(_written(name), _written(_mapping([(name, value)]))) for name, value in self._pairs()]
        found: dict[str, str] = {}
        for (name, told), (node, _) in zip(pairs, self._pairs(), strict=True):
            key = node.value if isinstance(node, yaml.ScalarNode) else name
            found[key] = found.get(key, "") + told
        return found

    def _with(self, name: Any, told: str) -> str:
        """The text with that of a key in place of what it has."""
        if self._root is None:
            return self.text + told
        block = not self._root.flow_style and all(one.start_mark.column == 0 for one, _ in self._pairs())
        if not block:
            # What is written in another way than a key a line is written anew.
            rest = [pair for pair in self._pairs() if pair[0] is not name]
            return (_written(_mapping(rest)) if rest else "") + told
        if name is None:
            return self.text.rstrip("\n") + "\n" + told
        start, end = self._span(name)
        return self.text[:start] + told + self.text[end:]

    def _span(self, name: Any) -> tuple[int, int]:
        """Where the text of a key begins and ends."""
        starts = sorted(one.start_mark.index for one, _ in self._pairs())
        start = name.start_mark.index
        end = next((one for one in starts if one > start), len(self.text))
        # Comments before the next key are about that.
        return start, start + len(_split_end(self.text[start:end])[0])


def _says(text: str, wanted: dict[str, str]) -> bool:
    """Whether a head says this, key by key."""
    try:
        return Head(text)._told() == wanted
    except PushError:
        return False


def _split_end(text: str) -> tuple[str, str]:
    """A text, and the comments and empty lines at its end."""
    found = re.search(r"(?:^[ \t]*(?:#[^\n]*)?\n)+\Z", text, re.MULTILINE)
    return (text, "") if found is None else (text[: found.start()], found[0])


def _changed(text: str, entry: Any, was: Any, indent: str) -> str:
    """The text of an entry that changed: a line more if that is all, or else written anew."""
    body, comments = _split_end(text)
    if was is not None and not was.flow_style and was.value and len(entry.value) == len(was.value) + 1:
        added = _written(_mapping([entry.value[-1]]))
        return f"{body}{' ' * was.value[0][0].start_mark.column}{added}{comments}"
    lines = _written(yaml.SequenceNode("tag:yaml.org,2002:seq", [entry], flow_style=False)).splitlines(keepends=True)
    return "".join(indent + line for line in lines) + comments


def _shared(root: Any) -> set[int]:
    """What is said in more than one place, by anchors: identities of nodes."""
    seen: set[int] = set()
    shared: set[int] = set()
    todo = [] if root is None else [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            shared.add(id(node))
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            todo += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value
    return shared


def _read(text: str) -> Any:
    problem = ""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = f": {' '.join(str(error).split())[:200].rstrip('. ')}"
    else:
        if root is None or isinstance(root, yaml.MappingNode):
            return root
        if isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null"):
            return None
    raise PushError(f"The YAML at the head of the README.md on the hub cannot be read{problem}. {_AGAIN}")


def _value(node: Any) -> Any:
    try:
        return yaml.constructor.BaseConstructor().construct_document(node)
    except (yaml.YAMLError, RecursionError):
        pass
    raise PushError(f"The YAML at the head of the README.md on the hub refers to itself. {_AGAIN}")


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """A mapping with what it takes over from others, the first of which counts."""
    own = dict(entry)
    before = own.pop("<<", None) or []
    for one in before if isinstance(before, list) else [before]:
        own = {**_whole(one), **own} if isinstance(one, dict) else own
    return own


def _node_of(value: Any) -> Any:
    return yaml.compose(yaml.safe_dump(value, sort_keys=False, **_STYLE), Loader=yaml.SafeLoader)


def _mapping(pairs: list[tuple[Any, Any]]) -> Any:
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=False)


def _written(node: Any) -> str:
    return str(yaml.serialize(node, Dumper=yaml.SafeDumper, **_STYLE))
