"""What a module imports and which dotted names it uses, read from its syntax tree.

Guarantee: an import counts wherever it stands: at the top, inside a function, under TYPE_CHECKING, relative, or as
``importlib.import_module("literal")``. An import whose name is only known at run time is found too, as ``module`` None.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """``module`` is absolute and goes down to the imported name."""

    line: int
    module: str | None


class Source:
    """One module: ``path`` under ``root``."""

    def __init__(self, root: Path, path: Path) -> None:
        self.path = path.relative_to(root)
        self.tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        parts = self.path.with_suffix("").parts
        self.package = parts[:-1]

    @property
    def room(self) -> str:
        """``detectors``, or the part below ``pipeline``; ``pipeline`` for its ``__init__``."""
        parts = self.path.with_suffix("").parts
        return parts[1] if parts[0] == "pipeline" and parts[1] != "__init__" else parts[0]

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for, dotted."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name: f"{self._from(node)}.{alias.name}" for alias in node.names}
        return found

    def dotted(self, node: ast.AST) -> str | None:
        """``dt.now`` → ``datetime.datetime.now``; None for anything that is not a name or begins with a local one."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            inside = self.dotted(node.value)
            return f"{inside}.{node.attr}" if inside else None
        return None

    def imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._from(node)
                yield from (Import(node.lineno, f"{base}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Call) and self._imports_by_call(node):
                yield Import(node.lineno, self._named_by_call(node))

    def _from(self, node: ast.ImportFrom) -> str:
        return self._absolute("." * node.level + (node.module or ""), self.package)

    def _absolute(self, name: str, package: tuple[str, ...]) -> str:
        level = len(name) - len(name.lstrip("."))
        base = package[: len(package) - level + 1] if level else ()
        return ".".join([*base, *filter(None, name[level:].split("."))])

    def _imports_by_call(self, call: ast.Call) -> bool:
        if isinstance(call.func, ast.Name) and call.func.id == "__import__":
            return True
        return self.dotted(call.func) in ("importlib.import_module", "importlib.__import__")

    def _named_by_call(self, call: ast.Call) -> str | None:
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "package")]
        first, rest = (given[0], given[1:]) if given else (None, [])
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            return None
        named = rest[0].value if rest and isinstance(rest[0], ast.Constant) else None
        package = tuple(named.split(".")) if isinstance(named, str) else self.package
        return self._absolute(first.value, package)
