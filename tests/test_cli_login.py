"""``nersemble login`` and the frame around all commands, run as a user runs them: processes, terminals, real servers.

The server's secret prefix is CANARY, which is looked for in everything a login leaves behind or shows on its way.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import nersemble
from nersemble.demo import DemoHandler, DemoServer
from nersemble.layout import SEQUENCES, SEQUENCES_CSV

CANARY = "c4n4ry-pr3f1x"
HEADER = ",".join(["ID", "wears_glasses", "BACKGROUND", *SEQUENCES])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    rows = [f"{participant},,{','.join('x' * (1 + len(SEQUENCES)))}" for participant in (17, 240, 425)]
    (folder / SEQUENCES_CSV).write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


@pytest.fixture
def server(folder):
    with DemoServer(folder, prefix=CANARY) as server:
        yield server


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "user"
    home.mkdir()
    return home


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NERSEMBLE_")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(Path(nersemble.__file__).parents[1]), **more}


def run(home: Path, *arguments: str, given: str | bytes = "", **more: str) -> subprocess.CompletedProcess[str]:
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(
        [sys.executable, "-m", "nersemble", *arguments],
        input=data,
        capture_output=True,
        env=environment(home, **more),
        cwd=home,
        timeout=60,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert CANARY not in out + err
    assert "Traceback" not in err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def stored(home: Path) -> Path:
    return home / ".config" / "nersemble_data" / ".env"


def files_with_canary(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "\n\n  {}/  \nmore text\n",
        'NERSEMBLE_BENCHMARK_URL = "{}"\n',
        "export NERSEMBLE_DATA_URL={}/ # yours alone\r\n",
        "'{}'",
        "<{}>",
        "\ufeff{}\n",
    ],
)
def test_a_checked_url_is_stored_and_never_shown(server, home, line):
    done = run(home, "login", given=line.format(server.url))
    assert (done.returncode, done.stderr) == (0, "")
    assert "lists 3 participants" in done.stdout
    assert str(stored(home)) in done.stdout
    assert '"participant_17"' in done.stdout
    assert stored(home).read_text() == f'NERSEMBLE_DATA_URL = "{server.url}"\n'
    assert stat.S_IMODE(stored(home).stat().st_mode) == 0o600
    assert files_with_canary(home) == [stored(home)]
    assert {request.path for request in server.requests} == {SEQUENCES_CSV}


def test_what_was_stored_before_stays_beside_it(server, home):
    stored(home).parent.mkdir(parents=True)
    stored(home).write_text("# mine\nOTHER = 1\nNERSEMBLE_DATA_URL = 'https://old.example'\n")
    assert run(home, "login", given=server.url).returncode == 0
    assert stored(home).read_text() == f'# mine\nOTHER = 1\nNERSEMBLE_DATA_URL = "{server.url}"\n'


def test_a_folder_can_be_stored_too(tmp_path, home):
    folder = tmp_path / "downloaded"
    (folder / "240" / "sequences" / "HAIR").mkdir(parents=True)
    assert "lists 1 participant." in run(home, "login", given=str(folder)).stdout
    assert stored(home).read_text() == f'NERSEMBLE_DATA_URL = "{folder}"\n'


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "No access URL was given"),
        ("\n \n", "No access URL was given"),
        ('NERSEMBLE_DATA_URL = "..."', "holds no URL yet"),
        (f"http://data.example/{CANARY}", "plain http"),
        (f"ftp://data.example/{CANARY}", "not a https URL"),
        (f"/no/such/{CANARY}", "does not exist"),
        (b"https://data.example/\xff" + CANARY.encode(), "no URL has"),
    ],
)
def test_what_cannot_be_a_url_is_refused_in_one_line(home, given, reason):
    done = run(home, "login", given=given)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert not stored(home).exists()


class GoneHandler(DemoHandler):
    """A server whose files have moved."""

    def respond(self, path: str) -> None:
        self.send_status(404, f"{CANARY} is gone")


class NonsenseHandler(DemoHandler):
    """A captive portal: a page, whatever is asked for."""

    def respond(self, path: str) -> None:
        page = b"<html>Please sign in, " + CANARY.encode() + b"</html>"
        self.send_head(200, {"Content-Type": "text/html", "Content-Length": str(len(page))})
        self.wfile.write(page)


@pytest.mark.parametrize("handler", [GoneHandler, NonsenseHandler])
def test_a_server_without_the_catalogue_stores_nothing(folder, home, handler):
    with DemoServer(folder, prefix=CANARY, handler=handler) as server:
        done = run(home, "login", given=server.url)
    assert_refused(done, home)


def test_a_refused_url_stores_nothing(server, home):
    assert_refused(run(home, "login", given=f"{server.url}-outdated"), home)
    assert [request.status for request in server.requests] == [403]


def test_a_dead_server_stores_nothing_and_keeps_what_was_there(folder, home):
    stored(home).parent.mkdir(parents=True)
    stored(home).write_text("OTHER=1\n")
    with DemoServer(folder, prefix=CANARY) as server:
        url = server.url
    done = run(home, "login", given=url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert stored(home).read_text() == "OTHER=1\n"


def assert_refused(done: subprocess.CompletedProcess[str], home: Path) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert not stored(home).exists()
    assert files_with_canary(home) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["{url}"],
        ["--url={url}"],
        ["--url", "{url}"],
        ["-u{url}"],
        [CANARY],
        [f"--{CANARY}"],
        ["--", CANARY],
        ["HTTPS://" + CANARY],
    ],
)
def test_a_url_as_an_argument_is_refused_without_repeating_it(server, home, arguments):
    done = run(home, "login", *[argument.format(url=server.url) for argument in arguments], given=server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "history" in done.stderr
    assert "`nersemble login`" in done.stderr
    assert not stored(home).exists()
    assert server.requests == []


def test_the_help_shows_no_argument(home):
    assert "Usage: nersemble login [OPTIONS]\n" in run(home, "login", "--help").stdout


@pytest.mark.parametrize("arguments", [["{url}"], ["--url", "{url}"], ["demo", "{url}"], ["autoload", "{url}"]])
def test_no_other_command_repeats_a_url_either(server, home, arguments):
    done = run(home, *[argument.format(url=server.url) for argument in arguments])
    assert done.returncode == 2
    assert "does not belong on the command line" in done.stderr


def test_another_url_in_the_environment_is_pointed_out(server, home):
    done = run(home, "login", given=server.url, NERSEMBLE_DATA_URL="https://data.example")
    assert done.returncode == 0
    assert "NERSEMBLE_DATA_URL" in done.stderr
    assert "comes first" in done.stderr
    assert run(home, "login", given=server.url, NERSEMBLE_DATA_URL=f"{server.url}/").stderr == ""


def test_a_file_that_cannot_be_written_gets_a_sentence(server, home):
    (home / ".config").write_text("a file, not a folder")
    done = run(home, "login", given=server.url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Cannot write {stored(home)}: ")


class WatchingHandler(DemoHandler):
    """Notes what the list of processes shows while a login is under way."""

    seen: list[str]

    def respond(self, path: str) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # gone meanwhile
                self.seen.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        super().respond(path)


def test_the_list_of_processes_never_shows_the_url(folder, home):
    handler = type("Handler", (WatchingHandler,), {"seen": []})
    with DemoServer(folder, prefix=CANARY, handler=handler) as server:
        assert run(home, "login", given=server.url).returncode == 0
    assert any("nersemble login" in command for command in handler.seen)
    assert not [command for command in handler.seen if CANARY in command]


#: Types into a new terminal after the prompt and prints, as JSON, all that the terminal showed and the exit code.
TERMINAL = """
import json, os, pty, sys
typed, command = sys.stdin.read(), sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if typed and b"(not shown): " in shown:
        os.write(terminal, typed.encode())
        typed = ""
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([shown.decode(), code]))
"""


def in_terminal(home: Path, typed: str) -> tuple[str, int]:
    command = [sys.executable, "-c", TERMINAL, sys.executable, "-m", "nersemble", "login"]
    done = subprocess.run(
        command, input=typed, capture_output=True, text=True, env=environment(home), cwd=home, timeout=60, check=True
    )
    shown, code = json.loads(done.stdout)
    return shown, code


def test_the_prompt_does_not_show_what_is_typed(server, home):
    shown, code = in_terminal(home, f"{server.url}\n")
    assert code == 0
    assert "Access URL" in shown
    assert "lists 3 participants" in shown
    assert CANARY not in shown
    assert files_with_canary(home) == [stored(home)]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_leaving_the_prompt_stores_nothing(home, key):
    shown, code = in_terminal(home, key)
    assert code != 0
    assert "Traceback" not in shown
    assert not stored(home).exists()


def test_help_and_version_need_none_of_the_heavy_libraries(home):
    code = "import sys; from nersemble.cli.app import build; build(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"datasets", "av", "numpy", "PIL", "aiohttp", "fsspec", "torch", "pyarrow", "rich"}
    assert not heavy & set(done.stdout.split())
    for command in ("demo", "login", "autoload"):
        assert command in run(home, "--help").stdout
    assert run(home, "--version").stdout == f"nersemble {nersemble.__version__}\n"


def test_wrong_usage_is_exit_code_2(home):
    assert run(home, "no-such-command").returncode == 2
    assert run(home, "autoload", "sideways").returncode == 2


def test_a_crash_shows_no_local_variables(home):
    """A bug is still a traceback, but one without the values that a pretty one would print."""
    (home / "crashing.py").write_text(
        f"def crash() -> None:\n    secret = '-'.join({CANARY.split('-')})\n    raise RuntimeError(len(secret))\n"
    )
    code = (
        "import sys; from nersemble.cli import app; app.COMMANDS.append(('crash', 'crashing:crash', {})); "
        "sys.argv[1:] = ['crash']; app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(home, PYTHONPATH=f"{home}:{Path(nersemble.__file__).parents[1]}"),
    )
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr
    assert CANARY not in done.stderr
