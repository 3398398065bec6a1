"""Every code block of the README and the docs runs; ``tests/_codeblocks.py`` says how."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _codeblocks import (
    REPOSITORY,
    Block,
    blocks_of,
    commands_of,
    documents,
    environment,
    prints,
    run_python,
    run_shell,
)

DOCUMENTS = documents()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder that looks like a checkout to examples that name its scripts."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("benchmarks", "loading_script"):
        if (REPOSITORY / name).exists():
            (folder / name).symlink_to(REPOSITORY / name)
    return folder


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_examples_run(path, folder, tmp_path, demo_server):
    environ = environment(tmp_path / "home", demo_server.url)
    blocks = [block for block in blocks_of(path) if not block.mark]
    python = [block for block in blocks if block.language == "python"]
    if python:
        run_python(python, folder, environ, demo_server.folder)
    for block in blocks:
        if block.language in ("console", "bash"):
            run_shell(block, folder, environ, demo_server.folder)


def test_the_readme_is_among_them_with_the_two_commands_that_ci_runs():
    marks = [block.mark for block in blocks_of(REPOSITORY / "README.md")]
    assert {"ci:demo", "ci:test"} <= set(marks)
    assert REPOSITORY / "README.md" in DOCUMENTS


def test_every_marked_block_has_its_runner():
    """``.ci/run`` for ``ci:``, a test for ``test:``; a mark that occurs twice would leave one of them unrun."""
    marks = [block.mark for path in DOCUMENTS for block in blocks_of(path) if block.mark]
    assert len(marks) == len(set(marks))
    runs = re.findall(r"\brun_block (\S+)", (REPOSITORY / ".ci" / "run").read_text())
    tests = "".join(path.read_text() for path in (REPOSITORY / "tests").glob("test_*.py") if path != Path(__file__))
    for mark in marks:
        kind, _, name = mark.partition(":")
        assert name in runs if kind == "ci" else f'marked("{mark}")' in tests, f"nothing runs {mark}"


def test_links_between_the_documents_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


# --- the harness itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def document(tmp_path):
    """Writes a document in the checkout's place and reads its blocks."""

    def write(text: str) -> list[Block]:
        path = tmp_path / "example.md"
        path.write_text(text)
        return blocks_of(path)

    return write


def block(text: str, language: str = "console") -> Block:
    return Block(REPOSITORY / "README.md", 1, language, "", text)


def test_blocks_are_found_with_their_place_language_and_mark(document):
    found = document(
        "# Title\n```python\na = 1\n```\n\n- item\n  ~~~console\n  $ ls\n    x\n  ~~~\n"
        "<!-- ci:test -->\n\n```bash\n# not a fence: ``` \n```\n````text\n```\n````\n"
    )
    assert [(one.line, one.language, one.mark, one.text) for one in found] == [
        (3, "python", "", "a = 1\n"),
        (8, "console", "", "$ ls\n  x\n"),
        (14, "bash", "ci:test", "# not a fence: ``` \n"),
        (17, "text", "", "```\n"),
    ]


@pytest.mark.parametrize(
    "text", ["```pyton\n```\n", "```\n```\n", "```python\n", "<!-- ci:test -->\nwords\n```bash\n```\n"]
)
def test_what_would_go_unrun_is_an_error(document, text):
    with pytest.raises(ValueError, match=r"example\.md:\d"):
        document(text)


def test_commands_and_what_they_print_are_told_apart():
    text = "$ echo a \\\n  b\na   b\n$ true\n$ echo c\nc\n"
    assert commands_of(block(text)) == [("echo a \\\n  b\n", "a   b\n"), ("true\n", ""), ("echo c\n", "c\n")]
    assert commands_of(block("true\nfalse\n")) == [("true\nfalse\n", "")]


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\nb", "a  \nb\n", True),
        ("a ... c", "a b\nb c", True),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a", "a\nb", False),
        ("a.c", "abc", False),
        ("...", "", True),
    ],
)
def test_dots_stand_for_any_text_and_nothing_else_does(expected, actual, same):
    assert prints(expected, actual) is same


def test_a_failing_example_fails(tmp_path, demo_server):
    environ = environment(tmp_path / "home", demo_server.url)
    where = (tmp_path, environ, demo_server.folder)
    run_shell(block("$ echo $NERSEMBLE_DATA_URL; ls /data/nersemble\nhttp://...csv\n..."), *where)
    run_python(
        [
            block("a = 1\n", "python"),
            block("import nersemble, os\nprint(a, os.listdir('/data/nersemble'))\n", "python"),
        ],
        *where,
    )
    for text in ("$ false\n", "$ false | true\n", "$ echo a\nb\n", "$ pip install x\n", "true\nfalse\n"):
        with pytest.raises(AssertionError, match=r"README\.md:1"):
            run_shell(block(text), *where)
    with pytest.raises(AssertionError, match="NameError"):
        run_python([block("b\n", "python")], *where)
