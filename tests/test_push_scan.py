"""What must not leave a machine, however it came into a shard: nothing is sent then, and the shard is named."""

from __future__ import annotations

import base64
import io
import json
import zlib
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
from nersemble.hub.scan import Forbidden, ScannedShard, knows_url, scan_shard
from nersemble.prepare.shard import seal

pytestmark = DEPRECATED
SECRET = "https://data.example.org/s3cr3t-t0ken/v2+x"


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    return pushing(hub, demo_folder, monkeypatch)


def scanned(path: str | Path, forbidden: Forbidden) -> ScannedShard:
    with open(path, "rb") as file:
        return scan_shard(file, forbidden)


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
    found = scanned(shard(tmp_path / "a.parquet", name=text), Forbidden())
    assert "column name holds a path of a machine" in found.problem
    nested = shard(tmp_path / "b.parquet", rows=[{"frame": {"path": text, "bytes": b"x"}}])
    assert "holds a path of a machine" in scanned(nested, Forbidden()).problem


@pytest.mark.parametrize(
    "text",
    ["240_EMO-1-shout+laugh_00003.jpg", "and/or", "a / b", "3/4 of it", "smile: yes", "https://doi.org/10.1/2", ""],
)
def test_other_words_are_not(tmp_path, text):
    assert scanned(shard(tmp_path / "a.parquet", name=text), Forbidden()).problem == ""


def test_the_home_folder_is_found_within_words(tmp_path):
    home = str(Path.home())
    path = shard(tmp_path / "a.parquet", name=f"x{home}y")
    assert "holds a path" in scanned(path, Forbidden()).problem


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
        found = scanned(tmp_path / "a.parquet", Forbidden())
        assert "holds the access URL" in found.problem
        assert "s3cr3t" not in found.problem + repr(Forbidden())


def test_the_access_url_is_found_across_two_reads_of_a_file(tmp_path, monkeypatch):
    from nersemble.hub import scan

    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    path = shard(tmp_path / "a.parquet", data=b"x" * 300 + SECRET.encode() + b"y" * 300)
    for block in (64, 65, 97, 301):
        monkeypatch.setattr(scan, "_BLOCK", block)
        assert scanned(path, Forbidden()).problem == "it holds the access URL"


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
    assert problem in scanned(tmp_path / "a.parquet", Forbidden()).problem


def test_pictures_as_this_package_and_others_write_them_are_none(tmp_path):
    for data in (jpeg(), jpeg(quality=95, subsampling=0, dpi=(72, 72))):
        assert scanned(shard(tmp_path / "a.parquet", frame=data), Forbidden()).problem == ""


ACCESS = "https://user:pw123456@secret.example.org/a1b2c3d4/nersemble"
HELD = [
    ACCESS.replace("secret.example.org", "SECRET.Example.ORG"),
    "secret.example.org:443/a1b2c3d4/nersemble",
    "secret.example.org%2fa1b2c3d4%2fnersemble",
    "get a1b2c3d4/nersemble/030/x",
    "the password is pw123456.",
    base64.b64encode(ACCESS.encode()).decode(),
    base64.b64encode(b"x" + ACCESS.encode()).decode(),
    base64.urlsafe_b64encode(b"xy" + ACCESS.encode()).decode(),
]


@pytest.mark.parametrize("held", HELD)
def test_the_access_url_is_found_in_capitals_in_pieces_and_in_base64(tmp_path, monkeypatch, held):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", ACCESS)
    found = scanned(shard(tmp_path / "a.parquet", name=held), Forbidden()).problem
    assert "holds the access URL" in found


@pytest.mark.parametrize("login", ["nersemble", "nersemble:", "lab1", "ab:c"])
def test_a_login_of_plain_words_or_a_few_letters_is_looked_for_with_the_host_and_the_path_alone(
    alice, monkeypatch, login
):
    """The first is a key of the footer of every shard."""
    monkeypatch.setenv("NERSEMBLE_DATA_URL", f"https://{login}@data.example.org/v2")
    forbidden = Forbidden()
    for held in ("data.example.org/v2", f"{login}@data.example.org/v2", f"get https://{login}@DATA.example.org/v2/x"):
        assert forbidden.secret_in(held.encode()) == "the access URL"
    assert forbidden.secret_in(f"by {login} of data.example.org".encode()) == ""
    alice.push()
    alice.assert_whole()


@pytest.mark.parametrize("login", ["k3y0fMyLab", "k3y0fMyLab:", "lab:pw", "user:pw123456"])
def test_a_login_that_may_be_a_secret_is_looked_for_alone(monkeypatch, login):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", f"https://{login}@data.example.org/v2")
    assert Forbidden().secret_in(f"by {login.rstrip(':').upper()}.".encode()) == "the access URL"


@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
def test_tokens_of_anybody_are_found(coding):
    token = "hf_" + "AbCdE12345" * 4
    assert Forbidden().secret_in(b"\xff" + token.encode(coding)) == "a token of the hub"
    assert Forbidden().secret_in(token[:20].encode(coding)) == ""


def test_a_token_is_found_in_base64():
    token = "hf_" + "x" * 12
    assert Forbidden(lambda: [token]).secret_in(base64.b64encode(b"xx" + token.encode())) == "a token of the hub"


HOME = "/home/alice/x"
COLUMNS = {
    "view": pa.array([HOME]).cast(pa.string_view()),
    "large": pa.array([HOME], pa.large_string()),
    "map": pa.array([[("k", HOME)]], pa.map_(pa.string(), pa.string())),
    "map key": pa.array([[(HOME, "k")]], pa.map_(pa.string(), pa.string())),
    "fixed": pa.array([HOME.encode()], pa.binary(len(HOME))),
    "bytes": pa.array([HOME.encode()]),
    "fixed list": pa.array([[HOME]], pa.list_(pa.string(), 1)),
    "dictionary": pa.array([HOME]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_texts_are_found_in_columns_of_every_type(tmp_path, kind):
    pq.write_table(pa.table({"a": COLUMNS[kind]}), tmp_path / "a.parquet", compression="zstd")
    assert "holds a path of a machine" in scanned(tmp_path / "a.parquet", Forbidden()).problem


FIELDS = [
    pa.field("a", pa.string(), metadata={"from": HOME}),
    pa.field("a", pa.string(), metadata={HOME: "from"}),
    pa.field(HOME, pa.string()),
    pa.field("a", pa.struct([pa.field("b", pa.string(), metadata={"from": HOME})])),
    pa.field("a", pa.list_(pa.field(HOME, pa.string()))),
]


@pytest.mark.parametrize("field", FIELDS, ids=["metadata", "key", "name", "nested metadata", "nested name"])
def test_names_of_columns_and_what_is_kept_with_them_is_looked_at(tmp_path, field):
    table = pa.table([pa.array([None], field.type)], schema=pa.schema([field]))
    pq.write_table(table, tmp_path / "a.parquet")
    assert "its footer holds a path" in scanned(tmp_path / "a.parquet", Forbidden()).problem


def saved(form: str, **kept) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, form, **kept)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def segment(number: int, data: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + (2 + len(data)).to_bytes(2, "big") + data


JPEG, PNG = saved("JPEG"), saved("PNG")
TOLD = PIL.Image.Exif()
TOLD[0x010E] = "at home"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (JPEG[:2] + segment(12, b"Ducky at home") + JPEG[2:], "with APP12 in"),
        (JPEG[:2] + segment(1, b"GPS 52.1,11.2") + JPEG[2:], "with APP1 in"),
        (saved("JPEG", icc_profile=b"of Dr. Who" * 20), "with APP2 in"),
        (JPEG[:2] + segment(0, b"JFXX\0\x10 a thumbnail") + JPEG[2:], "with APP0 in"),
        (JPEG + b"serial 12345", "with bytes behind its end in"),
        (saved("JPEG", progressive=True) + b"x", "with bytes behind its end in"),
        (JPEG[:-2], "with a structure that cannot be read in"),
        (PNG + b"serial 12345", "with bytes behind its end in"),
        (PNG[:33] + chunk(b"prVt", b"at home") + PNG[33:], "with a chunk prVt in"),
        (PNG[:-12] + chunk(b"eXIf", b"at home") + PNG[-12:], "with a chunk eXIf in"),
        (saved("PNG", icc_profile=b"of Dr. Who" * 20), "with a chunk iCCP in"),
        (saved("WEBP", exif=TOLD), "with exif in"),
        (saved("WEBP") + b"serial", "picture with"),
        (saved("TIFF", description="at home"), "with TIFF tags in"),
    ],
)
def test_pictures_with_anything_beside_the_pixels_are_found(tmp_path, data, problem):
    assert problem in scanned(shard(tmp_path / "a.parquet", frame=data), Forbidden()).problem


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        PNG,
        saved("WEBP"),
        saved("WEBP", lossless=True),
        saved("JPEG", progressive=True),
        saved("JPEG", quality=100),
    ],
)
def test_pictures_of_plain_encoders_are_none(tmp_path, data):
    noise = np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, "JPEG", quality=100, restart_marker_blocks=4)
    found = scanned(shard(tmp_path / "a.parquet", frame=data, other=file.getvalue()), Forbidden())
    assert found.problem == ""


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
    with pytest.raises(PushError, match=r"the commit's message holds .*\. Leave it out of the message\.$") as caught:
        alice.push(message=message)
    assert "s3cr3t" not in str(caught.value)


def test_a_message_and_shards_that_hold_something_are_each_told_what_to_do(alice, tmp_path):
    folder = alice.copy(tmp_path / "bad")

    def change(rows):
        rows[0]["frames"][0]["bytes"] += SECRET.encode()

    for name in alice.shards:
        rewritten(folder / name, change)
    advice = r"Leave it out of the message\. Make the shards again with `plan\.run`, after removing these\.$"
    with pytest.raises(PushError, match=rf"the commit's message holds .*; {alice.shards[0]}: .*\. {advice}"):
        alice.push(folder=folder, message=f"from {SECRET}")
    with pytest.raises(PushError, match=r"machine: participant_\S+: .*\. Make the shards again") as caught:
        alice.push(folder=folder)
    assert "message" not in str(caught.value)


def test_a_card_by_somebody_else_that_holds_the_access_url_is_not_committed_again(alice):
    alice.hub.create("alice/faces")
    alice.put("README.md", f"---\npretty_name: x\n---\nFrom {SECRET}\n".encode())
    with pytest.raises(PushError, match=r"README\.md would hold the access URL") as caught:
        alice.push()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("hiding", ["http://127.0.0.1:8240/demo-abc", "https://data.example/other/v2", "a folder", ""])
@pytest.mark.parametrize("key", ["NERSEMBLE_DATA_URL", "NERSEMBLE_BENCHMARK_URL"])
def test_the_access_url_of_the_file_is_found_also_where_the_environment_has_another(
    tmp_path, monkeypatch, demo_folder, hiding, key
):
    path = tmp_path / "home/.config/nersemble_data/.env"
    path.parent.mkdir(parents=True)
    path.write_text(f'{key} = "{SECRET}"\n')
    monkeypatch.setenv("NERSEMBLE_DATA_URL", str(demo_folder) if hiding == "a folder" else hiding)
    forbidden = Forbidden()
    assert forbidden.secret_in(SECRET.encode()) == "the access URL"
    assert knows_url()
    if hiding.startswith("http"):
        assert forbidden.secret_in(hiding.encode()) == "the access URL"
    if hiding == "a folder":
        assert "holds a path" in forbidden.problem_of(f"x{demo_folder}")


def test_both_access_urls_of_the_environment_are_found(monkeypatch):
    other = "https://data.example.org/an0ther-t0ken/v2"
    monkeypatch.setenv("NERSEMBLE_DATA_URL", SECRET)
    monkeypatch.setenv("NERSEMBLE_BENCHMARK_URL", other)
    forbidden = Forbidden()
    assert [forbidden.secret_in(url.encode()) for url in (SECRET, other)] == ["the access URL"] * 2


def test_an_access_url_that_the_environment_hides_is_not_sent(alice, tmp_path):
    path = tmp_path / "home/.config/nersemble_data/.env"
    path.parent.mkdir(parents=True)
    hidden = "https://data.example.org/an0ther-t0ken/v2"
    path.write_text(f'NERSEMBLE_DATA_URL = "{hidden}"\n')
    alice.hub.create("alice/faces")
    alice.put("README.md", f"---\npretty_name: x\n---\nFrom {hidden}\n".encode())
    with pytest.raises(PushError, match=r"README\.md would hold the access URL") as caught:
        alice.push()
    assert "an0ther" not in str(caught.value)


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
