"""What a stage refers to is part of its plan: each kind of change is seen, and nothing else."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings

import pytest
from _prepared import small_plan

from nersemble import prepare
from nersemble.errors import StageWarning
from nersemble.prepare import owners
from nersemble.prepare.fingerprint import describe_stage

IMPORTS = """\
import collections, dataclasses, datetime, decimal, enum, functools, logging, pathlib, re, threading, types, typing
import numpy as np
import nersemble
import helpers
"""
STAGE = """
@nersemble.prepare.stage(count="int32")
def count(image, background, camera, row):
    return {"count": USED}
"""
HELPERS = "K = 3\nLIST = [1]\n\ndef f():\n    return g()\n\ndef g():\n    return K if LIST else f()\n"
TELL = """\
import json, masks
from nersemble.prepare.fingerprint import describe_stage
print(json.dumps(describe_stage(masks.count)))
"""


@pytest.fixture
def stage_of(tmp_path, monkeypatch):
    """Writes ``masks.py`` and ``helpers.py`` into a new folder, and imports the stage."""
    folders = iter(range(100))

    def made(before: str, used: str = "VALUE", helpers: str = HELPERS):
        folder = tmp_path / f"folder {next(folders)}"
        folder.mkdir()
        (folder / "masks.py").write_text(f"{IMPORTS}{before}\n{STAGE.replace('USED', used)}")
        (folder / "helpers.py").write_text(helpers)
        for name in ("masks", "helpers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(folder)
        return importlib.import_module("masks").count

    yield made
    for name in ("masks", "helpers", "softmatte"):
        sys.modules.pop(name, None)


def told(stage) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return describe_stage(stage)["source"]


#: A value, and what it is changed to.
VALUES = {
    "bool": ("True", "1"),
    "int": ("1", "2"),
    "a float of an int": ("1", "1.0"),
    "float": ("0.1", "0.1 + 1e-17 * 2"),
    "a long int": ("10**5000", "10**5000 + 1"),
    "str": ("'a'", "'b'"),
    "None": ("None", "'None'"),
    "bytes": ("b'a'", "b'b'"),
    "numpy scalar": ("np.float32(0.5)", "np.float32(0.9)"),
    "numpy scalar's type": ("np.float32(0.5)", "np.float64(0.5)"),
    "array": ("np.arange(4)", "np.arange(4)[::-1]"),
    "array's shape": ("np.zeros((2, 3))", "np.zeros((3, 2))"),
    "array's type": ("np.zeros(3, np.int32)", "np.zeros(3, np.uint32)"),
    "array of objects": ("np.array([None, 1], object)", "np.array([None, 2], object)"),
    "masked array": ("np.ma.array([1, 2], mask=[0, 0])", "np.ma.array([1, 2], mask=[0, 1])"),
    "large array": ("np.zeros(1 << 22)", "np.r_[np.zeros((1 << 22) - 1), 1]"),
    "list": ("[1, 2]", "[2, 1]"),
    "list of bytes": ("[b'a', np.float32(1)]", "[b'a', np.float32(2)]"),
    "list for a tuple": ("[1, 2]", "(1, 2)"),
    "nested": ("{'a': [(1, {2})]}", "{'a': [(1, {3})]}"),
    "set": ("{'a', 'b'}", "{'a', 'c'}"),
    "frozenset": ("frozenset({b'a'})", "frozenset({b'b'})"),
    "dict": ("{'a': 1}", "{'a': 2}"),
    "dict's key": ("{1: 1}", "{'1': 1}"),
    "dict's order": ("{'hair': 1, 'skin': 1}", "{'skin': 1, 'hair': 1}"),
    "defaultdict": ("collections.defaultdict(int)", "collections.defaultdict(float)"),
    "enum": ("enum.Enum('E', 'A B').A", "enum.Enum('E', 'A B').B"),
    "enum's value": ("enum.Enum('E', {'A': b'1'}).A", "enum.Enum('E', {'A': b'2'}).A"),
    "path": ("pathlib.Path('weights/1')", "pathlib.Path('weights/2')"),
    "dataclass": (
        "dataclasses.make_dataclass('D', ['x', 'y'])(1, b'2')",
        "dataclasses.make_dataclass('D', ['x', 'y'])(1, b'3')",
    ),
    "named tuple": ("collections.namedtuple('T', 'x')(b'1')", "collections.namedtuple('T', 'x')(b'2')"),
    "namespace": ("types.SimpleNamespace(a=b'1')", "types.SimpleNamespace(a=b'2')"),
    "partial": ("functools.partial(max, b'1')", "functools.partial(max, b'2')"),
    "partial's function": ("functools.partial(max, 1)", "functools.partial(min, 1)"),
    "pattern": ("re.compile('a')", "re.compile('b')"),
    "pattern's flags": ("re.compile('a')", "re.compile('a', re.I)"),
    "slice": ("slice(0, 3)", "slice(0, 4)"),
    "decimal": ("decimal.Decimal('0.1')", "decimal.Decimal('0.2')"),
    "date": ("datetime.date(2024, 1, 1)", "datetime.date(2024, 1, 2)"),
    "module of the standard library": ("re", "enum"),
    "function of a package": ("np.mean", "np.median"),
    "ufunc": ("np.exp", "np.log"),
    "class": ("np.uint8", "np.uint16"),
}


@pytest.mark.parametrize("change", VALUES.values(), ids=VALUES)
def test_a_value_that_changes_is_seen_and_one_that_does_not_is_not(stage_of, change):
    before, after = (f"VALUE = {text}" for text in change)
    first = told(stage_of(before))
    assert first == told(stage_of(before + "\nUNRELATED = 1"))
    assert first != told(stage_of(after))


LONG_DOUBLES = """
N = 10 if np.finfo(TYPE).nmant == 63 else TYPE.itemsize
VALUE.view("u1").reshape(2, -1)[:, :N] = np.full(2, W, TYPE).view("u1").reshape(2, -1)[:, :N]
"""
#: Arrays made of bytes that are all one, whose fields are then written to, but not what lies between these.
PADDED = {
    "fields": ("[('label', 'u1'), ('weight', 'f8')]", "VALUE['label'] = 1; VALUE['weight'] = W"),
    "nested": (
        "[('pair', np.dtype([('a', 'u1'), ('b', 'f4', 2)], align=True), 3), ('c', 'i8')]",
        "VALUE['pair']['a'] = 1; VALUE['pair']['b'] = 2; VALUE['c'] = 3; VALUE['pair']['b'][1, 2, 1] = W",
    ),
    "one": ("[('label', 'u1'), ('weight', 'f8')]", "VALUE['label'] = 1; VALUE['weight'] = W; VALUE = VALUE[1]"),
    "masked": (
        "[('label', 'u1'), ('weight', 'f8')]",
        "VALUE['label'] = 1; VALUE['weight'] = W; VALUE = np.ma.array(VALUE, mask=[(0, 1), (0, 0)])",
    ),
    "long double": (
        "'longdouble'",
        LONG_DOUBLES,
    ),
}


@pytest.mark.parametrize("padded", PADDED.values(), ids=PADDED)
def test_what_lies_between_the_fields_of_an_array_is_no_part_of_it(stage_of, padded):
    def of(fill, weight):
        made = f"np.full(2 * TYPE.itemsize, FILL, 'u1').view(TYPE)\n{padded[1]}"
        return told(stage_of(f"FILL, W = {fill}, {weight}\nTYPE = np.dtype({padded[0]}, align=True)\nVALUE = {made}"))

    assert of(0, 4) == of(64, 4)
    assert of(0, 4) != of(0, 5)


@pytest.mark.parametrize(
    "line",
    [
        "VALUE = [(lambda: 1), (lambda: 2)][{}]",
        "VALUE = {{0: lambda x: x.min(), 1: lambda x: x.max()}}[{}]",
        "VALUE = [(lambda x, y: x), (lambda y, x: x)][{}]",
        "VALUE = [(lambda: (lambda: 1)), (lambda: (lambda: 2))][{}]()",
    ],
)
def test_lambdas_of_one_line_are_told_apart(stage_of, line):
    first, second = (told(stage_of(f"NUMBER = {number}\n{line.format('NUMBER')}")) for number in (0, 1))
    assert first != second
    assert first == told(stage_of(f"NUMBER = 0\n{line.format('NUMBER')}"))


#: Where a value is referred to: the text in front of the stage, and what the stage says, for a value in place of $.
PLACES = {
    "generator": ("K = $", "sum(K for _ in range(2))"),
    "list comprehension": ("K = $", "[K for _ in range(2)]"),
    "lambda": ("K = $", "(lambda: K)()"),
    "lambda in a lambda": ("K = $", "(lambda: (lambda: K))()()"),
    "default of a lambda": ("K = $", "(lambda x=K: x)()"),
    "function": ("K = $\ndef f():\n    return K", "f()"),
    "generator in a function": ("K = $\ndef f():\n    return sum(K for _ in range(2))", "f()"),
    "nested function": ("K = $\ndef f():\n    def g():\n        return K\n    return g()", "f()"),
    "default": ("K = $\ndef f(x=K):\n    return x", "f()"),
    "keyword default": ("K = $\ndef f(*, x=K):\n    return x", "f()"),
    "attribute of a function": ("def f():\n    return f.k\nf.k = $", "f()"),
    "in a circle": ("K = $\ndef f():\n    return g()\ndef g():\n    return K or f()", "f()"),
    "function in a dict": ("K = $\ndef f():\n    return K\nALL = {'f': f}", "ALL['f']()"),
    "cached function": ("K = $\n@functools.lru_cache\ndef f():\n    return K", "f()"),
    "decorator": (
        "K = $\ndef d(g):\n @functools.wraps(g)\n def i():\n  return K\n return i\n@d\ndef f():\n    return 1",
        "f()",
    ),
    "class attribute": ("K = $\nclass C:\n    k = K", "C.k"),
    "method": ("K = $\nclass C:\n    def f(self):\n        return K", "C().f()"),
    "property of an object": ("K = $\nclass C:\n    @property\n    def f(self):\n        return K\nONE = C()", "ONE.f"),
    "base class": ("K = $\nclass B:\n    def f(self):\n        return K\nclass C(B):\n    pass", "C().f()"),
    "attribute of an object": ("class C:\n    pass\nONE = C()\nONE.k = $", "ONE.k"),
    "private slot": (
        "class C:\n    __slots__ = '__k'\n    def __init__(self):\n        self.__k = K\nK = $\nONE = C()\ndel K",
        "ONE",
    ),
    "slot": ("class C:\n    __slots__ = ('k',)\nONE = C()\nONE.k = $", "ONE.k"),
    "bound method": ("class C:\n    def f(self):\n        return self.k\nONE = C()\nONE.k = $\nf = ONE.f", "f()"),
    "partial": ("def f(x):\n    return x\nf = functools.partial(f, $)", "f()"),
    "constant of a module": ("helpers.K = $", "helpers.K"),
    "in a function of a module": ("helpers.K = $", "helpers.f()"),
    "in a lambda, of a module": ("helpers.K = $", "(lambda: helpers.K)()"),
    "function taken from a module": ("from helpers import f\nhelpers.K = $", "f()"),
    "module under another name": ("import helpers as h\nh.K = $", "h.f()"),
    "code without source": ("exec('def f(): return $')", "f()"),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_value_is_seen_wherever_it_is_referred_to(stage_of, place):
    before, used = place
    first, again, changed = (told(stage_of(before.replace("$", value), used)) for value in ("1", "1", "2"))
    assert first == again != changed


def test_functions_of_the_callers_modules_are_told_by_their_source(stage_of):
    first = told(stage_of("", "helpers.f()"))
    assert first == told(stage_of("", "helpers.f()", HELPERS + "\n\ndef unrelated():\n    return 1\n"))
    assert first != told(stage_of("", "helpers.f()", HELPERS.replace("K if LIST", "K + 1 if LIST")))
    assert first != told(stage_of("", "helpers.f()", HELPERS.replace("[1]", "[2]")))


@pytest.mark.parametrize("used", [("import softmatte", "softmatte.soft()"), ("from softmatte import soft", "soft()")])
def test_a_new_version_of_a_package_is_seen(stage_of, tmp_path, monkeypatch, used):
    seen = []
    for place, version in (("one", "1.0"), ("two", "1.0"), ("three", "1.1")):
        site = tmp_path / place / "site-packages"
        (site / f"softmatte-{version}.dist-info").mkdir(parents=True)
        (site / f"softmatte-{version}.dist-info/METADATA").write_text(f"Name: softmatte\nVersion: {version}\n")
        (site / "softmatte.py").write_text("def soft(): return 1\n")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, "softmatte", raising=False)
        owners._versions.cache_clear()  # as in another process
        seen.append(told(stage_of(*used)))
    assert seen[0] == seen[1] != seen[2]


MUCH = """
class Kind(enum.Enum):
    A = "a"
    B = "b"

@dataclasses.dataclass
class Settings:
    kinds: frozenset = frozenset({"a", "b", "c", Kind.A, Kind.B})
    names: dict = dataclasses.field(default_factory=lambda: {"x": {"p", "q", "r", "s"}})

class Pair(typing.NamedTuple):
    first: int = 1
    second: str = "a"

def one(): return two()
def two(): return one()
log, lock, missing = logging.getLogger("masks"), threading.Lock(), object()
NUMBERS = np.linspace(0, 1, 7)
VALUE = [Settings(), Pair(2), Pair, {one, two, helpers.f, max, Settings}, {"1", b"1", 1.5, None, ("t", "u")}, NUMBERS]
"""
USED = "(VALUE, Kind.A, Settings, helpers.f(), log, lock, missing, __file__)"


def test_it_is_the_same_in_other_interpreters_and_folders(stage_of, tmp_path):
    here = describe_stage(stage_of(MUCH, USED))
    for number, seed in enumerate("0123"):
        stage_of(MUCH, USED)
        folder = sorted(tmp_path.iterdir(), key=os.path.getmtime)[-1].rename(tmp_path / f"moved {number}")
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", TELL],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert not done.returncode, done.stderr
        assert json.loads(done.stdout) == here


def test_a_comment_counts_as_source(stage_of):
    """As nobody can tell from outside whether it is one that something reads."""
    assert told(stage_of("VALUE = 1")) != told(stage_of("VALUE = 1", "VALUE  # why\n    "))


#: What only its type tells, and how a warning names it.
UNTOLD = {
    "an open file": ("VALUE = open(__file__)", "VALUE.read()", "VALUE"),
    "in a list": ("VALUE = [1, {'a': np.random.default_rng(0)}]", "VALUE", r"VALUE\['a'\]"),
    "of a function": ("MODEL = np.random.default_rng(0)\ndef f():\n    return MODEL", "f()", r"f\.MODEL"),
    "of a module": ("helpers.K = np.random.default_rng(0)", "helpers.f()", r"helpers\.f\.g\.K"),
    "of an object": ("class C:\n    pass\nONE = C()\nONE.model = np.random.default_rng(0)", "ONE", r"ONE\.model"),
    "imported later": ("def f():\n    import helpers as late\n    return late.K", "f()", r"f\.import helpers"),
}


@pytest.mark.parametrize("case", UNTOLD.values(), ids=UNTOLD)
def test_what_only_its_type_tells_is_warned_of_unless_there_is_a_version(demo_folder, stage_of, case):
    before, used, named = case
    stage = stage_of(before, used)
    with pytest.warns(StageWarning, match=rf"stage count refers to {named}, .*`version`") as found:
        unsure = small_plan(demo_folder, stages=[stage])
    assert len(found) == 1
    stage.version = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small_plan(demo_folder, stages=[stage]).hash != unsure.hash
    if "open" in before:
        stage.__globals__["VALUE"].close()


def test_the_versions_of_stages_are_told_without_looking_at_values(stage_of):
    hashes = set()
    for value in "12":
        stage = stage_of(f"VALUE = {value}")
        stage.version = "1"
        hashes.add(told(stage))
    assert len(hashes) == 1


def test_a_plan_holds_no_value_in_clear(demo_folder, stage_of):
    text = small_plan(demo_folder, stages=[stage_of("VALUE = {'key-of-mine': [b'word', 'secret-of-mine']}")]).to_json()
    assert "of-mine" not in text
    assert prepare.PreparePlan.from_json(text).to_json() == text
