"""The one seam into the private names of ``datasets``: makes ``load_dataset("nersemble", ...)`` find the builder.

``datasets`` has no plug-in hook, so ``dataset_module_factory`` is wrapped in the two modules that call it; it answers
for the one name ``"nersemble"`` and passes everything else on.  The features are registered beside it, and the
methods of ``datasets.Features`` that decode rows are wrapped, so that frames of a batch are read in one pass;
``nersemble://`` and ``nersemble-frame://`` are registered with fsspec.  ``install`` is cheap: libraries that are not
imported yet are waited for, with an import hook that runs once.  It does without the base classes of ``importlib.abc``,
whose import would take longer than all the rest.  Should this seam ever move, ``nersemble.load_dataset`` does the same
through public names.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

NAME = "nersemble"
#: Names the builder's cache folders; changes only if old caches must not be used.
BUILDER_HASH = "nersemble-1"


def install() -> None:
    """Register now with the libraries that are imported, and with the others once they are."""
    waiting = {}
    for library, register in (("fsspec", _register_filesystem), ("datasets", _register_builder)):
        module = sys.modules.get(library)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            register()
        else:
            waiting[library] = register
    if waiting and not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport(waiting))


def _register_filesystem() -> None:
    import fsspec

    fsspec.register_implementation(NAME, "nersemble.filesystem.NersembleFileSystem", clobber=True)
    fsspec.register_implementation(f"{NAME}-frame", "nersemble.frame_files.FrameFileSystem", clobber=True)


def _register_builder() -> None:
    import datasets.inspect
    import datasets.load
    from datasets.features.features import _FEATURE_TYPES, register_feature

    for module in (datasets.load, datasets.inspect):
        factory = module.dataset_module_factory
        if not hasattr(factory, "nersemble"):
            module.dataset_module_factory = _answering_for_nersemble(factory)
    from .batching import decoding_together
    from .features import VideoFrame
    from .private_video import PrivateVideo

    for name in ("decode_example", "decode_batch", "decode_column"):
        method = getattr(datasets.Features, name)
        if not hasattr(method, "nersemble"):
            setattr(datasets.Features, name, decoding_together(method))
    for feature in (VideoFrame, PrivateVideo):
        if _FEATURE_TYPES.get(feature.__name__) is not feature:
            with warnings.catch_warnings():  # some releases call register_feature experimental, at every import
                warnings.simplefilter("ignore")
                register_feature(feature, feature.__name__)


def _answering_for_nersemble(factory: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(factory)
    def dataset_module_factory(path: str, *args: Any, **kwargs: Any) -> Any:
        if path != NAME:
            return factory(path, *args, **kwargs)
        from datasets.load import DatasetModule

        return DatasetModule("nersemble.builder", BUILDER_HASH, {"dataset_name": NAME})

    dataset_module_factory.nersemble = True  # type: ignore[attr-defined]
    return dataset_module_factory


class _AfterImport:
    """Calls back once a library has been imported, whoever imports it; looking it up alone changes nothing."""

    def __init__(self, waiting: dict[str, Callable[[], None]]) -> None:
        self._waiting = waiting
        self._searching = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._waiting or getattr(self._searching, "now", False):
            return None
        self._searching.now = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, functools.partial(self._imported, name))  # type: ignore[assignment]
        return spec

    def _imported(self, name: str) -> None:
        callback = self._waiting.pop(name, None)
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)
        if callback is not None:
            callback()


class _Loader:
    """Loads a module as its own loader does, then calls back."""

    def __init__(self, loader: Any, callback: Callable[[], None]) -> None:
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader  # as if this class had never been there
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if spec is not None:
            spec._initializing = False  # type: ignore[attr-defined]
        self._callback()
