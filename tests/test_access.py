"""The access URL: what is accepted, where it is found, how it is written, and that nothing ever shows it.

Every secret below holds CANARY, which is then looked for in whatever an error carries: message, arguments, chained
exceptions, and the local variables of every frame of this package it passed through.
"""

from __future__ import annotations

import copy
import os
import pickle
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import nersemble.envfile
from nersemble.access import NO_ACCESS, AccessURL, env_file_path, find_access, write_access
from nersemble.envfile import parse_entries, read_text
from nersemble.errors import AccessError

CANARY = "c4n4ry"
SECRET = f"https://user:{CANARY}@data.example/{CANARY}/v2"


def carried(error: BaseException) -> str:
    """Everything a traceback with locals shows of an error, less this file's own frames, which hold the secret."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts, todo, seen = [repr(error), repr(error.args)], [report], 0
    while todo:
        part = todo.pop()
        parts.extend(part.format_exception_only())
        for frame in part.stack:
            if frame.filename != __file__:
                seen += 1
                parts.append(f"{frame.filename} {frame.name} {frame.locals}")
        todo += [chained for chained in (part.__cause__, part.__context__) if chained]
    assert seen, "no frame of the package was looked at"
    return "\n".join(parts)


def failing(call: Callable[[], object]) -> AccessError:
    with pytest.raises(AccessError) as caught:
        call()
    assert CANARY not in carried(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


def test_the_search_for_leaks_would_find_one():
    def leaky(value: str) -> None:
        AccessURL.parse(5, source=value)  # type: ignore[arg-type]

    with pytest.raises(AccessError) as caught:
        leaky(SECRET)
    assert CANARY in carried(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECRET, SECRET),
        (SECRET + "///", SECRET),
        (f"  '{SECRET}/' \n", SECRET),
        (f'"{SECRET}"', SECRET),
        (f"“{SECRET}”", SECRET),
        (f"<{SECRET}>", SECRET),
        (SECRET.replace("https", "HTTPS"), SECRET),
        ("https://data.example:8443/a%20b/c+d/", "https://data.example:8443/a%20b/c+d"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.8.9.1/x", "http://127.8.9.1/x"),
        ("http://localhost:1/x", "http://localhost:1/x"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_urls_are_accepted_and_tidied(value, expected):
    access = AccessURL.parse(value, source="the test")
    assert access.reveal() == expected
    assert not access.is_folder
    assert access.is_loopback == expected.startswith("http://")


def test_folders_are_accepted_in_every_spelling(tmp_path, monkeypatch):
    folder = tmp_path / "with space+plus"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [
        str(folder),
        f"{folder}/",
        f"'{folder}'",
        "~/with space+plus",
        folder.as_uri(),
        f"{folder}/../{folder.name}",
    ]
    for spelling in spellings:
        access = AccessURL.parse(spelling, source="the test")
        assert (access.reveal(), access.is_folder, access.is_loopback) == (str(folder), True, False)
        assert repr(access) == f"AccessURL({folder})"
    assert AccessURL.parse("/", source="the test").reveal() == "/"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"http://data.example/{CANARY}", "plain http"),
        (f"http://127.0.0.1.{CANARY}.example/", "plain http"),
        (f"http://128.0.0.1/{CANARY}", "plain http"),
        (f"ftp://data.example/{CANARY}", "not a https URL"),
        (f"nersemble://{CANARY}", "not a https URL"),
        (f"https:{CANARY}", "without a usable host"),
        (f"https:///{CANARY}", "without a usable host"),
        (f"https://data.example:0/{CANARY}", "without a usable host or port"),
        (f"https://data.example:{CANARY}/", "not a well-formed URL"),
        (f"https://data.example:99999/{CANARY}", "not a well-formed URL"),
        (f"https://[{CANARY}", "not a well-formed URL"),
        (f"https://data.example/?key={CANARY}", "query"),
        (f"https://data.example/#{CANARY}", "fragment"),
        (f"https://data.example/{CANARY} v2", "blanks"),
        (f"https://data.example\\@{CANARY}/", "other characters"),
        (f"https://data.example/{CANARY}\u200b", "other characters"),
        (f"https://data.example/{CANARY}\nhttps://data.example", "several lines"),
        (f"https://data.example/{CANARY}\x00", "control characters"),
        (f"/no/such/folder/{CANARY}", "does not exist"),
        (f"~{CANARY}/x", "does not exist"),
        (f"file://other-host/{CANARY}", "another machine"),
        (f"relative/{CANARY}", "neither a URL nor an absolute path"),
        (f"data.example/{CANARY}", "neither a URL nor an absolute path"),
        (f"<<<URL YOU GOT {CANARY}>>>", NO_ACCESS),
        (f"https://<<<{CANARY}>>>", NO_ACCESS),
        (f"<{CANARY}>", NO_ACCESS),
        ("...", NO_ACCESS),
        ("“…”", NO_ACCESS),
        (' "" ', NO_ACCESS),
    ],
)
def test_everything_else_is_refused_with_a_sentence_that_never_quotes_it(value, reason):
    source = "NERSEMBLE_DATA_URL in the environment"
    for call in (
        lambda: AccessURL.parse(value, source=source),
        lambda: find_access({"NERSEMBLE_DATA_URL": value}, "/no/such/file"),
    ):
        message = str(failing(call))
        assert message.startswith(f"{source} ")
        assert reason in message


def test_a_file_is_not_a_folder(tmp_path):
    path = tmp_path / CANARY
    path.touch()
    assert "does not exist" in str(failing(lambda: AccessURL.parse(str(path), source="the test")))


def test_nothing_prints_copies_or_pickles_the_url():
    access = AccessURL.parse(SECRET, source="the test")
    assert repr(access) == "AccessURL(https://***)"
    assert CANARY not in f"{access} {access!r} {access!s} {[access]}" + format(access) + "%s" % access  # noqa: UP031
    for refused in (
        lambda: pickle.dumps(access),
        lambda: copy.copy(access),
        lambda: copy.deepcopy(access),
        lambda: access.__getstate__(),
    ):
        with pytest.raises(TypeError, match="find_access"):
            refused()
    with pytest.raises(AttributeError):
        access._value = "https://elsewhere.example"
    with pytest.raises(AttributeError):
        del access._value
    assert not hasattr(access, "__dict__")
    with pytest.raises(TypeError) as caught:
        AccessURL(SECRET)  # type: ignore[call-arg]
    assert CANARY not in str(caught.value)


def test_equal_urls_are_equal():
    first, second = (AccessURL.parse(value, source="the test") for value in (SECRET, f"'{SECRET}/'"))
    other = AccessURL.parse("https://data.example", source="the test")
    assert first == second
    assert hash(first) == hash(second)
    assert first != other
    assert first != SECRET
    assert {first, second, other} == {first, other}


def test_the_environment_comes_before_the_file_and_the_new_name_before_the_old(tmp_path):
    file = tmp_path / ".env"
    url = "https://{}.example".format
    file.write_text(f'NERSEMBLE_BENCHMARK_URL = "{url("file-old")}"\n')
    environ = {"NERSEMBLE_DATA_URL": url("new"), "NERSEMBLE_BENCHMARK_URL": url("old")}
    assert find_access(environ, file).reveal() == url("new")
    assert find_access({**environ, "NERSEMBLE_DATA_URL": "  "}, file).reveal() == url("old")
    assert find_access({"NERSEMBLE_DATA_URL": ""}, file).reveal() == url("file-old")
    file.write_text(file.read_text() + f"NERSEMBLE_DATA_URL={url('file-new')}\n")
    assert find_access({}, file).reveal() == url("file-new")
    file.write_text(f"NERSEMBLE_DATA_URL=\nNERSEMBLE_BENCHMARK_URL = '{url('file-old')}'\n")
    assert find_access({}, str(file)).reveal() == url("file-old")


def test_the_process_environment_and_the_official_kits_file_are_the_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NERSEMBLE_BENCHMARK_URL", raising=False)
    monkeypatch.delenv("NERSEMBLE_DATA_URL", raising=False)
    assert env_file_path() == tmp_path / ".config/nersemble_data/.env"
    assert str(failing(find_access)) == NO_ACCESS
    write_access(SECRET)
    assert find_access().reveal() == SECRET
    monkeypatch.setenv("NERSEMBLE_DATA_URL", "https://data.example")
    assert find_access().reveal() == "https://data.example"


def test_no_access_says_how_to_get_it_and_how_to_do_without(tmp_path):
    error = failing(lambda: find_access({}, tmp_path / "missing"))
    for part in ("https://forms.gle/rYRoGNh2ed51TDWX9", "`nersemble login`", "`nersemble demo` needs no access"):
        assert part in str(error)
    assert isinstance(error, PermissionError)


def test_a_bad_entry_in_the_file_names_the_file_and_the_key(tmp_path):
    file = tmp_path / ".env"
    file.write_text(f"NERSEMBLE_DATA_URL = http://data.example/{CANARY}\n")
    assert str(failing(lambda: find_access({}, file))).startswith(f"NERSEMBLE_DATA_URL in {file} is plain http")


def test_a_user_without_a_home_folder_gets_a_sentence(monkeypatch):
    monkeypatch.setenv("HOME", "nowhere")
    assert "no home folder" in str(failing(lambda: find_access({})))
    assert "no home folder" in str(failing(lambda: write_access(SECRET)))
    assert find_access({"NERSEMBLE_DATA_URL": SECRET}).reveal() == SECRET


def test_unreadable_files_get_a_sentence_and_are_not_overwritten(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(f"NERSEMBLE_DATA_URL={SECRET}\n".encode("utf-16"))
    before = file.read_bytes()
    for call in (lambda: find_access({}, file), lambda: write_access(SECRET, file)):
        assert f"{file} is not UTF-8 text" in str(failing(call))
    assert file.read_bytes() == before
    for call in (
        lambda: find_access({}, tmp_path),
        lambda: write_access(SECRET, tmp_path),
    ):
        assert f"Cannot read {tmp_path}" in str(failing(call))


def entries_of(file):
    text, problem = read_text(file)
    assert not problem
    return parse_entries(text)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('KEY = "a b"', "a b"),
        ("KEY='a b'", "a b"),
        ("KEY=a b", "a b"),
        ("  export KEY\t=\ta  ", "a"),
        ("KEY=a # comment", "a"),
        ("KEY=a#b", "a#b"),
        ('KEY="a # b" # comment', "a # b"),
        (r'KEY="a\"b\\c"', 'a"b\\c'),
        ("KEY='it\\'s'", "it's"),
        ("KEY=", ""),
        ("KEY= # comment", ""),
        ('KEY=""', ""),
        ('KEY="unclosed', '"unclosed'),
        ("KEY=a=b", "a=b"),
        ("KEY.SUB-no\nKEY=a", "a"),
        ("KEY=first\nKEY=second", "second"),
        ("# KEY=a\n\nnonsense\nKEY=b", "b"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_env_files_are_read_as_people_write_them(tmp_path, line, value, newline, mark):
    file = tmp_path / ".env"
    file.write_bytes(mark + (line + "\nLAST=1").replace("\n", newline).encode())
    assert entries_of(file) == {"KEY": value, "LAST": "1"}


def test_a_missing_env_file_reads_as_empty(tmp_path):
    assert entries_of(tmp_path / "missing") == {}


def test_the_url_is_written_for_its_owner_alone(tmp_path):
    file = tmp_path / "config" / "nersemble_data" / ".env"
    old = os.umask(0)
    try:
        assert write_access(f"  {SECRET}/ ", file) == file
    finally:
        os.umask(old)
    assert file.read_text() == f'NERSEMBLE_DATA_URL = "{SECRET}"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (file.parent, file.parent.parent)] == [0o700, 0o700]
    assert list(file.parent.iterdir()) == [file]


def test_an_open_file_is_closed_to_others_when_written(tmp_path):
    file = tmp_path / ".env"
    file.write_text("OTHER=1\n")
    file.chmod(0o644)
    write_access(SECRET, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_secret_is_private_from_its_first_byte(tmp_path):
    """The only file ever opened for writing is made with mode 0600, before it holds anything."""
    code = (
        "import os, sys\n"
        "seen = []\n"
        "def watch(event, args):\n"
        "    if event == 'open' and isinstance(args[0], str) and str(args[0]).startswith(sys.argv[1]):\n"
        "        seen.append((args[0], args[2]))\n"
        "    if event == 'os.rename':\n"
        "        print(oct(os.stat(args[0]).st_mode & 0o777), args[1].endswith('.env'))\n"
        "from nersemble.access import write_access\n"
        "os.umask(0)\n"
        "sys.addaudithook(watch)\n"
        "write_access(sys.stdin.read(), sys.argv[1] + '/.env')\n"
        "wrote = [flags for _, flags in seen if flags & (os.O_WRONLY | os.O_RDWR)]\n"
        "print(len(wrote), all(flags & os.O_EXCL for flags in wrote))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], input=SECRET, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0o600", "True", "1", "True"], done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"{}\n"),
        (b"# mine\nOTHER = 'x'\n", b"# mine\nOTHER = 'x'\n{}\n"),
        (b"OTHER=x", b"OTHER=x\n{}\n"),
        (b"OTHER=x\r\n# caf\xe9\r\n", b"OTHER=x\r\n# caf\xe9\r\n{}\r\n"),
        (b"A=1\nNERSEMBLE_DATA_URL=old\n\nB=2\n", b"A=1\n{}\n\nB=2\n"),
        (b"A=1\r\nexport NERSEMBLE_DATA_URL='old' # note\r\nB=2\r\n", b"A=1\r\n{}\r\nB=2\r\n"),
        (b"NERSEMBLE_DATA_URL=older\nA=1\nNERSEMBLE_DATA_URL=old\nB=2\n", b"A=1\n{}\nB=2\n"),
        (b"\xef\xbb\xbfNERSEMBLE_DATA_URL=older\nNERSEMBLE_DATA_URL=old\n", b"\xef\xbb\xbf{}\n"),
        (b"NERSEMBLE_BENCHMARK_URL=older\n", b"NERSEMBLE_BENCHMARK_URL=older\n{}\n"),
        (b"# NERSEMBLE_DATA_URL=off\n", b"# NERSEMBLE_DATA_URL=off\n{}\n"),
        (b"A=x\x0by\x85z\nB=2\n", b"A=x\x0by\x85z\nB=2\n{}\n"),
    ],
)
def test_every_other_line_is_kept_byte_for_byte(tmp_path, before, after):
    file = tmp_path / ".env"
    file.write_bytes(before)
    write_access(SECRET, file)
    assert file.read_bytes() == after.replace(b"{}", f'NERSEMBLE_DATA_URL = "{SECRET}"'.encode())
    assert find_access({}, file).reveal() == SECRET
    write_access(SECRET, file)
    assert file.read_bytes().count(CANARY.encode()) == 2


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "dotfiles" / "env", tmp_path / ".env"
    target.parent.mkdir()
    target.write_text("OTHER=1\n")
    link.symlink_to(target)
    assert write_access(SECRET, link) == link
    assert link.is_symlink()
    assert entries_of(target) == {"OTHER": "1", "NERSEMBLE_DATA_URL": SECRET}


def test_a_folder_with_odd_characters_survives_the_file(tmp_path):
    folder = tmp_path / 'it\'s "a" \\ folder # 1'
    folder.mkdir()
    write_access(AccessURL.parse(str(folder), source="the test"), tmp_path / ".env")
    assert find_access({}, tmp_path / ".env").reveal() == str(folder)


def test_a_failed_write_leaves_the_file_as_it_was_and_says_so(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("OTHER=1\n")
    assert "Cannot write" in str(failing(lambda: write_access(SECRET, blocked / ".env")))
    assert "plain http" in str(failing(lambda: write_access(f"http://data.example/{CANARY}", blocked)))
    assert blocked.read_text() == "OTHER=1\n"
    # No folder can be made under /proc, whoever asks.
    error = failing(lambda: write_access(SECRET, "/proc/nersemble/.env"))
    assert str(error).startswith("Cannot write /proc/nersemble/.env: ")


def test_a_crash_while_writing_leaves_no_secret_behind(tmp_path):
    with pytest.raises(OSError, match="directory"):
        nersemble.envfile._replace_file(_full_folder(tmp_path / "parent"), CANARY.encode())
    assert [path.name for path in (tmp_path / "parent").iterdir()] == ["target"]


def _full_folder(parent: Path) -> Path:
    """A path that a file cannot replace, because it is a folder with something in it."""
    (parent / "target" / "content").mkdir(parents=True)
    return parent / "target"


def test_a_whole_traceback_with_locals_is_clean_when_the_url_comes_from_the_environment(tmp_path):
    """As a user meets it: the secret is only in the environment, and a crash reporter dumps every local variable."""
    code = (
        "import sys, traceback\n"
        "from nersemble.access import find_access, write_access\n"
        "from nersemble.errors import AccessError\n"
        "try:\n"
        "    find_access()\n"
        "except AccessError as error:\n"
        "    report = traceback.TracebackException.from_exception(error, capture_locals=True)\n"
        "    sys.stdout.write(''.join(report.format()))\n"
    )
    for value in (f"http://data.example/{CANARY}", f"https://data.example:{CANARY}", f"/missing/{CANARY}"):
        environ = {**os.environ, "HOME": str(tmp_path), "NERSEMBLE_DATA_URL": value}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
        assert "NERSEMBLE_DATA_URL in the environment" in done.stdout
        assert "find_access" in done.stdout
        assert CANARY not in done.stdout + done.stderr
