"""The rows of the two metadata CSVs, for the view ``participant``."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence

import pyarrow as pa

from .catalog import ID_COLUMN, parse_participants
from .errors import AssetNotFoundError, MissingAssetWarning
from .filesystem import NersembleFileSystem
from .layout import PARTICIPANTS_CSV, canonical_sequence

LIFE = 60.0


def participant_columns(filesystem: NersembleFileSystem) -> tuple[str, ...]:
    """The columns of both CSVs but the id, those of ``metadata_participants.csv`` first; names in both come once."""
    people, _ = _people(filesystem)
    listed = (name for name in filesystem.catalog(LIFE).columns if name != ID_COLUMN and name not in people)
    return tuple(name for name in (*people, *listed) if name not in ("participant", "sequences"))


def metadata_digest(filesystem: NersembleFileSystem) -> str:
    """A digest of what both CSVs say."""
    catalog = filesystem.catalog(LIFE)
    said = [catalog.columns, sorted(catalog.rows.items()), sorted(_people(filesystem)[1].items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def participant_table(filesystem: NersembleFileSystem, participants: Sequence[int], features: object) -> pa.Table:
    """A row a participant: id, the sequences they have, and every cell of the CSVs as it stands (empty: null)."""
    schema = features.arrow_schema  # type: ignore[attr-defined]
    catalog = filesystem.catalog(LIFE)
    _, people = _people(filesystem)
    rows = []
    for participant in participants:
        cells = {**catalog.rows.get(participant, {}), **people.get(participant, {})}
        row = {name: cells.get(name) or None for name in schema.names}
        row["participant"] = participant  # type: ignore[assignment]
        row["sequences"] = [canonical_sequence(name) for name in catalog.sequences_of[participant]]  # type: ignore[assignment]
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def _people(filesystem: NersembleFileSystem) -> tuple[tuple[str, ...], dict[int, dict[str, str]]]:
    """``metadata_participants.csv``; nothing where it is not there, as in folders of the official kit."""
    try:
        columns, rows = parse_participants(filesystem.cat_file(PARTICIPANTS_CSV))
    except AssetNotFoundError:
        return (), {}
    if not rows:
        warnings.warn(
            f"{PARTICIPANTS_CSV} has no column of participant ids that is known here, so its columns are left out. The "
            'file itself can be read with filesystem("nersemble").cat_file.',
            MissingAssetWarning,
            stacklevel=2,
        )
    return columns, rows
