"""What the hub's client shows of itself while it is called: no bars, and no link that anybody could upload with."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

#: Loggers that tell of links, beside those of the hub's client that are there already.
_LOGGERS = (
    "httpcore",
    "httpx",
    "httpx2",
    "huggingface_hub.utils._http",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
#: What signs a link stands behind its question mark; urllib3 logs it without the host.
_QUERY = re.compile(r"""(?<=[\w/=.-])\?[\w.~-]+=[^\s"'<>)\]]*""")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of the hub's client, which would run into ours, and without signed links in its log."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    bars = not (os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS") or utils.are_progress_bars_disabled())
    redacting = _Redacting()
    names = {*_LOGGERS, *(name for name in list(logging.root.manager.loggerDict) if name.startswith("huggingface_hub"))}
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(redacting)
    if bars:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(redacting)
        if bars:
            utils.enable_progress_bars()


class _Redacting(logging.Filter):
    """Lets every record pass, without the queries of links; each context has one of its own, to be taken away again."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # whoever logs it hears of it from the handlers
            return True
        told = _QUERY.sub("?...", text)
        if told != text:
            record.msg, record.args = told, ()
        return True
