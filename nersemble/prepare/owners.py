"""Whose a module is: the caller's own, or one of a package, which its name and version tell."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

from .. import __version__

#: Folders that packages are installed into.
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = Path(os.__file__).parent


def package_of(module: str) -> str | None:
    """Name and version of the package that a module is of; ``python`` for the standard library.

    Nothing is imported to find out. A package that is installed as a link to its folder is its author's own: it changes
    without a new version.

    Returns:
        None for a module of the caller's own, and for one that is not there.
    """
    top = module.partition(".")[0]
    if top == "nersemble":
        return f"nersemble {__version__}"
    place = _place_of(module)
    if place is None:  # built in, or typed in
        return "python" if top in sys.stdlib_module_names else None
    if _INSTALLED & set(place.parts):
        return _versions(top)
    return "python" if place.is_relative_to(_STANDARD) else None


def _place_of(module: str) -> Path | None:
    """The file of a module, or the folder of one without; by its first name alone if it was not imported yet."""
    found = sys.modules.get(module)
    if found is None:
        try:
            spec = importlib.util.find_spec(module.partition(".")[0])
        except (ImportError, ValueError, AttributeError):
            return None
        file, folders = (spec.origin if spec and spec.has_location else None), spec and spec.submodule_search_locations
    else:
        file, folders = getattr(found, "__file__", None), getattr(found, "__path__", None)
    file = file or next(iter(folders or ()), None)
    return Path(file) if file else None


@functools.cache
def _versions(top: str) -> str:
    """Names and versions of what was installed and holds a module; the list of everything is asked last: it is slow."""
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        names = sorted(set(metadata.packages_distributions().get(top, ())))
    told = [f"{name} {metadata.version(name)}" for name in names]
    return " ".join(told) or f"{top} {getattr(sys.modules.get(top), '__version__', '')}"
