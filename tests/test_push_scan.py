"""What must not leave a machine, however it came into a shard: nothing is sent then, and the shard is named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _pushing import DEPRECATED, Pushing, make, pushing
from hub import Hub

import nersemble
from nersemble.errors import PrepareError, PushError
from nersemble.hub.scan import Forbidden, scan_shard
from nersemble.prepare.shard import seal

pytestmark = DEPRECATED
SECRET = "https://data.example.org/s3cr3t-t0ken/v2+x"


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    return pushing(hub, demo_folder, monkeypatch)


def rewritten(path: Path, change, **options) -> None:
    """Write a shard anew with changed rows, and the same footer."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, **options)
    seal(str(path))


def jpeg(**kept) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG", **kept)
    return file.getvalue()


def png(text: str, *, compressed: bool = False) -> bytes:
    file, info = io.BytesIO(), PIL.PngImagePlugin.PngInfo()
    info.add_text("Comment", text, zip=compressed)
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def exif(text: str) -> bytes:
    kept = PIL.Image.Exif()
    kept[0x010E] = text
    return jpeg(exif=kept)


def shard(path: Path, **columns) -> str:
    """A shard of one row, as no plan has it."""
    arrays = {name: pa.array([value]) for name, value in columns.items()}
    pq.write_table(pa.table(arrays), path, compression="none")
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "/data/nersemble/240/x.mp4",
        "/mnt",
        "see /home/alice/pictures for more",
        "file:///x/y",
        "FILE:/x/y",
        "nersemble://240/x.mp4",
        "~/faces",
        "~bob/faces",
        r"C:\Users\alice",
        "d:/faces",
        r"\\server\share\x",
        '{"path": "/scratch/x/y"}',
    ],
)
def test_paths_of_a_machine_are_found(tmp_path, text):
    found = scan_shard(shard(tmp_path / "a.parquet", name=text), Forbidden())
    assert "column name holds a path of a machine" in found.problem
    nested = shard(tmp_path / "b.parquet", rows=[{"frame": {"path": text, "bytes": b"x"}}])
    assert "holds a path of a machine" in scan_shard(nested, Forbidden()).problem


@pytest.mark.parametrize(
    "text",
    ["240_EMO-1-shout+laugh_00003.jpg", "and/or", "a / b", "3/4 of it", "smile: yes", "https://doi.org/10.1/2", ""],
)
def test_other_words_are_not(tmp_path, text):
    assert scan_shard(shard(tmp_path / "a.parquet", name=text), Forbidden()).problem == ""


def test_the_home_folder_is_found_within_words(tmp_path):
    home = str(Path.home())
    path = shard(tmp_path / "a.parquet", name=f"x{home}y")
    assert "holds a path" in scan_shard(path, Forbidden()).problem


@pytest.mark.parametrize(
    "held",
    [
        SECRET,
        SECRET.removeprefix("https://"),
        SECRET.replace("+", "%2B"),
        "http://data.example.org/s3cr3t-t0ken/v2+x/240/calibration",
        json.dumps(SECRET).replace("/", "\\/"),
    ],
)
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_the_access_url_is_found_in_every_spelling(tmp_path, monkeypatch, held, compression):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    for coding in ("utf-8", "utf-16-le"):
        table = pa.table({"frame": [{"bytes": b"\xff\xd8 " + held.encode(coding) + b" " * 5000, "path": "a.jpg"}]})
        pq.write_table(table, tmp_path / "a.parquet", compression=compression)
        found = scan_shard(str(tmp_path / "a.parquet"), Forbidden())
        assert "holds the access URL" in found.problem
        assert "s3cr3t" not in found.problem + repr(Forbidden())


def test_the_access_url_is_found_across_two_reads_of_a_file(tmp_path, monkeypatch):
    from nersemble.hub import scan

    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    path = shard(tmp_path / "a.parquet", data=b"x" * 300 + SECRET.encode() + b"y" * 300)
    for block in (64, 65, 97, 301):
        monkeypatch.setattr(scan, "_BLOCK", block)
        assert scan_shard(path, Forbidden()).problem == "it holds the access URL"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\0" * 4000, "has a picture of null bytes"),
        (b"", "has a picture without bytes"),
        (None, "has a picture without bytes"),
        (jpeg(comment=b"made at home"), "comment in its file"),
        (exif("made at home"), "exif in its file"),
        (png("made at home"), "Comment in its file"),
        (png("made at home", compressed=True), "Comment in its file"),
    ],
)
def test_pictures_without_bytes_and_with_words_are_found(tmp_path, data, problem):
    struct = pa.array([{"bytes": data, "path": "a.jpg"}], pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    pq.write_table(pa.table({"frame": struct}), tmp_path / "a.parquet")
    assert problem in scan_shard(str(tmp_path / "a.parquet"), Forbidden()).problem


def test_pictures_as_this_package_and_others_write_them_are_none(tmp_path):
    for data in (jpeg(), jpeg(quality=95, subsampling=0, dpi=(72, 72))):
        assert scan_shard(shard(tmp_path / "a.parquet", frame=data), Forbidden()).problem == ""


# --- and nothing of it is pushed ---


def test_a_shard_with_a_path_is_named_and_nothing_is_sent(alice, tmp_path):
    folder = alice.copy(tmp_path / "bad")

    def change(rows):
        rows[0]["frames"][0]["path"] = r"C:\faces.jpg"

    rewritten(folder / alice.shards[1], change, compression="none")
    with pytest.raises((PushError, PrepareError), match=alice.shards[1]):
        alice.push(folder=folder)
    assert alice.hub.repos.get("alice/faces") is None


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_the_access_url_in_a_pictures_comment_is_found_and_not_repeated(alice, tmp_path, compression, caplog):
    folder = alice.copy(tmp_path / "bad")

    def change(rows):
        frame = rows[0]["frames"][0]
        image = PIL.Image.open(io.BytesIO(frame["bytes"]))
        file = io.BytesIO()
        image.save(file, "JPEG", comment=SECRET.encode())
        frame["bytes"] = file.getvalue()

    rewritten(folder / alice.shards[2], change, compression=compression)
    with pytest.raises(PushError, match=f"{alice.shards[2]}.*holds the access URL") as caught:
        alice.push(folder=folder)
    assert "s3cr3t" not in str(caught.value) + caplog.text
    assert alice.hub.repos.get("alice/faces") is None
    assert alice.hub.received == 0


@pytest.mark.parametrize("whose", ["given", "of the environment"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_token_of_the_hub_is_found_and_not_repeated(alice, tmp_path, monkeypatch, whose, coding, compression):
    token = alice.token
    if whose == "of the environment":
        token = "hf_" + "otherOther" * 3
        monkeypatch.setenv("HF_TOKEN", token)
    folder = alice.copy(tmp_path / "bad")

    def change(rows):
        rows[0]["frames"][0]["bytes"] += token.encode(coding)

    rewritten(folder / alice.shards[2], change, compression=compression)
    with pytest.raises(PushError, match=f"{alice.shards[2]}.*holds a token of the hub") as caught:
        alice.push(folder=folder)
    assert token not in str(caught.value)
    assert alice.hub.repos.get("alice/faces") is None


def test_a_card_or_a_message_with_the_token_is_not_committed(alice):
    alice.hub.create("alice/faces")
    with pytest.raises(PushError, match="the commit's message holds a token"):
        alice.push(message=f"by {alice.token}")
    alice.put("README.md", f"---\npretty_name: x\n---\nLogin {alice.token}\n".encode())
    with pytest.raises(PushError, match=r"README\.md would hold a token of the hub"):
        alice.push()


@pytest.mark.parametrize("data", [None, b"\0" * 100])
def test_a_shard_with_null_bytes_is_not_sent(alice, tmp_path, data):
    folder = alice.copy(tmp_path / "bad")

    def change(rows):
        rows[0]["frames"][0]["bytes"] = data

    rewritten(folder / alice.shards[0], change)
    with pytest.raises(PrepareError, match=alice.shards[0]):
        alice.push(folder=folder)
    assert alice.hub.repos.get("alice/faces") is None


def test_a_column_of_a_stage_that_names_paths_is_found(hub, demo_folder, tmp_path, monkeypatch):
    @nersemble.prepare.stage(source="string")
    def source(image, background, camera, row):
        return {"source": f"/scratch/alice/{row['participant']}.mp4"}

    alice = pushing(hub, demo_folder, monkeypatch)
    plan = make(tmp_path / "staged", demo_folder, stages=[source], timesteps="0::30")
    with pytest.raises(PushError, match=r"column source holds a path of a machine: '/scratch/alice/240\.mp4'"):
        alice.push(plan=plan, folder=tmp_path / "staged")


@pytest.mark.parametrize("message", [f"from {SECRET}/240", "from /data/faces/240"])
def test_the_message_of_a_commit_is_looked_at_too(alice, message):
    with pytest.raises(PushError, match="the commit's message holds") as caught:
        alice.push(message=message)
    assert "s3cr3t" not in str(caught.value)


def test_a_card_by_somebody_else_that_holds_the_access_url_is_not_committed_again(alice):
    alice.hub.create("alice/faces")
    alice.put("README.md", f"---\npretty_name: x\n---\nFrom {SECRET}\n".encode())
    with pytest.raises(PushError, match=r"README\.md would hold the access URL") as caught:
        alice.push()
    assert "s3cr3t" not in str(caught.value)


def test_that_no_access_url_is_set_here_is_said(alice, demo_folder, monkeypatch):
    """Shards may come from where it is set; nobody can look for what is not known."""
    note = "no access URL is set here, so shards"
    assert note not in str(alice.push(dry_run=True)) + str(alice.push())
    for value in ("", str(demo_folder)):
        monkeypatch.setenv("NERSEMBLE_DATA_URL", value)
        assert f"Note: {note} cannot be searched for it." in str(alice.push(dry_run=True))
        report = alice.push()
        assert f"Note: {note} could not be searched for it." in str(report)
        assert report.as_dict()["url_known"] is False


def test_nothing_that_is_pushed_has_the_access_url_or_a_path(alice):
    alice.push(message="Heads")
    for path in alice.repo.paths():
        data = alice.repo.read(path)
        assert b"s3cr3t" not in data
        assert str(Path.home()).encode() not in data
        assert b"/tmp/" not in data
