"""``Nersemble``, the Hugging Face ``datasets`` builder of NeRSemble v2.

Shards are videos (all cameras of a sequence for the view ``timestep``).  Whatever reads a file and can fail does so in
``_split_generators`` where the data set is prepared, so that errors arrive as they are; in a stream it happens when a
shard is reached.

For streaming, older releases of `datasets` replace `os` by a copy in the modules that this one imports: none of them
may look into `os.environ`, which changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.utils import tqdm

from .capture import CameraFacts, Capture, VideoFacts, forget_calibrations
from .config import FRAME_VIEWS, NO_DATA_FILES, NersembleConfig, refuse_urls
from .downloads import plan_files
from .errors import MissingAssetWarning, NersembleError, SelectionError, StorageError
from .filesystem import filesystem
from .layout import SERIALS, AssetPath, canonical_sequence
from .metadata import participant_columns, participant_table
from .opening import close_videos
from .rows import View, background_table, features_of, frame_table, timestep_table, video_table
from .shards import Shard, examine, list_shards, refuse_no_frames, report_missing

DESCRIPTION = "NeRSemble v2: multi-view videos of 425 people's faces, 16 calibrated cameras, 73 frames a second."
HOMEPAGE = "https://tobias-kirschstein.github.io/nersemble/"
LICENSE = "The terms agreed to when access was granted by the data's authors; not this package's licence."
CITATION = """\
@article{kirschstein2023nersemble,
    author = {Kirschstein, Tobias and Qian, Shenhan and Giebenhain, Simon and Walter, Tim and Nie\\ss{}ner, Matthias},
    title = {NeRSemble: Multi-View Radiance Field Reconstruction of Human Heads},
    journal = {ACM Trans. Graph.}, volume = {42}, number = {4}, articleno = {161}, year = {2023},
    doi = {10.1145/3592455}
}"""


class _ConfigNames(Mapping[str, NersembleConfig]):
    """The names that ``get_dataset_config_names`` lists, read from the catalogue when it asks for them.

    There are no predefined configs to look up: a name is read by ``NersembleConfig``.
    """

    def __iter__(self) -> Iterator[str]:
        catalog = filesystem().catalog()
        held = {sequence for sequences in catalog.sequences_of.values() for sequence in sequences}
        yield from (f"participant_{participant}" for participant in catalog.participants)
        yield from (f"sequence_{canonical_sequence(name)}" for name in catalog.sequences if name in held)
        yield from (f"camera_{serial}" for serial in SERIALS)
        yield "all"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return False

    def __getitem__(self, name: str) -> NersembleConfig:
        raise KeyError(name)

    def __bool__(self) -> bool:
        return False


class Nersemble(datasets.ArrowBasedBuilder):
    """Rows of NeRSemble v2; see ``NersembleConfig`` for the options and ``nersemble.rows`` for the columns."""

    VERSION = datasets.Version("2.0.0")
    BUILDER_CONFIG_CLASS = NersembleConfig
    builder_configs: ClassVar[Mapping[str, NersembleConfig]] = _ConfigNames()
    config: NersembleConfig

    def __init__(self, *args: Any, **options: Any) -> None:
        problem: OSError
        if options.get("data_files") is not None:  # `datasets` would look for them before the config is asked
            raise SelectionError(NO_DATA_FILES)
        refuse_urls(cache_dir=options.get("cache_dir"))
        try:
            super().__init__(*args, **options)
            return
        except NersembleError:  # some of which are errors of the operating system too
            raise
        except OSError as error:
            if error.filename is None:  # no file of the cache
                raise
            problem = error
        raise StorageError(
            f"The cache of datasets cannot be written: {problem.filename}: {(problem.strerror or '').lower()}. Set "
            "HF_HOME to a folder that can be written, or give cache_dir=.",
            problem.errno,
        )

    def _info(self) -> datasets.DatasetInfo:
        columns = participant_columns(self.config.filesystem) if self.config.view == "participant" else ()
        return datasets.DatasetInfo(
            description=DESCRIPTION,
            features=features_of(self.config.view, self.config.frame, columns),
            homepage=HOMEPAGE,
            license=LICENSE,
            citation=CITATION,
        )

    def as_dataset(self, split: Any = None, *args: Any, **options: Any) -> Any:
        """The rows of a split; see ``datasets.DatasetBuilder``."""
        refuse_urls(split=split)
        return super().as_dataset(split, *args, **options)

    def as_streaming_dataset(self, split: Any = None, *args: Any, **options: Any) -> Any:
        """The rows of a split, to be streamed; see ``datasets.DatasetBuilder``."""
        refuse_urls(split=split)
        return super().as_streaming_dataset(split, *args, **options)

    # --- what to read -------------------------------------------------------------------------------------------------

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        # A new load must not answer from files that have changed since an earlier one.
        forget_calibrations()
        close_videos()
        config, view = self.config, self.config.view
        capture = Capture(config.data_dir or config.filesystem.local_folder)
        backgrounds = config.filesystem.catalog(max_age=60.0).backgrounds if view == "background" else ()
        shards = list_shards(config.selection, view, backgrounds)
        if view != "participant":
            if capture.folder is None and config.fetch == "download" and not dl_manager.is_streaming:
                capture = self._fetch(dl_manager.download_config, shards)
            prepares = not dl_manager.is_streaming
            headers = prepares and view != "background"
            if prepares or capture.folder is not None:  # what a server lacks shows when a stream comes to it
                shards, missing = examine(capture, shards, headers=headers, calibration=prepares)
                report_missing(missing, config.on_missing, nothing_left=not shards)
            if headers and view in FRAME_VIEWS:
                refuse_no_frames(shards, config.timesteps)
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"shards": shards, "capture": capture})]

    def _fetch(self, options: datasets.DownloadConfig, shards: Sequence[Shard]) -> Capture:
        """Download what the shards list into the cache of ``datasets``, in the published layout."""
        cache = Path(options.cache_dir or datasets.config.DOWNLOADED_DATASETS_PATH)
        folder = (cache / "nersemble" / self.config.root_name).absolute()
        files = [asset for shard in shards for asset in shard.assets]
        participants = sorted({asset.participant or 0 for asset in files})
        assets = [AssetPath(kind, p) for p in participants for kind in ("camera_params", "color_calibration")] + files
        force = bool(options.force_download)
        plan = plan_files(assets, folder, force=force, recheck=force)
        with tqdm(total=len(assets), unit=" files", desc="Downloading NeRSemble") as bar:
            bar.update(len(plan.done) + len(plan.absent))
            report = plan.run(on_file=lambda _: bar.update())
        report.raise_if_incomplete()
        return Capture(str(folder))

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _generate_tables(self, shards: list[Shard], capture: Capture) -> Iterator[tuple[int, pa.Table]]:
        rows = 0
        beyond = False  # a video has none of the timesteps
        for number, shard in enumerate(shards):
            table = self._table(shard, capture)
            if table is not None and len(table):
                rows += len(table)
                yield number, table
            beyond |= table is not None and not len(table)
        if beyond and not rows:
            warnings.warn(
                MissingAssetWarning(f"No video read has any of the timesteps {self.config.timesteps}."), stacklevel=2
            )

    def _table(self, shard: Shard, capture: Capture) -> pa.Table | None:
        config, features = self.config, self.info.features
        if config.view == "participant":
            return participant_table(config.filesystem, config.selection.participants, features)
        if config.view == "background":
            missing = capture.missing(shard.assets, ask=True)
            report_missing(missing, config.on_missing)
            stills = [asset for asset in shard.assets if asset not in missing]
            rows = [(asset, capture.path(asset), camera) for asset, camera in self._calibrated(capture, stills)]
            return background_table(rows, features) if rows else None
        views = self._views(shard, capture)
        if not views:
            return None
        if config.view == "frame":
            return frame_table(views[0], config.timesteps, config.frame, features)
        if config.view == "timestep":
            return timestep_table(views, config.timesteps, config.frame, features)
        return video_table(views[0], features)

    def _calibrated(self, capture: Capture, assets: Sequence[AssetPath]) -> list[tuple[AssetPath, CameraFacts]]:
        """The files with the calibration of their cameras, less those without."""
        found = []
        for asset in assets:
            participant = asset.participant or 0
            facts = capture.camera_facts(participant, asset.camera or "")
            if facts is None:
                gap = capture.missing_calibration(participant)
                report_missing([gap] if gap else [], self.config.on_missing)
                return []
            found.append((asset, facts))
        return found

    def _views(self, shard: Shard, capture: Capture) -> list[View]:
        facts: Sequence[VideoFacts | None] = shard.facts or self._read_facts(capture, shard.assets)
        known = {asset: fact for asset, fact in zip(shard.assets, facts, strict=True) if fact is not None}
        report_missing([asset for asset in shard.assets if asset not in known], self.config.on_missing)
        calibrated = self._calibrated(capture, list(known))
        return [View(asset, capture.path(asset), known[asset], camera) for asset, camera in calibrated]

    def _read_facts(self, capture: Capture, assets: Sequence[AssetPath]) -> Sequence[VideoFacts | None]:
        # Their frames are read next, from the decoders that are open now.
        return capture.facts_of(assets, keep_open=self.config.view in FRAME_VIEWS)


__all__ = ["Nersemble", "NersembleConfig"]
