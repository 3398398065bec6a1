"""What a download does to a folder that holds something already, or that refuses to hold more."""

from __future__ import annotations

import pytest
from _faults import Scene, files_in, misbehaving, plain, put, send, whole_traceback

from nersemble.errors import CatalogError
from nersemble.transport import policy

SEQUENCES, PARTICIPANTS = "metadata_sequences.csv", "metadata_participants.csv"
PEOPLE = b"ID,gender,age\n240,f,33\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.004)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch) as made:
        put(made.truth, PARTICIPANTS, PEOPLE)
        yield made


def kept_tables(scene):
    """The tables in the cache, by their name."""
    return {path.name: path.read_bytes() for path in scene.folder.parent.rglob("*.kept")}


# --- tables that are none ---------------------------------------------------------------------------------------------

NO_TABLES = {
    "no column ID": b"name,EXP-1-head\n240,x\n",
    "a web page": b"<!DOCTYPE html><html>Please, sign in</html>",
    "an empty body": b"",
    "a sentence": b"The quota of this account is used up, try again tomorrow\n",
    "no text": b"ID,EXP-1-head\n\xff\xfe\x00\n",
}


def answering(body, *, table):
    def answer(handler, path, number):
        if path == table:
            send(handler, 200, {"Content-Length": str(len(body)), "Content-Type": "text/csv", "ETag": '"no"'}, body)
        else:
            plain(handler, path, number)

    return misbehaving(answer, suffix=".csv")


@pytest.mark.parametrize("table", [SEQUENCES, PARTICIPANTS])
@pytest.mark.parametrize("body", NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_does_not_replace_one(scene, table, body):
    """Neither in the folder nor in the cache; the download says so and fetches the rest."""
    scene.serve()
    options = {"assets": "metadata,images", "cameras": scene.cameras}
    scene.download(**options)
    good, kept = (scene.folder / table).read_bytes(), kept_tables(scene)
    assert good == (scene.truth / table).read_bytes()
    assert set(kept) == {f"{SEQUENCES}.kept", f"{PARTICIPANTS}.kept"}
    again = scene.serve_like(answering(body, table=table))
    report = scene.download(force=True, **options)
    assert {str(asset) for asset in report.failed} == {table}
    (reason,) = report.failed.values()
    assert "is not the table it should be" in reason
    assert "nersemble login" in reason
    assert (report.fetched, report.kept) == (4, 1)  # the videos, and the other table as it was
    assert [request.path for request in again.requests if request.path == table] == [table]
    assert (scene.folder / table).read_bytes() == good
    assert kept_tables(scene)[f"{table}.kept"] == kept[f"{table}.kept"]


@pytest.mark.parametrize("body", NO_TABLES.values(), ids=NO_TABLES)
def test_a_first_catalogue_that_is_none_ends_the_download(scene, body):
    """Before anything is made or fetched."""
    server = scene.serve(answering(body, table=SEQUENCES))
    with pytest.raises(CatalogError, match="is not the table it should be") as caught:
        scene.download(assets="metadata,images")
    assert server.prefix not in whole_traceback(caught.value)
    assert kept_tables(scene) == {}
    assert not scene.folder.exists()
    assert {request.path for request in server.requests} == {SEQUENCES}


@pytest.mark.parametrize("body", NO_TABLES.values(), ids=NO_TABLES)
def test_a_first_table_of_participants_that_is_none_is_not_kept(scene, body):
    scene.serve(answering(body, table=PARTICIPANTS))
    report = scene.download(assets="metadata,images", cameras=scene.cameras)
    assert {str(asset) for asset in report.failed} == {PARTICIPANTS}
    assert set(files_in(scene.folder)) == {SEQUENCES, *scene.videos}
    assert set(kept_tables(scene)) == {f"{SEQUENCES}.kept"}


def test_a_bad_table_of_a_folder_is_not_copied(scene, monkeypatch):
    """Where the access URL leads to a folder, as on a cluster that has the data on a disk."""
    monkeypatch.setenv("NERSEMBLE_DATA_URL", str(scene.truth))
    scene.download(assets="metadata,images", cameras=scene.cameras)
    put(scene.truth, PARTICIPANTS, NO_TABLES["a web page"])
    report = scene.download(assets="metadata,images", force=True, but=[PARTICIPANTS])
    assert {str(asset) for asset in report.failed} == {PARTICIPANTS}
    assert (scene.folder / PARTICIPANTS).read_bytes() == PEOPLE
