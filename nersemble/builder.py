"""``Nersemble``, the Hugging Face ``datasets`` builder of NeRSemble v2.

Shards are videos (all cameras of a sequence for the view ``timestep``).  Whatever reads a file and can fail does so in
``_split_generators`` where the data set is prepared, so that errors arrive as they are; in a stream it happens when a
shard is reached.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.utils import tqdm

from .capture import CameraFacts, Capture, VideoFacts, forget_calibrations
from .config import FRAME_VIEWS, NersembleConfig, root_name
from .download import download
from .errors import AssetNotFoundError, MissingAssetWarning, SelectionError
from .filesystem import filesystem
from .layout import SERIALS, AssetPath, canonical_sequence
from .metadata import participant_columns, participant_table
from .rows import View, background_table, features_of, frame_table, timestep_table, video_table

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
#: How many missing files a warning names.
NAMED = 10


@dataclass(frozen=True)
class Shard:
    """What one call for a table covers: the videos of one row group, with their facts where already known."""

    assets: tuple[AssetPath, ...]
    facts: tuple[VideoFacts, ...] | None = None


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

    def _info(self) -> datasets.DatasetInfo:
        columns = participant_columns(self.config.filesystem) if self.config.view == "participant" else ()
        return datasets.DatasetInfo(
            description=DESCRIPTION,
            features=features_of(self.config.view, self.config.frame, columns),
            homepage=HOMEPAGE,
            license=LICENSE,
            citation=CITATION,
        )

    # --- what to read -------------------------------------------------------------------------------------------------

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        forget_calibrations()
        config = self.config
        capture = Capture(config.data_dir or config.filesystem.local_folder)
        shards = [Shard(assets) for assets in self._listed()]
        if config.view != "participant":
            if capture.folder is None and config.fetch == "download" and not dl_manager.is_streaming:
                capture, shards = self._fetch(dl_manager, shards)
            shards = self._present(capture, shards)
            if not dl_manager.is_streaming:
                shards = self._examined(capture, shards)
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"shards": shards, "capture": capture})]

    def _listed(self) -> list[tuple[AssetPath, ...]]:
        """The listed files of each shard."""
        selection, view = self.config.selection, self.config.view
        if view == "participant":
            return [tuple(AssetPath("camera_params", p) for p in selection.participants)]
        if view == "background":
            held = self.config.filesystem.catalog(max_age=60.0).backgrounds
            return [
                tuple(AssetPath("background", p, camera=serial) for serial in selection.cameras)
                for p in selection.participants
                if p in held
            ]
        moments = [(p, name) for p, names in selection.sequences_of for name in names]
        together = [tuple(AssetPath("video", p, name, serial) for serial in selection.cameras) for p, name in moments]
        return together if view == "timestep" else [(asset,) for assets in together for asset in assets]

    def _fetch(self, dl_manager: Any, shards: list[Shard]) -> tuple[Capture, list[Shard]]:
        """Download what the shards list into the cache of ``datasets``, in the published layout."""
        options = dl_manager.download_config
        cache = Path(options.cache_dir or datasets.config.DOWNLOADED_DATASETS_PATH)
        folder = (cache / "nersemble" / root_name(self.config.data_dir)).absolute()
        participants = sorted({asset.participant for shard in shards for asset in shard.assets if asset.participant})
        kinds = ("camera_params", "color_calibration")
        assets = [AssetPath(kind, p) for p in participants for kind in kinds]
        assets += [asset for shard in shards for asset in shard.assets]
        with tqdm(total=len(assets), unit=" files", desc="Downloading NeRSemble") as bar:
            download(self.config.filesystem, assets, folder, force=bool(options.force_download), progress=bar.update)
        return Capture(str(folder)), shards

    def _present(self, capture: Capture, shards: list[Shard]) -> list[Shard]:
        """The shards less the files that are not there; on a server that shows only when they are read."""
        if capture.folder is None:
            return shards
        missing = [asset for shard in shards for asset in shard.assets if not capture.exists(asset)]
        return self._without(shards, missing)

    def _examined(self, capture: Capture, shards: list[Shard]) -> list[Shard]:
        """The shards with the facts of their videos and their calibration checked, so that errors show here."""
        pairs = sorted({(a.participant, a.camera) for shard in shards for a in shard.assets})
        uncalibrated = {p for p, serial in pairs if capture.camera_facts(p or 0, serial or "") is None}
        missing = [a for shard in shards for a in shard.assets if a.participant in uncalibrated]
        if self.config.view != "background":
            assets = [a for shard in shards for a in shard.assets if a.participant not in uncalibrated]
            facts = dict(zip(assets, capture.facts_of(assets), strict=True))
            missing += [asset for asset, fact in facts.items() if fact is None]
            shards = self._without(shards, missing)
            shards = [Shard(shard.assets, tuple(facts[asset] for asset in shard.assets)) for shard in shards]  # type: ignore[misc]
            if self.config.view in FRAME_VIEWS:
                self._refuse_no_frames(shards)
            return shards
        return self._without(shards, missing)

    def _refuse_no_frames(self, shards: list[Shard]) -> None:
        most = max(fact.num_frames for shard in shards for fact in shard.facts or ())
        if not len(self.config.timesteps.within(most)):
            raise SelectionError(
                f"timesteps {self.config.timesteps} lie beyond every selected video: the longest has {most} "
                f"frames, 0 to {most - 1}."
            )

    def _without(self, shards: list[Shard], missing: Sequence[AssetPath]) -> list[Shard]:
        if missing:
            self._tell(missing, sum(len(shard.assets) for shard in shards))
        gone = set(missing)
        left = [tuple(asset for asset in shard.assets if asset not in gone) for shard in shards]
        return [Shard(assets) for assets in left if assets]

    def _tell(self, missing: Sequence[AssetPath], listed: int) -> None:
        named = ", ".join(asset.uri for asset in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        files = "file is" if len(missing) == 1 else "files are"
        message = f"{len(missing)} listed {files} not there: {named}{more}."
        if self.config.on_missing == "raise" or len(missing) == listed:
            raise AssetNotFoundError(f'{message} Select others, or skip what is missing with on_missing="warn".')
        warnings.warn(MissingAssetWarning(f"{message} Their rows are left out."), stacklevel=2)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _generate_tables(self, shards: list[Shard], capture: Capture) -> Iterator[tuple[int, pa.Table]]:
        for number, shard in enumerate(shards):
            table = self._table(shard, capture)
            if table is not None and len(table):
                yield number, table

    def _table(self, shard: Shard, capture: Capture) -> pa.Table | None:
        config, features = self.config, self.info.features
        if config.view == "participant":
            return participant_table(config.filesystem, config.selection.participants, features)
        calibrated = [(asset, self._camera(capture, asset)) for asset in shard.assets]
        known = [(asset, camera) for asset, camera in calibrated if camera is not None]
        if config.view == "background":
            return background_table([(a, capture.path(a), camera) for a, camera in known], features) if known else None
        views = self._views(shard, capture, known)
        if not views:
            return None
        if config.view == "frame":
            return frame_table(views[0], config.timesteps, config.frame, features)
        if config.view == "timestep":
            return timestep_table(views, config.timesteps, config.frame, features)
        return video_table(views[0], features)

    def _camera(self, capture: Capture, asset: AssetPath) -> CameraFacts | None:
        facts = capture.camera_facts(asset.participant or 0, asset.camera or "")
        if facts is None:
            self._tell([asset], 2)
        return facts

    def _views(self, shard: Shard, capture: Capture, known: list[tuple[AssetPath, CameraFacts]]) -> list[View]:
        assets = [asset for asset, _ in known]
        facts: Sequence[VideoFacts | None] = shard.facts or self._read_facts(capture, assets)
        missing = [asset for asset, fact in zip(assets, facts, strict=True) if fact is None]
        if missing:
            self._tell(missing, len(missing) + 1)
        return [
            View(asset, capture.path(asset), fact, camera)
            for (asset, camera), fact in zip(known, facts, strict=True)
            if fact is not None
        ]

    def _read_facts(self, capture: Capture, assets: list[AssetPath]) -> Sequence[VideoFacts | None]:
        if len(assets) == 1:  # its frames are read next, from the decoder that is open now
            return [capture.video_facts(assets[0], keep_open=self.config.view == "frame")]
        return capture.facts_of(assets)


__all__ = ["Nersemble", "NersembleConfig", "Shard"]
