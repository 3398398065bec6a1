"""The rules of the house that a machine can check: direction of imports, size of modules, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nersemble

PACKAGE = Path(nersemble.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: Rooms, from the ground up: each may import only those before it.  A new module is put where it belongs.
ORDER = """
    cores compiling masking memory writers errors written units layout timesteps camera color video
    caches envfile access loop transport remote catalog catalog_cache folder listing selection getting filesystem
    progress downloads opening parallel pictures frames frame_files features private_video batching
    folder_files folder_names folder_data capture rows metadata shards config builder registration loading
    prepare hub engines export training demo autoload cli __main__
""".split()

#: Usable alone, without the data set around them.
ALONE = {
    "camera",
    "color",
    "compiling",
    "cores",
    "errors",
    "layout",
    "masking",
    "memory",
    "timesteps",
    "video",
    "written",
}
#: Imported where they are used, never by ``import nersemble``.
LAZY = ["torch", "numba", "ray", "typer", "click", "rich", "datasets", "pandas"]

MODULE_LINES, FUNCTION_LINES = 330, 70


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room_of(path: Path) -> str:
    """First name under the package: ``video`` for ``video/mp4.py``; "" for the package's own ``__init__``."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every absolute module name that a file imports, wherever in it, with the line."""
    package = ("nersemble", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name == "nersemble":
                yield from ((node.lineno, f"nersemble.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imported(path):
        if name.split(".")[0] == "nersemble" and name != "nersemble.__version__":
            yield line, [*name.split("."), ""][1]


def test_every_module_has_its_place_in_the_order():
    unknown = {room_of(path) for path in MODULES} - {"", *ORDER}
    assert not unknown, f"put {unknown} into ORDER"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = room_of(path)
    allowed = {room, *ORDER[: ORDER.index(room or "autoload")]}
    back = [
        f"{path.name}:{line} imports {target or 'the package itself'}"
        for line, target in rooms_imported(path)
        if target not in allowed
    ]
    assert not back


def test_video_camera_and_colour_stand_alone():
    """No data set library, in these rooms or in any they import."""
    rooms, todo = set(), ["video", "camera", "color"]
    while todo:
        room = todo.pop()
        if room in rooms:
            continue
        rooms.add(room)
        for path in MODULES:
            if room_of(path) == room:
                names = {name.split(".")[0] for _, name in imported(path)}
                assert not names & {"fsspec", "datasets", "huggingface_hub", "aiohttp"}, path
                todo += [target for _, target in rooms_imported(path)]
    assert rooms <= ALONE


def test_what_the_builder_imports_does_not_look_into_the_environment():
    """Older releases of `datasets` freeze `os.environ` in these modules once something was streamed."""
    for name in {target for _, target in rooms_imported(PACKAGE / "builder.py")}:
        path = PACKAGE / f"{name}.py"
        if path.is_file():
            assert "os.environ" not in path.read_text(encoding="utf-8"), path


def test_the_walk_sees_every_kind_of_import():
    found = {name for path in MODULES for _, name in imported(path)}
    assert {"nersemble.errors", "nersemble.layout", "numpy", "av.error", "typer"} <= found
    assert "nersemble.autoload" in {name for _, name in imported(PACKAGE / "cli" / "autoload.py")}


@pytest.mark.parametrize(
    "statement", ["import nersemble", "import nersemble.access", "import nersemble.video", "import nersemble.color"]
)
def test_importing_the_package_pulls_in_no_heavy_library(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(LAZY)
    if statement == "import nersemble":
        assert "importlib.resources" not in done.stdout.split()  # what importlib.abc brings
    assert done.stderr == ""


def test_cameras_need_numpy_alone():
    code = "import sys; before = set(sys.modules); import nersemble.camera; print(*set(sys.modules) - before)"
    names = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"nersemble", "numpy"}


#: What a download of files has no use for.
IDLE = {*LAZY, *"numpy PIL av pyarrow fsspec huggingface_hub asyncio aiohttp requests httpx multiprocessing".split()}
#: Runs the command line in this process, and tells on stderr what it imported.
COMMAND = """
import runpy, sys
try:
    runpy.run_module("nersemble", run_name="__main__", alter_sys=True)
finally:
    print("imported", *sys.modules, file=sys.stderr)
"""


def imported_by(code: str, *arguments: str) -> set[str]:
    """Every module that is imported once some code has run."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("imported ")[2].split())


def test_a_download_imports_no_library_that_it_has_no_use_for(access, tmp_path):
    """In Python and on the command line, whose parser may bring what it likes."""
    options = "participants=240, sequences='EXP-1-head', cameras='222200037', progress=False"
    code = f"import nersemble, sys; nersemble.download(folder=sys.argv[1], {options}); "
    found = imported_by(code + "print('imported', *sys.modules, file=sys.stderr)", str(tmp_path / "a"))
    assert "nersemble.downloads.run" in found
    assert not {name.partition(".")[0] for name in found} & (IDLE | {"typer", "click"})
    assert "urllib.request" not in found  # of use for its proxies alone, which a server on this machine has none of
    words = f"download {tmp_path / 'b'} --participant 240 --sequence EXP-1-head --camera 222200037 --yes".split()
    found = imported_by(COMMAND, *words)
    assert "nersemble.downloads.run" in found
    assert not {name.partition(".")[0] for name in found} & (IDLE - {"typer", "click", "rich"})
    assert {path.name for path in tmp_path.glob("[ab]/240/sequences/*/images/*")} == {"cam_222200037.mp4"}


@pytest.mark.parametrize("words", [["--version"], ["download", "--help"], ["status", "--help"]])
def test_the_command_line_says_what_it_is_without_the_network(words):
    found = imported_by(COMMAND, *words)
    assert "nersemble.cli.app" in found
    assert not found & {"ssl", "http.client", "urllib.request", "nersemble.downloads", "nersemble.transport"}
    if words[0] != "--version":  # a command's file alone
        files = {name for name in found if name.startswith("nersemble.cli.")}
        assert files == {"nersemble.cli.app", "nersemble.cli.options", f"nersemble.cli.{words[0]}"}


def test_importing_the_package_costs_little_beyond_datasets():
    """Under half a second of this process alone: the better of three tries, so that a busy machine does not decide."""
    code = "import time, datasets; start = time.process_time(); import nersemble; print(time.process_time() - start)"
    tries = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(3)]
    assert min(tries) < 0.5, tries


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small_and_say_what_they_are(path):
    tree = parsed(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES, f"{lines} lines: a second idea?"
    assert ast.get_docstring(tree), "what is inside, and which rule holds?"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno}
    assert not {name: size for name, size in long.items() if size > FUNCTION_LINES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_exceptions_validate_and_only_the_command_line_prints(path):
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: python -O would drop this check"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and room_of(path) != "cli":
            assert node.func.id not in ("print", "input", "breakpoint"), f"line {node.lineno}"
