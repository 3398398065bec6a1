"""Commands on a terminal, as somebody sees them who watches."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "nersemble"]


def in_terminal(command: list[str], place: Path, environ: dict[str, str], typed: str = "") -> tuple[str, int]:
    """Run a command with a terminal of 100 columns for all three streams, and type after the question."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *command],
        cwd=place,
        env={**environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while piece := os.read(leader, 65536):
            shown += piece
            if typed and b"[y/N]" in shown:
                os.write(leader, typed.encode())
                typed = ""
    os.close(leader)
    return shown.decode(errors="replace"), process.wait(timeout=60)
