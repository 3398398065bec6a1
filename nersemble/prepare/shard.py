"""A shard: the Parquet file of one unit, with features that `datasets` reads without this package.

The features are written down as every release line from 3.6 on reads them.  What makes a shard the one that a plan asks
for, the digest of its unit and options, stands in its footer; and so does the SHA-256 of the whole file, but for the
digits of that itself, so that every bit that changes later is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import PrepareError
from .options import PrepareOptions
from .stages import arrow_type

#: Bytes of pictures from which a row group is closed: what a reader of one row has to fetch at most, about.
GROUP_BYTES = 8 << 20
#: Rows of a row group at most.
GROUP_ROWS = 256
FOOTER_KEY = b"nersemble"
#: In front of the digits of the digest, and what stands for them in the file that it is taken of.
_MARK, _NO_DIGEST = b'"sha256": "', b"0" * 64
_BLOCK = 1 << 20

Feature = dict[str, Any]


def _value(dtype: str) -> Feature:
    return {"dtype": dtype, "_type": "Value"}


def _list(feature: Feature, length: int = -1) -> Feature:
    return {"feature": feature, "length": length, "_type": "Sequence"}


def _matrix(rows: int, columns: int = -1) -> Feature:
    return _list(_list(_value("float64"), columns), rows)


IMAGE: Feature = {"_type": "Image"}
VIDEO: Feature = {"_type": "Video"}
_IDS = {"participant": _value("int32"), "sequence": _value("string")}
_CAMERA = {"camera": _value("string")}
_TIMESTEP = {"timestep": _value("int32")}
_SIZE = {"width": _value("int32"), "height": _value("int32")}
_MATRICES = {"intrinsics": _matrix(3, 3), "world_to_camera": _matrix(4, 4), "ccm": _matrix(3)}


def features_of(options: PrepareOptions, stage_columns: Mapping[str, str]) -> dict[str, Feature]:
    """The features of a shard, as `datasets` writes them down.

    Args:
        options: Of the plan.
        stage_columns: Names and kinds of the columns that stages add to each picture (see ``stages``).
    """
    added = {name: IMAGE if kind == "image" else _value(kind) for name, kind in stage_columns.items()}
    if options.rows == "frame":
        return {**_IDS, **_CAMERA, **_TIMESTEP, "frame": IMAGE, **_SIZE, **_MATRICES, **added}
    if options.rows == "timestep":
        lists = {"cameras": _CAMERA["camera"], "frames": IMAGE, **_SIZE, **_MATRICES, **added}
        return {**_IDS, **_TIMESTEP, **{name: _list(feature) for name, feature in lists.items()}}
    clip = {
        "video": VIDEO,
        "timesteps": _list(_value("int32")),
        "num_frames": _value("int32"),
        "fps": _value("float64"),
    }
    lists = {name: _list(feature) for name, feature in added.items()}
    return {**_IDS, **_CAMERA, **clip, **_SIZE, **_MATRICES, **lists}


def _arrow(feature: Feature) -> pa.DataType:
    if feature["_type"] in ("Image", "Video"):
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    if feature["_type"] == "Value":
        return arrow_type(feature["dtype"])
    inner = _arrow(feature["feature"])
    return pa.list_(inner) if feature["length"] < 0 else pa.list_(inner, feature["length"])


@dataclass(frozen=True)
class ShardHeader:
    """What the footer of a shard says.

    Attributes:
        unit: Digest of the unit and options that it was made from.
        rows: How many rows it has.
        features: As they were written down.
    """

    unit: str
    rows: int
    features: dict[str, Feature]


def read_header(file: BinaryIO) -> ShardHeader | None:
    """The footer of a shard; None if it is none of ours, or cut off."""
    try:
        found = pq.read_metadata(file)
        held = found.metadata or {}
        mine = json.loads(held.get(FOOTER_KEY, b"{}"))
        features = json.loads(held.get(b"huggingface", b"{}"))["info"]["features"]
    except (pa.ArrowInvalid, pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(mine, dict) or not isinstance(mine.get("unit"), str):
        return None
    return ShardHeader(mine["unit"], found.num_rows, features)


class ShardWriter:
    """Writes rows, dicts of Python values by column, row group by row group.

    Args:
        path: The file, which is made.
        features: Of ``features_of``.
        unit: Digest for the footer.
    """

    def __init__(self, path: str, features: dict[str, Feature], unit: str) -> None:
        info = json.dumps({"info": {"features": features}})
        footer = json.dumps({"unit": unit, "sha256": _NO_DIGEST.decode()})
        self._path = path
        fields = [pa.field(name, _arrow(feature)) for name, feature in features.items()]
        self._schema = pa.schema(fields, metadata={b"huggingface": info.encode(), FOOTER_KEY: footer.encode()})
        # Pictures are compressed already; the rest is small.
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="none",
            use_dictionary=False,
            write_page_checksum=True,
            write_statistics=[name for name in ("participant", "sequence", "camera", "timestep") if name in features],
        )
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self.rows = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        """Add a row whose pictures, and what stages add to them, have ``size`` bytes."""
        self._rows.append(row)
        self._bytes += size
        if self._bytes >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self.rows += len(self._rows)
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush()
        self._writer.close()
        seal(self._path)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._rows = []
            self._writer.close()


def seal(path: str) -> None:
    """Write the digest of a shard into it.

    Raises:
        PrepareError: If it has no place for one.
    """
    with open(path, "rb+") as file:
        place = _find_digest(file)
        if place is None:
            raise PrepareError(f"{path} has no place for its digest. Please report this.")
        digest = _digest(file, place)
        file.seek(place)
        file.write(digest)


def is_undamaged(file: BinaryIO) -> bool:
    """Whether a shard is as it was when it was made, to the last bit; it is read whole."""
    place = _find_digest(file)
    if place is None:
        return False
    file.seek(place)
    return file.read(len(_NO_DIGEST)) == _digest(file, place)


def _find_digest(file: BinaryIO) -> int | None:
    """Where the digits of the digest are: in the footer, whose length stands in front of the last four bytes."""
    size = file.seek(0, 2)
    if size < 12:
        return None
    file.seek(size - 8)
    length = int.from_bytes(file.read(4), "little")
    start = size - 8 - length
    if start < 0:
        return None
    file.seek(start)
    place = file.read(length).find(_MARK)
    return None if place < 0 else start + place + len(_MARK)


def _digest(file: BinaryIO, place: int) -> bytes:
    """The digest of a file, as if its own digits were none."""
    found, at = hashlib.sha256(), 0
    file.seek(0)
    for end, instead in ((place, _NO_DIGEST), (None, b"")):
        while end is None or at < end:
            block = file.read(_BLOCK if end is None else min(_BLOCK, end - at))
            if not block:
                break
            at += len(block)
            found.update(block)
        found.update(instead)
        file.seek(at + len(instead))
    return found.hexdigest().encode()


def group_rows(file: BinaryIO, columns: Iterable[str] | None = None) -> Iterable[list[dict[str, Any]]]:
    """The rows of a shard, a row group at a time; what was damaged since it was written raises ``OSError``."""
    shard = pq.ParquetFile(file, page_checksum_verification=True)
    wanted = None if columns is None else list(columns)
    for number in range(shard.num_row_groups):
        # In this thread alone: those of Arrow can let go of the file when the interpreter has ended, which aborts.
        yield shard.read_row_group(number, columns=wanted, use_threads=False).to_pylist()
