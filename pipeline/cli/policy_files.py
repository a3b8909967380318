"""Files with policies: YAML or JSON, one policy, a list of them, or several documents.

Guarantee: all policies of all files, or one error that names every fault with its file, line and key.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from pipeline.policies import Policy, PolicyError
from pipeline.policies.form import faults_of, policy_of
from pipeline.settings import ConfigurationError


def read_policies(paths: Sequence[Path]) -> list[Policy]:
    """The policies of the files, in their order. Raises ConfigurationError."""
    found: list[Policy] = []
    wrong: list[str] = []
    seen: dict[str, str] = {}
    for path in paths:
        before = len(found) + len(wrong)
        for node, written in _documents(path, wrong):
            where = f"{path}:{node.start_mark.line + 1}"
            faults = [*(PolicyError(key, "is given twice") for key in _twice(node)), *faults_of(written)]
            if faults:
                lines = [(_line(node, fault.key), f"{_who(written)}{fault}") for fault in faults]
                wrong.extend(f"{path}:{line}: {words}" for line, words in sorted(lines, key=itemgetter(0)))
                continue
            policy = policy_of(written)
            if policy.name in seen:
                wrong.append(f"{where}: policy {policy.name} is given twice, first at {seen[policy.name]}")
            seen.setdefault(policy.name, where)
            found.append(policy)
        if len(found) + len(wrong) == before:
            wrong.append(f"{path}: there is no policy in it")
    if wrong:
        raise ConfigurationError("policies refused:\n  " + "\n  ".join(wrong))
    return found


def _documents(path: Path, wrong: list[str]) -> Iterator[tuple[yaml.Node, Any]]:
    """Every policy in a file: where it stands and what it says."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            text = text.replace("\t", " ")  # JSON is YAML but for tabs, which stand only between values there
        nodes, contents = list(yaml.compose_all(text, yaml.SafeLoader)), list(yaml.safe_load_all(text))
    except OSError as error:
        wrong.append(f"{path}: cannot be read: {error.strerror}")
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        wrong.append(f"{path}{line}: not valid YAML or JSON: {getattr(error, 'problem', None) or error}")
        return
    for node, content in zip(nodes, contents, strict=True):
        if isinstance(node, yaml.MappingNode) and len([1 for key, _ in node.value if key.value == "policies"]) > 1:
            wrong.append(
                f"{path}:{node.value[-1][0].start_mark.line + 1}: policies is given twice; make one list of them"
            )
            continue
        yield from _single(node, content)


def _single(node: yaml.Node | None, content: Any) -> Iterator[tuple[yaml.Node, Any]]:
    """The policies of a document: itself, or the members of a list, which may stand under ``policies``."""
    if node is None or content is None:
        return
    if isinstance(node, yaml.MappingNode) and set(content) == {"policies"}:
        node, content = node.value[0][1], content["policies"]
    if isinstance(node, yaml.SequenceNode):
        yield from zip(node.value, content, strict=True)
    else:
        yield node, content


def _twice(node: yaml.Node, path: str = "") -> Iterator[str]:
    """Keys that stand twice in one mapping: YAML would quietly take the last one."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            yield f"{path}{key.value}"
        seen.add(str(key.value))
        yield from _twice(value, f"{path}{key.value}.")


def _line(node: yaml.Node, key: str) -> int:
    """The line of a key (``detection.direction``, ``match.0``), or of what is next above it."""
    line = int(node.start_mark.line) + 1
    for part in key.split("."):
        if isinstance(node, yaml.MappingNode):
            inside = [(name, value) for name, value in node.value if str(name.value) == part]
            if not inside:
                return line
            name, node = inside[-1]
            line = int(name.start_mark.line) + 1
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = int(node.start_mark.line) + 1
        else:
            return line
    return line


def _who(written: Any) -> str:
    name = written.get("name") if isinstance(written, dict) else None
    return f"policy {name}: " if isinstance(name, str) else ""
