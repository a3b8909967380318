"""Text from outside, made safe to be shown: the one place where that is done, for terminals, logs and headers.

Guarantee: what comes out is one line in which nothing is obeyed: control characters (line ends and the escape of
terminals among them), characters that change the direction of writing, and invisible ones are spelled out as
``\\x1b`` or ``\\u202e``, and it is never longer than asked for.
"""

import re
import unicodedata

#: Categories of characters that a terminal may obey: control, format, surrogate, line and paragraph separator.
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Everything that may be one of these: most text has none.
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def plain(text: object, limit: int | None = None) -> str:
    """The text with everything spelled out that a screen would obey; of more than ``limit`` characters the first ones,
    and how many follow."""
    given = str(text)
    shown = _SUSPECT.sub(_spelled, given if limit is None else given[:limit])
    if limit is None or len(given) <= limit:
        return shown
    return f"{shown}… ({len(given) - limit} characters more)"


def _spelled(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _OBEYED:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
