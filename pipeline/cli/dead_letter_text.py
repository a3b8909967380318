"""Dead letters for people and for machines: the list, the summary, and one with the beginning of its message.

Guarantee: bounded, and nothing in them is obeyed by a terminal.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from pipeline.cli.terminal import cell, console, json_text, moment, plain, several, table
from pipeline.records import iso

_DETAIL_CHARACTERS = 80
#: Shown of a message that is text, and of any other.
_TEXT_CHARACTERS = 8000
_HEX_BYTES = 1024
_ROW_BYTES = 16


def letter_table(found: Any, letters: Iterable[Any]) -> Any:
    shown = table("time", "place", "came from", "reason", ">bytes", "put back to", "what is wrong")
    for letter in letters:
        detail = letter.detail
        shown.add_row(
            cell(moment(letter.written_ms * 1000)),
            cell(short_place(letter)),
            cell(letter.origin),
            cell(letter.reason, "red"),
            cell(letter.size),
            cell(found.replayed(letter) or "–"),
            cell(detail if len(detail) <= _DETAIL_CHARACTERS else f"{detail[:_DETAIL_CHARACTERS]}…"),
        )
    return shown


def short_place(letter: Any) -> str:
    """The place of a dead letter within its topic."""
    return f"{letter.place.partition}@{letter.place.offset}"


def _form(letter: Any, found: Any) -> dict[str, Any]:
    return {
        "time": iso(letter.written_ms * 1000),
        "place": short_place(letter),
        "origin": str(letter.origin),
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "reasons": letter.reasons(),
        "detail": letter.detail,
        "bytes": letter.size,
        "cut": letter.cut or None,
        "replayed_from": letter.again or None,
        "replayed_to": found.replayed(letter) or None,
    }


def json_line(letter: Any, found: Any) -> str:
    """One dead letter for machines."""
    return json_text(_form(letter, found))


def print_summary(found: Any, letters: list[Any], *, as_json: bool) -> None:
    groups: dict[tuple[str, str], list[Any]] = {}
    for letter in letters:
        for reason in letter.reasons():
            groups.setdefault((letter.origin.topic, reason), []).append(letter)
    shown = table("topic", "reason", ">messages", ">bytes", ">put back", "oldest", "newest")
    for (topic, reason), members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        times = [letter.written_ms * 1000 for letter in members]
        numbers = {
            "messages": len(members),
            "bytes": sum(letter.size for letter in members),
            "replayed": sum(bool(found.replayed(letter)) for letter in members),
        }
        if as_json:
            ends = {"oldest": iso(min(times)), "newest": iso(max(times))}
            print(json_text({"topic": topic, "reason": reason, **numbers, **ends}))
            continue
        words = (topic, reason, *numbers.values(), moment(min(times)), moment(max(times)))
        shown.add_row(*map(cell, words))
    if groups and not as_json:
        console().print(shown)
        several_reasons = sum(len(members) for members in groups.values()) > len(letters)
        print(f"\n{several(len(letters), 'message')}{', some with several reasons' if several_reasons else ''}")


def is_redacted(letter: Any) -> bool:
    """Did rules take something out of it?"""
    return "redact" in letter.cut


def _cut(letter: Any) -> str:
    return letter.cut if is_redacted(letter) else f"{letter.cut}; only the beginning is here"


def print_letter(letter: Any, replayed: str, record: Any, headers: Iterable[tuple[str, bytes | None]]) -> None:
    shown = table("", "")
    shown.show_header = False
    facts = [
        ("dead letter", letter.place),
        ("refused", moment(letter.written_ms * 1000)),
        ("came from", letter.origin),
        ("reason", letter.reason),
        ("what is wrong", letter.detail),
        *([("cut", _cut(letter))] if letter.cut else []),
        ("put back to", replayed or "–"),
        ("key", "–" if record.key is None else record.key.decode("utf-8", "backslashreplace")),
    ]
    facts += [(f"  {name}", "–" if v is None else v.decode("utf-8", "backslashreplace")) for name, v in headers]
    for name, value in facts:
        shown.add_row(cell(name, "dim"), cell(value))
    console().print(shown)
    print()
    for line in shown_message(record.value):
        console().print(Text(line), soft_wrap=True)


def shown_message(value: bytes | None) -> Iterator[str]:
    """Lines to print."""
    if not value:
        yield "The message has no value." if value is None else "The message has 0 bytes."
        return
    text = _text_of(value)
    if text is not None:
        yield f"The message, {several(len(value), 'byte')} of text:"
        yield from (plain(line) for line in text[:_TEXT_CHARACTERS].replace("\r\n", "\n").split("\n"))
        left, unit = len(text) - _TEXT_CHARACTERS, "character"
    else:
        yield f"The message, {several(len(value), 'byte')}, not text:"
        yield from _rows(value[:_HEX_BYTES])
        left, unit = len(value) - _HEX_BYTES, "byte"
    if left > 0:
        yield f"… and {several(left, unit)} more; --raw or --output FILE gives all"


def _text_of(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\t\r\n" for character in text) else None


def _rows(value: bytes) -> Iterator[str]:
    for place in range(0, len(value), _ROW_BYTES):
        row = value[place : place + _ROW_BYTES]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{place:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {letters}"
