"""The ``PrivateVideo`` feature: the stock ``Video`` of ``datasets``, except that it is not pushed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from datasets import Video

from .errors import FrameError


@dataclass
class PrivateVideo(Video):
    """A video of somebody's face: read and kept as ``datasets.Video``, refused where it would be written for others.

    ``cast_column("video", nersemble.PrivateVideo(decode=False))`` gives paths and keeps the refusal; a cast to
    ``datasets.Video`` gives it up.

    Raises:
        FrameError: By ``push_to_hub``, which would send the file, to a public data set if nothing else is said.
    """

    _type: str = field(default="PrivateVideo", init=False, repr=False)

    def embed_storage(
        self,
        storage: pa.StructArray,
        token_per_repo_id: Any = None,
        local_files: bool = True,
        remote_files: bool | None = None,
    ) -> pa.StructArray:
        """Embed files on disk where a data set is saved for oneself; refuse to write it for others.

        Releases of ``datasets`` that do not say which files they ask for call this in the same way when they save and
        when they push: there, paths stay paths, so that no file is sent.
        """
        if remote_files is None:
            return storage
        if not remote_files:
            return super().embed_storage(storage, token_per_repo_id, local_files=local_files, remote_files=False)
        raise FrameError(
            "This column holds videos of faces, so it is not pushed or written to a file for others: push_to_hub makes "
            'a public data set unless told otherwise. Make shards with nersemble.prepare.plan(..., rows="video") and '
            "send them with `nersemble push`, which keeps them private."
        )
