"""Whether what a server sent as a file can be one, by its first bytes.

A server that is busy, or wants somebody to sign in, may say so with status 200 and whatever type; so what it says is
not taken for the file that was asked for.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

#: How many bytes of a file are looked at.
LOOK = 512
#: How web pages begin.
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
#: Names of files that hold neither: videos and pictures.
_BINARY = (".mp4", ".jpg")
#: How an answer in JSON begins, and what stands for a file that was never put onto the server (git-lfs).
_ANSWER = re.compile(rb"""\{\s*(?:"|\})|\[\s*(?:\{|")|version https://git-lfs""")

#: How documents and packed files begin, which no video or picture does: PDF, ZIP, gzip, bzip2, xz, Zstandard, 7z, RAR.
_PACKED = (
    *(b"%PDF-", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
)


def head_problem(head: bytes, path: str) -> str:
    """Why what came, whole by the server's own word, is no published file; "" if it may be one.

    Args:
        head: Its first ``LOOK`` bytes, or all of it.
        path: The published path that was asked for.
    """
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.lower().startswith(_PAGES):
        return "the server sent a web page instead of it"
    if not path.endswith(_BINARY):
        return ""
    if head.startswith(_PACKED):
        return "the server sent a document or a packed file instead of it"
    return "the server sent a text instead of it" if _ANSWER.match(text) else ""


def arrival_problem(came: Path, path: str) -> str:
    """``head_problem`` of what lies on disk; "" if another process took it over, which shows when it is named."""
    try:
        with open(came, "rb", buffering=0) as file:
            return head_problem(file.read(LOOK), path)
    except FileNotFoundError:
        return ""
