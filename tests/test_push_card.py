"""The card of a data set that others write in too: what they wrote stays, but for the terms that faces are under."""

from __future__ import annotations

import html
import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from _pushing import DEPRECATED, Pushing, make, pushing
from hub import Hub
from hub.repos import Change
from markdown_it import MarkdownIt

from nersemble.errors import PushError
from nersemble.hub import delete, plan_push
from nersemble.hub.card import merge_card

pytestmark = DEPRECATED


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    alice = pushing(hub, demo_folder, monkeypatch)
    hub.create("alice/faces")
    return alice


def small_table() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": ["a"]}), file)
    return file.getvalue()


def card_of(alice: Pushing) -> str:
    return alice.repo.read("README.md").decode()


def head_of(card: str) -> str:
    return card.split("---\n")[1]


def refusal(alice: Pushing) -> str:
    """Why a push is refused, which a dry run says as well."""
    told = plan_push(alice.plan, alice.folder, "alice/faces", token=alice.token, endpoint=alice.hub.url).refusal
    before = alice.repo.head.id
    with pytest.raises(PushError) as caught:
        alice.push()
    assert str(caught.value) == told
    assert alice.repo.head.id == before
    return told


def test_the_card_shows_names_as_they_are_written(alice):
    """A stage that is a lambda, and patterns with stars, in what renders as the hub's pages do."""
    words = "<lambda>", "a|b`c", "__depth__", "EMO-*, EXP-*", "R&amp;D \\\\ [x](y) ~~z~~", "face_mask"
    described = replace(
        alice.plan,
        stages_told=tuple({"name": word, "columns": ["mask"]} for word in words),
        selected={"sequences": "EMO-*, EXP-*"},
    )
    card = merge_card(None, described, 1000)
    shown = html.unescape(MarkdownIt("commonmark").enable("table").render(card.split("---\n", 2)[2]))
    assert f"<td>{', '.join(f'{word} (mask)' for word in words)}</td>" in shown
    assert "<td>EMO-*, EXP-*</td>" in shown
    assert "face_mask (mask)" in card
    assert merge_card(card, described, 1000) == card


THEIRS = """# agreed with the ethics board: ticket 17
language:
- no
- on
version: 1.10
released: 2024-01-02
never: 2024-13-45
build: 012
runtime: 12:30  # of the session
pretty_name: Théirs
size: &size 1_000
again: *size
configs:
- config_name: theirs
  data_files: data/*.csv
  sep: ','
  version: 1.10
  header: 012
  true_values: [no, on]
# the end
"""


@pytest.mark.parametrize("blank", ["", "\n", " \n\t\n  "])
def test_what_others_wrote_in_the_head_stays_as_they_wrote_it(alice, blank):
    """Also behind blank space, where the hub reads a head all the same."""
    alice.put("README.md", f"{blank}---\n{THEIRS}---\n# Our heads\n\nWords.\n".encode())
    alice.push()
    card = card_of(alice)
    head = head_of(card)
    assert "# Our heads\n\nWords.\n" in card
    before, _, configs = THEIRS.partition("configs:\n")
    assert head.startswith(before)
    assert "# the end\n" in head
    for line in configs.splitlines():
        assert line in head
    # With the same meaning, for a reader that knows no dates.
    told, was = (yaml.load(text, Loader=yaml.BaseLoader) for text in (head, THEIRS))
    assert {key: told[key] for key in was if key != "configs"} == {key: was[key] for key in was if key != "configs"}
    assert told["configs"][0] == {**was["configs"][0], "default": "true"}
    assert told["configs"][1]["config_name"] == alice.plan.config
    assert alice.push().commits == 0


def test_a_card_with_other_line_ends_keeps_the_sections_of_other_configs(alice, tmp_path, demo_folder):
    alice.push()
    alice.put("README.md", card_of(alice).replace("\n", "\r\n").encode())
    plan = make(tmp_path / "more", demo_folder, config_name="more", timesteps="0::8")
    alice.push(plan=plan, folder=tmp_path / "more")
    card = card_of(alice)
    assert f"### `{alice.plan.config}`" in card
    assert "### `more`" in card
    assert card.count("<!-- nersemble: begin -->") == 1
    assert "\r" not in card


def test_a_licence_and_a_gate_of_others_give_way_to_those_of_the_data_set_and_that_is_said(alice):
    lax = b"---\nlicense: cc-by-4.0\nextra_gated_prompt: all welcome\nviewer: true\n---\n"
    alice.put("README.md", lax)
    report = alice.push()
    keys = yaml.safe_load(head_of(card_of(alice)))
    assert (keys["license"], keys["license_name"]) == ("other", "nersemble-terms-of-use")
    assert "do not try to find out who" in keys["extra_gated_prompt"]
    assert keys["viewer"] is False
    assert "take the place of: license: cc-by-4.0; extra_gated_prompt: all welcome; viewer: true." in str(report)
    assert report.as_dict()["overridden"] == ["license: cc-by-4.0", "extra_gated_prompt: all welcome", "viewer: true"]
    assert "take the place of" not in str(alice.push())


def test_files_of_others_that_load_without_a_config_are_not_made_unloadable(alice):
    alice.put("data/train.parquet", small_table())
    assert "files of others, data/train.parquet first, that load without a config's name" in refusal(alice)
    alice.put("README.md", b"---\nconfigs:\n- config_name: default\n  data_files: data/*.parquet\n---\n")
    alice.push()
    entries = yaml.safe_load(head_of(card_of(alice)))["configs"]
    assert entries[0] == {"config_name": "default", "data_files": "data/*.parquet"}
    assert [entry["config_name"] for entry in entries] == ["default", alice.plan.config]


@pytest.mark.parametrize("path", ["LICENSE.txt", "notes.md", "code/load.py", ".hidden/a.csv"])
def test_files_that_are_no_data_stand_against_nothing(alice, path):
    alice.put(path, b"words")
    alice.push()
    alice.assert_whole()


def test_a_config_of_others_that_has_the_name_is_not_led_elsewhere(alice):
    alice.put("data/train.csv", b"participant,x\n1,2\n")
    entry = f"- config_name: {alice.plan.config}\n  data_files: data/*.csv\n"
    alice.put("README.md", f"---\nconfigs:\n{entry}---\n".encode())
    assert f"has a config {alice.plan.config} of other files: 'data/*.csv'" in refusal(alice)


def test_a_card_that_is_not_utf_8_is_not_rewritten(alice):
    data = "---\npretty_name: K\u00f6pfe\n---\n".encode("latin-1")
    alice.repo.commit("main", Change("By git", steps=[("file", "README.md", data)]), "alice")
    assert "README.md on the hub is not UTF-8" in refusal(alice)


@pytest.mark.parametrize(
    "head",
    [
        "- a\n",
        "configs: {a: b}\n",
        "configs: participant\n",
        "configs: [\n",
        "configs: &a [{x: *a}]\n",
        "license: mit\nlicense: mit\n",
        "tags: []\n...\n",
    ],
)
def test_a_head_that_nobody_can_change_safely_is_refused_in_plain_words(alice, head):
    alice.put("README.md", f"---\n{head}---\nWords.\n".encode())
    with pytest.raises(PushError, match=r"README\.md on the hub .*Repair it there first"):
        alice.push()
    assert card_of(alice) == f"---\n{head}---\nWords.\n"


@pytest.mark.parametrize(
    "head",
    [
        "a: !!python/object:os.system 1\n",
        "x: &a [*a]\n",
        "1: 2\n? [a, b]\n: c\n",
        "b: !!binary zzz\n",
        "{a: 1.10, b: no}\n",
        "configs:\n",
        "",
    ],
)
def test_heads_of_other_forms_keep_what_they_say(alice, head):
    alice.put("README.md", f"---\n{head}---\nWords.\n".encode())
    alice.push()
    card = card_of(alice)
    assert card.count("config_name") == 1
    assert card.startswith(f"---\n{head}") or head.startswith(("{", "configs"))
    if head.startswith("{"):
        assert "a: 1.10\nb: no\n" in card
    yaml.compose(head_of(card))
    alice.assert_whole()
    assert alice.push().commits == 0


COMMENTED = """license: other
configs:  # ours
  # agreed with Bob
  - config_name: a  # the first
    # of the old camera
    data_files: "others/a.parquet"

  # of the new one
  - {config_name: b, data_files: others/b.parquet}  # short
  - config_name: c
    data_files: others/c.parquet
    description: |
      Words.

      More.
# what follows
more: 1
"""


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text.replace("\n  ", "\n")], ids=["in", "out"])
def test_configs_of_others_keep_their_comments_and_spelling(alice, tmp_path, demo_folder, change):
    head = change(COMMENTED)
    for name in "abc":
        alice.put(f"others/{name}.parquet", small_table())
    alice.put("README.md", f"---\n{head}---\nWords.\n".encode())
    alice.push()
    plan = make(tmp_path / "more", demo_folder, config_name="more", timesteps="0::8")
    alice.push(plan=plan, folder=tmp_path / "more")
    told = head_of(card_of(alice))
    lines = told.splitlines()
    assert [line for line in lines if line in head.splitlines()][: len(head.splitlines())] == head.splitlines()
    assert [line.strip() for line in lines if "default" in line] == ["default: true"]
    entries = yaml.safe_load(told)["configs"]
    assert [one["config_name"] for one in entries] == ["a", "b", "c", alice.plan.config, "more"]
    assert entries[0] == {"config_name": "a", "data_files": "others/a.parquet", "default": True}
    delete("alice/faces", [240], token=alice.token, endpoint=alice.hub.url)
    assert head_of(card_of(alice)).count("# ") == head.count("# ")
    assert [one["config_name"] for one in yaml.safe_load(head_of(card_of(alice)))["configs"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "configs",
    [
        "- &c\n  config_name: a\n  data_files: others/a.parquet\n- <<: *c\n  config_name: b\n",
        "- &c {config_name: a, data_files: others/a.parquet}\n- {<<: *c, config_name: b}\n",
    ],
    ids=["block", "flow"],
)
def test_configs_of_others_that_take_over_from_each_other_still_load(alice, configs):
    alice.put("others/a.parquet", small_table())
    alice.put("README.md", f"---\nconfigs:\n{configs}---\n".encode())
    alice.push()
    entries = yaml.safe_load(head_of(card_of(alice)))["configs"]
    assert [(one["config_name"], one.get("default")) for one in entries] == [
        ("a", None),
        ("b", True),
        (alice.plan.config, None),
    ]
    assert "<<: *" in head_of(card_of(alice))
    done = alice.hub.python(LOAD_TWO, token=alice.token)
    assert done.stdout.split() == ["a", "a"], done.stderr
    alice.load(alice.plan.config, "main")
    assert alice.push().commits == 0


LOAD_TWO = """
import datasets
datasets.config.USE_PARQUET_EXPORT = False
for name in "ab":
    print(datasets.load_dataset("alice/faces", name, split="train")[0]["x"])
"""


@pytest.mark.parametrize("body", ["<!-- nersemble: begin -->\nMine.\n", "{1}\nMine.\n{0}\nMine too.\n"])
def test_words_of_others_about_our_marks_are_not_taken_for_ours(alice, body):
    body = body.format("<!-- nersemble: begin -->", "<!-- nersemble: end -->")
    alice.put("README.md", f"---\nmine: 1\n---\n{body}".encode())
    alice.push()
    assert body in card_of(alice)
    assert alice.push().commits == 0
    delete("alice/faces", [240], token=alice.token, endpoint=alice.hub.url)
    assert body in card_of(alice)
    assert "240" not in card_of(alice)


def test_the_card_says_what_clips_need(alice):
    alice.push()
    card = " ".join(alice.repo.read("README.md").decode().split())
    assert (
        "stock columns of `datasets`, which need no other package to be read. Clips, in a column `video`, need" in card
    )
    assert "no other package is needed to read them" not in card
