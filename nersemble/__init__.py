"""NeRSemble v2 for Hugging Face ``datasets``.  Importing this package is cheap; see ``nersemble.registration``."""

from __future__ import annotations

__version__ = "0.1.0"
