"""What in the bytes of a log line is a value: numbers, times, addresses, ids, paths, URLs, hosts, e-mail.

Guarantee: ``mask`` is a pure function of the bytes of the line, takes any bytes, and looks at each a bounded number
of times. Compiled: ``line`` is the bytes of many lines, ``begin`` and ``end`` those of one, ``i`` a position.

A value begins where no letter or digit stands before it (bytes from 0x80 on count as letters). Tried there, in order:

- a URL: a scheme, ``://``, and all up to white space, a quote, a bracket, ``,``, ``;``, ``|``
- a path: ``/…`` with a letter or digit in it, ``C:\\…``
- a host name: labels of which the last is a well-known top label, or three and more, the last of two small letters
- an e-mail address
- hexadecimal: a UUID, ``0x…``, MAC and IPv6 addresses
- a number, with sign or ``v`` before it: digits joined by ``. , : / -``, with units of up to three letters joined on
  (``10.0.0.1:80``, ``2024-03-04T00:05:00Z``, ``1h30m``, ``4kB``), or a unit of size or time after one space
- six and more hexadecimal digits, or sixteen and more letters and digits with four digits among them
- names of months and days beside a number (or, a day, before a month); ``true``, ``null`` and their like

Digits inside a name stay (``eth0``, ``ssh2``). Texts in quotes stay: they say what happened as often as to whom.

One long file: numba's cache on disk notices changes only in the file of the function that is called.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_DAYS = b"MonTueWedThuFriSatSun"
_TOPS = "arpa biz cloud com corp dev edu gov home info int internal lan local localdomain mil net org"
_CONSTANTS = "true false True False TRUE FALSE null NULL nil None"

# What a byte may be part of, as bits.
_LETTER, _DIGIT, _HEX, _BLANK, _IN_PATH, _ENDS_PATH, _IN_URL, _JOINS = (1 << bit for bit in range(8))
_WORD = _LETTER | _DIGIT

#: Recognisers that look far ahead.
_URL, _PATH, _HOST, _EMAIL, _COLONS, _NUMBER = range(6)
_FAR = 6


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    high = bytes(range(0x80, 0x100))
    digits = b"0123456789"
    for bit, members in (
        (_LETTER, letters + high),
        (_DIGIT, digits),
        (_HEX, digits + b"abcdefABCDEF"),
        (_BLANK, b" \t\n\r\v\f"),
        (_IN_PATH, letters + digits + high + b"_.-+~@%$#&*=?!/"),
        (_ENDS_PATH, letters + digits + high + b"_/~*-"),
        (_IN_URL, bytes(sorted(set(range(256)) - set(b" \t\n\r\v\f\"'<>()[]{},;|`")))),
        (_JOINS, b".,:/-"),
    ):
        table[list(members)] |= bit
    return table


#: So that what is below it times 131 fits an int64.
_BELOW = 1 << 53


def _packed(words: str) -> npt.NDArray[np.int64]:
    """Words of up to eleven bytes, told apart by one number as ``_pack`` computes it."""
    return np.array(sorted(_pack_word(word) for word in words.split()), np.int64)


def _pack_word(word: str) -> int:
    key = 0
    for byte in word.encode():
        key = (key * 131 + byte) % _BELOW
    return key


_CLASS = _classes()
_TOP_KEYS = _packed(_TOPS)
_CONSTANT_KEYS = _packed(_CONSTANTS)
_MONTH_BYTES = np.frombuffer(_MONTHS, np.uint8)
_DAY_BYTES = np.frombuffer(_DAYS, np.uint8)

# A recogniser returns where its value ends, or a negative number. Those that look far ahead return ~r: no value of
# theirs begins before r either, as it would end where this one fails; they need not look there again.
# Bytes by number: 32 blank, 36 $, 37 %, 40 (, 43 +, 44 comma, 45 -, 46 dot, 47 /, 58 colon, 64 @, 92 backslash, 95 _.


def _compiled(function: Any) -> Any:
    return njit(cache=True, error_model="numpy", nogil=True)(function)


@_compiled
def _is(line: Bytes, i: int, end: int, bits: int) -> bool:
    return bool(i < end and (_CLASS[line[i]] & bits) != 0)


@_compiled
def _run(line: Bytes, i: int, end: int, bits: int) -> int:
    while i < end and _CLASS[line[i]] & bits:
        i += 1
    return int(i)


@_compiled
def _pack(line: Bytes, begin: int, end: int) -> int:
    key = np.int64(0)
    for i in range(begin, end):
        key = (key * 131 + np.int64(line[i])) % _BELOW
    return int(key)


@_compiled
def _among(keys: npt.NDArray[np.int64], key: int) -> bool:
    at = np.searchsorted(keys, key)
    return bool(at < keys.size and keys[at] == key)


@_compiled
def _url(line: Bytes, i: int, end: int) -> int:
    while i < end and ((_CLASS[line[i]] & _WORD and line[i] < 0x80) or line[i] in (43, 45, 46)):
        i += 1
    if i + 3 < end and line[i] == 58 and line[i + 1] == 47 and line[i + 2] == 47:
        last = _run(line, i + 3, end, _IN_URL)
        if last > i + 3:
            return last
    return ~i


@_compiled
def _path(line: Bytes, i: int, end: int) -> int:
    """From the slash on."""
    named, last = False, -1
    i += 1
    while i < end and _CLASS[line[i]] & _IN_PATH:
        if _CLASS[line[i]] & _ENDS_PATH:
            last = i + 1
        named = named or (_CLASS[line[i]] & _WORD) != 0
        i += 1
    return last if named else ~i


@_compiled
def _windows_path(line: Bytes, i: int, end: int) -> int:
    if not (i + 2 < end and line[i + 1] == 58 and line[i + 2] == 92 and line[i] < 0x80):
        return -1
    i += 3
    while i < end and (_CLASS[line[i]] & _IN_PATH or line[i] == 92):
        i += 1
    return i


@_compiled
def _label(line: Bytes, i: int, end: int) -> int:
    while i < end and ((_CLASS[line[i]] & _WORD and line[i] < 0x80) or line[i] in (45, 95)):
        i += 1
    return i


@_compiled
def _host(line: Bytes, i: int, end: int) -> int:
    labels, begin, last = 1, i, _label(line, i, end)
    while last > begin and last + 1 < end and line[last] == 46:
        after = _label(line, last + 1, end)
        if after == last + 1:
            break
        labels, begin, last = labels + 1, last + 1, after
    if labels < 2:
        return ~last
    if labels > 2 and last - begin == 2 and 97 <= line[begin] <= 122 and 97 <= line[begin + 1] <= 122:
        return last
    return last if last - begin <= 11 and _among(_TOP_KEYS, _pack(line, begin, last)) else ~last


@_compiled
def _email(line: Bytes, i: int, end: int) -> int:
    while i < end and ((_CLASS[line[i]] & _WORD and line[i] < 0x80) or line[i] in (37, 43, 45, 46, 95)):
        i += 1
    at, labels = i, 0
    if at >= end or line[at] != 64:
        return ~at
    while True:
        begin = i + 1
        i = begin
        while i < end and ((_CLASS[line[i]] & _WORD and line[i] < 0x80) or line[i] == 45):
            i += 1
        if i == begin:
            return begin - 1 if labels > 1 else ~at
        labels += 1
        if i >= end or line[i] != 46:
            return i if labels > 1 else ~at


@_compiled
def _groups(line: Bytes, i: int, end: int, sizes: tuple[int, ...]) -> int:
    """Groups of so many hexadecimal digits with dashes between."""
    for number in range(len(sizes)):
        if number:
            if i >= end or line[i] != 45:
                return -1
            i += 1
        for _ in range(sizes[number]):
            if not _is(line, i, end, _HEX):
                return -1
            i += 1
    return -1 if _is(line, i, end, _WORD) else i


@_compiled
def _colons(line: Bytes, i: int, end: int) -> int:
    """MAC and IPv6: three and more groups of up to four hexadecimal digits, with both a digit and a letter."""
    groups, digit, letter, last = 0, False, False, -1
    while True:
        begin = i
        while i < end and i - begin < 4 and _CLASS[line[i]] & _HEX:
            digit = digit or (_CLASS[line[i]] & _DIGIT) != 0
            letter = letter or (_CLASS[line[i]] & _LETTER) != 0
            i += 1
        if i == begin:
            break
        groups, last = groups + 1, i
        if i >= end or line[i] != 58:
            break
        i += 2 if i + 1 < end and line[i + 1] == 58 else 1
    if groups < 3 or not digit or not letter:
        return ~i
    return ~i if _is(line, last, end, _WORD) or (last < end and line[last] == 58) else last


@_compiled
def _number(line: Bytes, i: int, end: int) -> int:
    if line[i] in (43, 45, 86, 118):
        i += 1
    if not _is(line, i, end, _DIGIT):
        return ~i
    while _is(line, i, end, _DIGIT):
        i = _run(line, i, end, _DIGIT)
        while _is(line, i, end, _JOINS) and _is(line, i + 1, end, _DIGIT):
            i = _run(line, i + 1, end, _DIGIT)
        letters = 0
        while letters < 3 and _is(line, i, end, _LETTER):
            letters, i = letters + 1, i + 1
    return ~i if _is(line, i, end, _WORD) else _unit(line, i, end)


@_compiled
def _unit(line: Bytes, i: int, end: int) -> int:
    """Where a unit of size or time after one blank ends, else where it would begin."""
    if i + 1 >= end or line[i] != 32:
        return i
    if line[i + 1] == 115 and not _is(line, i + 2, end, _WORD):  # s
        return i + 2
    if i + 2 >= end:
        return i
    after = i + 3
    if line[i + 1] in (109, 117, 110) and line[i + 2] == 115:  # ms us ns
        return i if _is(line, after, end, _WORD) else after
    if line[i + 1] in (107, 75, 77, 71, 84, 80):  # k K M G T P, then B or iB
        if line[i + 2] == 105 and after < end:
            after += 1
        if line[after - 1] == 66 and not _is(line, after, end, _WORD):
            return after
    return i


@_compiled
def _date_word(line: Bytes, begin: int, i: int, end: int, after: int) -> bool:
    """A month beside a number, or a day before a month or number; ``after`` ends its three letters."""
    if _three(line, i, _MONTH_BYTES):
        at = after
        while at < end and at - after < 2 and line[at] in (32, 45, 47):
            at += 1
        if at > after and _is(line, at, end, _DIGIT):
            return True
        return i - 2 >= begin and line[i - 1] in (32, 45, 47) and _CLASS[line[i - 2]] & _DIGIT != 0
    if not _three(line, i, _DAY_BYTES):
        return False
    at = after + 1 if after < end and line[after] == 44 else after
    blank = at
    while at < end and at - blank < 2 and line[at] == 32:
        at += 1
    if at == blank:
        return False
    month = at + 3 <= end and _three(line, at, _MONTH_BYTES) and not _is(line, at + 3, end, _WORD)
    return month or _is(line, at, end, _DIGIT)


@_compiled
def _three(line: Bytes, i: int, names: Bytes) -> bool:
    for name in range(0, names.size, 3):
        if line[i] == names[name] and line[i + 1] == names[name + 1] and line[i + 2] == names[name + 2]:
            return True
    return False


@_compiled
def _constant(line: Bytes, begin: int, i: int, end: int, after: int) -> bool:
    if i > begin and line[i - 1] in (46, 95, 36, 45):
        return False
    if after < end and line[after] in (46, 95, 36, 45, 40):
        return False
    return _among(_CONSTANT_KEYS, _pack(line, i, after))


@_compiled
def _value_end(line: Bytes, begin: int, i: int, end: int, none_before: Places) -> int:
    """Where the value that begins at ``i`` of a line ends, or a negative number.

    ``none_before``: one place for each recogniser that looks far ahead; zeros at first, kept for all that follows.
    """
    first = line[i]
    if not _CLASS[first] & _WORD:
        if first == 47 and i >= none_before[_PATH]:
            return _noted(none_before, _PATH, _path(line, i, end))
        if first in (43, 45) and i >= none_before[_NUMBER]:
            return _noted(none_before, _NUMBER, _number(line, i, end))
        return -1
    after, digits = i, 0  # of the letters and digits that begin here
    while after < end and _CLASS[line[after]] & _WORD:
        digits += (_CLASS[line[after]] & _DIGIT) != 0
        after += 1
    if first < 0x80 and after < end and line[after] in (37, 43, 45, 46, 58, 64, 95):  # % + - . : @ _
        ends = _with_signs(line, i, end, after, none_before)
        if ends >= 0:
            return ends
    if digits:
        return _with_digits(line, i, end, after, digits, none_before)
    if after - i == 3 and _date_word(line, begin, i, end, after):
        return after
    return after if 3 <= after - i <= 5 and _constant(line, begin, i, end, after) else -1


@_compiled
def _with_signs(line: Bytes, i: int, end: int, after: int, none_before: Places) -> int:
    """What may begin with letters or digits (up to ``after``) and goes on with a sign."""
    ends = -1
    if _CLASS[line[i]] & _LETTER:
        if i >= none_before[_URL]:
            ends = _noted(none_before, _URL, _url(line, i, end))
        if ends < 0 and after == i + 1:
            ends = _windows_path(line, i, end)
    if ends < 0 and i >= none_before[_HOST]:
        ends = _noted(none_before, _HOST, _host(line, i, end))
    if ends < 0 and i >= none_before[_EMAIL]:
        ends = _noted(none_before, _EMAIL, _email(line, i, end))
    if ends < 0 and _CLASS[line[i]] & _HEX:
        ends = _groups(line, i, end, (8, 4, 4, 4, 12))
        if ends < 0:
            ends = _groups(line, i, end, (2, 2, 2, 2, 2, 2))
        if ends < 0 and i >= none_before[_COLONS]:
            ends = _noted(none_before, _COLONS, _colons(line, i, end))
    return ends


@_compiled
def _noted(none_before: Places, recogniser: int, ends: int) -> int:
    if ends < 0:
        none_before[recogniser] = ~ends
    return ends


@_compiled
def _with_digits(line: Bytes, i: int, end: int, after: int, digits: int, none_before: Places) -> int:
    """A number, or a word (up to ``after``) with so many digits in it that is an id."""
    if _CLASS[line[i]] & _DIGIT or line[i] in (86, 118):
        if line[i] == 48 and after - i > 2 and line[i + 1] in (88, 120) and _run(line, i + 2, end, _HEX) == after:
            return after
        if i >= none_before[_NUMBER]:
            ends = _noted(none_before, _NUMBER, _number(line, i, end))
            if ends >= 0:
                return ends
    if after - i >= 6 and _run(line, i, end, _HEX) == after:
        return after
    if after - i < 16 or digits < 4:
        return -1
    for at in range(i, after):
        if line[at] >= 0x80:
            return -1
    return after


@_compiled
def _mask_line(
    line: Bytes, begin: int, end: int, cut: bool, most_tokens: int, out: Bytes, at: int, none_before: Places
) -> int:
    """Write the masked line from ``at`` on; returns where it ends."""
    first, tokens = at, 0
    before, length = at, 0  # the token before: where it begins and how long it is
    i = begin
    while True:
        i = _run(line, i, end, _BLANK)
        if i >= end:
            break
        token = at + (1 if tokens else 0)
        o, valued = token, False
        while i < end and not _CLASS[line[i]] & _BLANK:
            starts = i == begin or not _CLASS[line[i - 1]] & _WORD
            ends = _value_end(line, begin, i, end, none_before) if starts else -1
            if ends >= 0:
                out[o], out[o + 1], out[o + 2] = 60, 42, 62
                o, i, valued = o + 3, ends, True
                continue
            valued = valued or (line[i] == 62 and o > token + 1 and out[o - 1] == 42 and out[o - 2] == 60)
            word = (_CLASS[line[i]] & _WORD) != 0
            out[o] = line[i]
            o, i = o + 1, i + 1
            while word and i < end and _CLASS[line[i]] & _WORD:
                out[o] = line[i]
                o, i = o + 1, i + 1
        if valued and tokens and o - token == length and _same(out, before, token, length):
            continue
        if tokens == most_tokens:
            cut = True
            break
        if tokens:
            out[at] = 32
        before, length, at, tokens = token, o - token, o, tokens + 1
    if cut:
        if at > first:
            out[at] = 32
            at += 1
        for byte in (60, 99, 117, 116, 62):
            out[at] = byte
            at += 1
    return at


@_compiled
def _same(out: Bytes, one: int, other: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 - numba compiles no generators
        if out[one + i] != out[other + i]:
            return False
    return True


@_compiled
def mask(
    line: Bytes, begins: Any, ends: Any, most_bytes: int, most_tokens: int, out: Bytes, out_ends: Any, at: int
) -> None:
    none_before = np.zeros(_FAR, np.int64)
    for number in range(begins.size):
        begin, end = begins[number], ends[number]
        cut = end - begin > most_bytes
        if cut:
            end = begin + most_bytes
            while end > begin and line[end] & 0xC0 == 0x80:  # not inside a character
                end -= 1
        at = _mask_line(line, begin, end, cut, most_tokens, out, at, none_before)
        out_ends[number] = at
