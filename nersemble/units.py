"""Bytes and rates as people write them."""

from __future__ import annotations

import re

from .errors import SelectionError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def format_bytes(count: float) -> str:
    """Bytes in decimal units, such as ``8.7 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.2f} TB"


def parse_rate(text: str | float) -> float:
    """Bytes a second from ``20M``, ``500K`` or a number; K, M and G are decimal.

    Raises:
        SelectionError: If it is no positive number.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?)(?:I?B)?(?:/S)?", str(text).strip().upper())
    rate = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not rate > 0:
        raise SelectionError(f"{text!r} is no rate. Write bytes a second, such as 500K, 20M or 1.5G.")
    return rate
