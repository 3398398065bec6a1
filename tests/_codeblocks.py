"""Reads the fenced blocks of the Markdown files and runs them, so that no example can go stale.

What a fence's language means:

``python``            run, all blocks of a file in one namespace, in order
``console``, ``bash`` run by bash; lines after one that begins with ``$ `` are what it prints, ``...`` standing for any
``text``, ``json``, ``bibtex``  not run: output, data, a citation

A comment in front of a fence hands it to another runner: ``<!-- ci:NAME -->`` to ``.ci/run``, ``<!-- test:NAME -->`` to
a test that fetches it with ``marked``.  Any other language is an error, so that nothing goes unrun by accident.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RUN = {"python", "console", "bash"}
SHOWN = {"text", "json", "bibtex"}

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[^\s`]*)")
_MARK = re.compile(r"\s*<!--\s*(?P<mark>(ci|test):[\w-]+)\s*-->\s*")

#: Folders that examples name, each played by the demo's capture.
DEMO_FOLDERS = ("/data/nersemble",)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it is, its language, its mark ("" for none) and its text."""

    path: Path
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}"


def documents() -> list[Path]:
    """Every Markdown file with examples."""
    fixed = [REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "benchmarks/README.md")]
    return [path for path in fixed if path.exists()] + sorted((REPOSITORY / "docs").rglob("*.md"))


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a file, in order.

    Raises:
        ValueError: If a fence is not closed, or its language is none of those above.
    """
    blocks, lines, number, mark = [], path.read_text(encoding="utf-8").split("\n"), 0, ""
    while number < len(lines):
        fence, comment = _FENCE.match(lines[number]), _MARK.fullmatch(lines[number])
        number += 1
        if comment:
            mark = comment["mark"]
        elif fence:
            start, language = number, fence["language"]
            while number < len(lines) and lines[number].strip() != fence["fence"]:
                number += 1
            if number == len(lines):
                raise ValueError(f"{path}:{start}: the fence is not closed")
            if language not in RUN | SHOWN:
                raise ValueError(f"{path}:{start}: nothing runs {language or 'a fence without a language'}")
            body = [line.removeprefix(fence["indent"]) for line in lines[start:number]]
            blocks.append(Block(path, start + 1, language, mark, "\n".join(body) + "\n"))
            number, mark = number + 1, ""
        elif lines[number - 1].strip() and mark:
            raise ValueError(f"{path}:{number - 1}: no fence follows the mark {mark}")
    return blocks


def marked(mark: str) -> Block:
    """The one block with a mark such as ``test:loading-script``."""
    (block,) = (block for path in documents() for block in blocks_of(path) if block.mark == mark)
    return block


def environment(home: Path, url: str) -> dict[str, str]:
    """What examples run in: the demo's URL, this interpreter in front, nothing of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NERSEMBLE_")}
    return {
        **kept,
        "HOME": str(home),
        "HF_HOME": str(home / "huggingface"),
        "NERSEMBLE_DATA_URL": url,
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": str(REPOSITORY),
    }


def run_python(blocks: list[Block], folder: Path, environ: dict[str, str], demo_folder: Path) -> None:
    """Run the ``python`` blocks of one file as one program, whose tracebacks have the file's line numbers."""
    code = ""
    for block in blocks:
        code += "\n" * (block.line - 1 - code.count("\n")) + with_demo_folder(block.text, demo_folder)
    path = folder / f"{blocks[0].path.stem}_examples.py"
    path.write_text(code, encoding="utf-8")
    done = _run([sys.executable, str(path)], folder, environ)
    if done.returncode:
        raise AssertionError(f"{blocks[0].path.name}: an example fails\n{done.stdout}")


def run_shell(block: Block, folder: Path, environ: dict[str, str], demo_folder: Path) -> None:
    """Run a ``console`` or ``bash`` block, and compare what its commands print where it shows that."""
    for command, expected in commands_of(block):
        if re.search(r"\bpip3? install\b", command):
            raise AssertionError(f"{block}: an installation is run by .ci/run: mark it with <!-- ci:NAME -->")
        script = f"set -euo pipefail\n{with_demo_folder(command, demo_folder)}"
        done = _run(["bash", "-c", script], folder, environ)
        if done.returncode:
            raise AssertionError(f"{block}: {command!r} ends with {done.returncode}\n{done.stdout}")
        if expected.strip() and not prints(expected, done.stdout):
            raise AssertionError(f"{block}: {command!r} prints\n{done.stdout}\ninstead of\n{expected}")


def commands_of(block: Block) -> list[tuple[str, str]]:
    """(command, what it prints) of a block; without ``$ `` lines the whole block is one command."""
    if not re.search(r"^\$ ", block.text, re.MULTILINE):
        return [(block.text, "")]
    commands: list[tuple[str, str]] = []
    continued = False
    for line in block.text.splitlines(keepends=True):
        if continued:
            commands[-1] = (commands[-1][0] + line, "")
        elif line.startswith("$ "):
            commands.append((line.removeprefix("$ "), ""))
        elif commands:
            commands[-1] = (commands[-1][0], commands[-1][1] + line)
        else:
            raise ValueError(f"{block}: output without a command")
        continued = (continued or line.startswith("$ ")) and line.rstrip("\n").endswith("\\")
    return commands


def prints(expected: str, actual: str) -> bool:
    """Whether ``actual`` is what ``expected`` shows, blanks at line ends aside; ``...`` stands for any text."""
    expected, actual = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (expected, actual))
    return re.fullmatch(".*?".join(map(re.escape, expected.split("..."))), actual, re.DOTALL) is not None


def with_demo_folder(text: str, demo_folder: Path) -> str:
    """``text`` with the folders that examples name replaced by the demo's capture."""
    for folder in DEMO_FOLDERS:
        text = text.replace(folder, str(demo_folder))
    return text


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
    )
