"""Bytes of published files, from a server or a folder, in the same few calls."""

from __future__ import annotations

from ..access import AccessURL
from .base import Part, Stat, Transport
from .folder import FolderTransport
from .http import HttpTransport

__all__ = ["FolderTransport", "HttpTransport", "Part", "Stat", "Transport", "open_transport"]


def open_transport(access: AccessURL) -> HttpTransport | FolderTransport:
    """The transport of an access URL."""
    return FolderTransport(access.reveal()) if access.is_folder else HttpTransport(access)
