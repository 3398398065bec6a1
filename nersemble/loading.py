"""``load_dataset`` through public names of ``datasets`` alone."""

from __future__ import annotations

from typing import Any

from .builder import Nersemble
from .config import refuse_urls
from .registration import BUILDER_HASH, NAME


def load_dataset(
    name: str | None = None,
    *,
    split: Any = None,
    streaming: bool = False,
    cache_dir: str | None = None,
    features: Any = None,
    download_config: Any = None,
    download_mode: Any = None,
    verification_mode: Any = None,
    keep_in_memory: bool = False,
    num_proc: int | None = None,
    **options: Any,
) -> Any:
    """Load NeRSemble v2; the same call as ``datasets.load_dataset("nersemble", name, ...)``.

    Args:
        name: A config name such as ``participant_240``; see ``NersembleConfig`` for this and the further options.
        split: ``"train"``, the only split, or a slice of it; a dict of splits by default.
        streaming: Fetch nothing up front.
        cache_dir, features, download_config, download_mode, verification_mode, keep_in_memory, num_proc: As in
            ``datasets.load_dataset``.
        **options: Options of ``NersembleConfig``.

    Returns:
        A ``Dataset`` or ``IterableDataset``, or a dict of them by split.
    """
    refuse_urls(split=split, download_mode=download_mode, verification_mode=verification_mode)
    builder = Nersemble(
        cache_dir=cache_dir, dataset_name=NAME, config_name=name, hash=BUILDER_HASH, features=features, **options
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(
        download_config=download_config,
        download_mode=download_mode,
        verification_mode=verification_mode,
        num_proc=num_proc,
    )
    return builder.as_dataset(split=split, in_memory=keep_in_memory)
