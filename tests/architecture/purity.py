"""What inner rooms do not do: read a clock, roll dice, look at the environment, touch files, talk or run beside.

Guarantee: names are followed through ``import … as …``; a forbidden name is found when it is only passed on, too.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.architecture.sources import Source

_CLOCK = "the clock; take `now` as an argument"
_DICE = "unseeded randomness; take a seed, and use numpy.random.default_rng(seed)"
_FILES = "files; take bytes or records, and let the rim read and write"
_TALK = "sockets; return what is to be sent, and let the rim send it"
_BESIDE = "threads, processes or asyncio; inner code is called, and returns"
_ENVIRONMENT = "the environment; take the value as an argument"

#: Modules of the standard library that an inner room does not import, and what they reach for.
MODULES = {
    **dict.fromkeys(("time", "sched"), _CLOCK),
    **dict.fromkeys(("random", "secrets"), _DICE),
    **dict.fromkeys(("os", "platform", "getpass", "locale"), _ENVIRONMENT),
    **dict.fromkeys(
        ("pathlib", "tempfile", "shutil", "glob", "fileinput", "linecache", "mmap", "sqlite3", "shelve", "dbm"), _FILES
    ),
    **dict.fromkeys(("socket", "socketserver", "ssl", "select", "selectors", "http", "urllib.request"), _TALK),
    **dict.fromkeys(("subprocess", "multiprocessing", "signal", "pty"), _BESIDE),
    **dict.fromkeys(("threading", "_thread", "concurrent", "asyncio", "queue"), _BESIDE),
}

#: Names that an inner room does not use.
NAMES = {
    **dict.fromkeys(
        ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"), _CLOCK
    ),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4"), _DICE),
    **dict.fromkeys(("sys.argv", "sys.stdin", "sys.stdout", "sys.stderr"), _ENVIRONMENT),
    **dict.fromkeys(("io.open", "io.open_code", "io.FileIO", "gzip.open", "bz2.open", "lzma.open"), _FILES),
    **{
        f"numpy.{name}": _FILES
        for name in (
            "load",
            "save",
            "savez",
            "savez_compressed",
            "fromfile",
            "memmap",
            "loadtxt",
            "savetxt",
            "genfromtxt",
        )
    },
}

BUILTINS = {
    **dict.fromkeys(("open", "input", "print", "breakpoint"), _FILES),
    "hash": "a hash that differs between processes; use hashlib or zlib",
}

#: Methods of paths and arrays that read or write a file, whatever they are called on.
METHODS = dict.fromkeys(("read_text", "read_bytes", "write_text", "write_bytes", "tofile"), _FILES)

#: May be named, in an annotation; may be called with a seed.
_SEEDED = frozenset({"numpy.random.default_rng", "numpy.random.SeedSequence", "numpy.random.PCG64"})
_RANDOM_TYPES = frozenset({"numpy.random.Generator", "numpy.random.SeedSequence"})


@dataclass(frozen=True)
class Impurity:
    line: int
    what: str
    reaches_for: str


def impurities(source: Source) -> Iterator[Impurity]:
    for imported in source.imports():
        module = imported.module or ""
        for name, why in MODULES.items():
            if (module == name or module.startswith(f"{name}.")) and not module.startswith("pathlib.Pure"):
                yield Impurity(imported.line, f"imports {module}", why)
    found = _Names(source)
    found.visit(source.tree)
    yield from found.impurities


class _Names(ast.NodeVisitor):
    def __init__(self, source: Source) -> None:
        self._source = source
        self.impurities: list[Impurity] = []

    def _add(self, node: ast.expr, what: str, why: str) -> None:
        self.impurities.append(Impurity(node.lineno, f"uses {what}", why))

    def visit_Call(self, node: ast.Call) -> None:
        name = self._source.dotted(node.func)
        if name == "datetime.datetime.fromtimestamp" and len(node.args) + len(node.keywords) < 2:
            self._add(node, f"{name} without a time zone", _ENVIRONMENT)
        if name in _SEEDED and _has_seed(node):
            for inside in (*node.args, *node.keywords):
                self.visit(inside)
        elif name == "numpy.random.SeedSequence":
            self._add(node, f"{name} without a seed", _DICE)
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in BUILTINS and node.id not in self._source.names:
            self._add(node, node.id, BUILTINS[node.id])
        else:
            self._look_up(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in METHODS:
            self._add(node, f".{node.attr}", METHODS[node.attr])
        if not self._look_up(node):
            self.generic_visit(node)

    def _look_up(self, node: ast.Name | ast.Attribute) -> bool:
        name = self._source.dotted(node) or ""
        if name in NAMES:
            self._add(node, name, NAMES[name])
        elif name.startswith("numpy.random.") and name not in _RANDOM_TYPES:
            self._add(node, name, _DICE)
        else:
            return False
        return True


def _has_seed(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)
