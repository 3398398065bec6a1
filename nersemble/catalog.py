"""What is published: the two metadata CSVs, parsed.

The catalogue is a hint, the server's 404 is the truth: listed files can be missing.  Nothing here fetches anything;
``nersemble.filesystem`` hands in the CSVs' bytes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import CatalogError, hiding_data
from .layout import (
    BACKGROUND,
    PARTICIPANTS_CSV,
    PROTOCOL,
    SEQUENCES,
    SEQUENCES_CSV,
    canonical_sequence,
    sequence_order,
)

ID_COLUMN = "ID"
#: What the column of ids may be called in the table whose columns are open, in any case.
ID_NAMES = {"id", "participant", "participant_id", "participant id", "pid", "p_id", "subject", "subject_id"}
#: What stands between cells: the first that sets a column of ids apart. Spreadsheets of some countries write ";".
SEPARATORS = ",;\t"
#: Cells that mean that a participant has a sequence.
PRESENT = {"x", "m"}
_SEQUENCE_NAME = re.compile(r"(EXP|EMO|SEN)-\d+-[^/\\\x00-\x1f]+")


@dataclass(frozen=True)
class Catalog:
    """Participants and the sequences they have.

    Attributes:
        sequences_of: Names of each participant's video sequences as the CSV spells them, in published order.
        backgrounds: Participants that have background stills.
        rows: Each participant's row of ``metadata_sequences.csv``, cells as they stand, column by column.
        columns: The CSV's columns, in order.
    """

    sequences_of: dict[int, tuple[str, ...]]
    backgrounds: frozenset[int]
    rows: dict[int, dict[str, str]]
    columns: tuple[str, ...]

    @property
    def participants(self) -> tuple[int, ...]:
        """Ids in ascending order."""
        return tuple(sorted(self.sequences_of))

    @property
    def sequences(self) -> tuple[str, ...]:
        """Every video sequence of the CSV's header, as it spells them, in published order."""
        return tuple(sorted(filter(is_sequence, self.columns), key=sequence_order))

    def spelling(self, sequence: str) -> str:
        """How the CSV, and so the server's paths, spell a sequence."""
        wanted = canonical_sequence(sequence)
        return next((name for name in self.sequences if canonical_sequence(name) == wanted), sequence)

    def restricted_to(self, present: Iterable[tuple[int, frozenset[str]]]) -> Catalog:
        """The catalogue of a folder that holds only some participants and sequences."""
        held = dict(present)
        return Catalog(
            {p: _spelled_as_held(names, held[p]) for p, names in self.sequences_of.items() if p in held},
            frozenset(p for p in self.backgrounds if BACKGROUND in held.get(p, ())),
            {p: row for p, row in self.rows.items() if p in held},
            self.columns,
        )


def is_sequence(column: str) -> bool:
    """Whether a column of ``metadata_sequences.csv`` is a video sequence."""
    return canonical_sequence(column) in SEQUENCES or bool(_SEQUENCE_NAME.fullmatch(column))


@hiding_data
def parse_catalog(data: bytes) -> Catalog:
    """Parse ``metadata_sequences.csv``.

    Raises:
        CatalogError: If it is no CSV, lacks its columns, an id is no number, or nobody is listed.
    """
    columns, rows = read_table(data, SEQUENCES_CSV)
    if not rows:
        raise CatalogError(_unusable(SEQUENCES_CSV, "it lists no participant"))
    if not any(map(is_sequence, columns)):
        raise CatalogError(_unusable(SEQUENCES_CSV, "no column is the name of a sequence"))
    sequences = sorted(filter(is_sequence, columns), key=sequence_order)
    return Catalog(
        {p: tuple(name for name in sequences if _present(row[name])) for p, row in rows.items()},
        frozenset(p for p, row in rows.items() if _present(row.get(BACKGROUND, ""))),
        rows,
        columns,
    )


def catalog_of_folder(present: dict[int, frozenset[str]]) -> Catalog:
    """The catalogue of a folder without metadata CSVs: what its directories say."""
    held = set().union(*present.values())
    names = {canonical_sequence(name) for name in held if is_sequence(name)} | set(SEQUENCES)
    columns = (ID_COLUMN, BACKGROUND, *sorted(names, key=sequence_order))
    sequences_of = {p: _spelled_as_held(columns[2:], names) for p, names in present.items()}
    rows = {}
    for participant, sequences in sequences_of.items():
        marked = {canonical_sequence(name) for name in sequences} | (present[participant] & {BACKGROUND})
        rows[participant] = {ID_COLUMN: str(participant)} | {c: "x" if c in marked else "" for c in columns[1:]}
    return Catalog(sequences_of, frozenset(p for p, names in present.items() if BACKGROUND in names), rows, columns)


def _spelled_as_held(sequences: Iterable[str], held: frozenset[str]) -> tuple[str, ...]:
    """The sequences that a folder holds, as it spells them."""
    spelled = {canonical_sequence(name): name for name in sorted(held)}
    return tuple(spelled[canonical_sequence(name)] for name in sequences if canonical_sequence(name) in spelled)


@hiding_data
def parse_participants(data: bytes) -> tuple[tuple[str, ...], dict[int, dict[str, str]]]:
    """Parse ``metadata_participants.csv``, whose columns are open.

    Empty cells at the end of a line may be left out, as some spreadsheets do, if no cell is in quotation marks: where
    one of these is missing, lines run together.

    Returns:
        Its columns without the id, and each participant's cells by column; nothing of a table that names its
        participants otherwise than by a column of ids.

    Raises:
        CatalogError: If it is no table, ends within a line, or a line has more cells than there are columns, or fewer
            beside cells in quotation marks.
    """
    header, *lines = _read_lines(data, PARTICIPANTS_CSV) or [[]]
    ids = next((name for name in header if name.casefold() in ID_NAMES), None)
    place = len(header) if ids is None else header.index(ids)
    is_named = ids is not None and all(len(line) > place and _is_id(line[place]) for line in lines)
    is_even = all(len(line) == len(header) for line in lines)
    if len(header) < 2 or not lines or not (is_named or is_even):
        raise CatalogError(_unusable(PARTICIPANTS_CSV, "its lines are not those of a table"))
    if ids is None or not is_named:
        return (), {}
    end = b"\r\n" if b"\r\n" in data else (b"\n", b"\r")
    if len(lines[-1]) < len(header) and not data.endswith(end):
        raise CatalogError(_unusable(PARTICIPANTS_CSV, "it ends in the middle of a line"))
    if b'"' in data and any(len(line) < len(header) for line in lines):
        raise CatalogError(_unusable(PARTICIPANTS_CSV, "lines of it lack cells, or a quotation mark is missing"))
    surplus = next((number for number, line in enumerate(lines, 2) if any(line[len(header) :])), None)
    if surplus is not None:
        raise CatalogError(_unusable(PARTICIPANTS_CSV, f"line {surplus} has more cells than there are columns"))
    columns, rows = read_table(data, PARTICIPANTS_CSV, ids)
    return tuple(name for name in columns if name != ids), rows


def _read_lines(data: bytes, name: str) -> list[list[str]]:
    text, problem = _decode(data)
    if problem:
        raise CatalogError(_unusable(name, problem))
    try:
        tables = (_cells(text, separator) for separator in SEPARATORS)
        named = (lines for lines in tables if any(cell.casefold() in ID_NAMES for line in lines[:1] for cell in line))
        return next(named, None) or _cells(text, SEPARATORS[0])
    except csv.Error:
        return []


def _cells(text: str, separator: str) -> list[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[cell.strip() for cell in line] for line in lines if any(line)]


def _is_id(cell: str) -> bool:
    number = cell.removesuffix(".0")
    # As much as a column of ids holds.
    return number.isascii() and number.isdigit() and len(number.lstrip("0")) < 10


def read_table(
    data: bytes, name: str, identifiers: str = ID_COLUMN
) -> tuple[tuple[str, ...], dict[int, dict[str, str]]]:
    """Read a metadata CSV: its columns, and its rows by participant, whose ids stand in the column ``identifiers``."""
    lines = _read_lines(data, name)
    if not lines or identifiers not in lines[0]:
        raise CatalogError(_unusable(name, f"it has no column {identifiers!r}"))
    columns = tuple(lines[0])
    repeated = next((column for column in columns if column and columns.count(column) > 1), None)
    if repeated is not None:
        raise CatalogError(_unusable(name, f"it has the column {repeated!r} twice"))
    rows: dict[int, dict[str, str]] = {}
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(columns, line + [""] * (len(columns) - len(line)), strict=False))
        row.pop("", None)
        if not _is_id(row[identifiers]):
            raise CatalogError(_unusable(name, f"the {identifiers} in line {number} is no number"))
        participant = int(row[identifiers].removesuffix(".0"))
        if participant in rows:
            raise CatalogError(_unusable(name, f"participant {participant} stands in it twice"))
        rows[participant] = row
    return tuple(filter(None, columns)), rows


def _decode(data: bytes) -> tuple[str, str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "\0" in text:
        return "", "it is no text"
    if text.lstrip()[:1] == "<":
        return "", "it is a web page"
    return text, ""


def _present(cell: str) -> bool:
    return cell in PRESENT


def _unusable(name: str, problem: str) -> str:
    return (
        f"{PROTOCOL}://{name} is not the table it should be: {problem}. Is the access URL the base of the data set? "
        "`nersemble login` sets it."
    )
