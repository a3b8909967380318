"""Lengths of time in words.

Guarantee: the largest unit that fits and the next one where it says something, so what is told differs from the length
by less than a sixtieth, and for days by less than an hour.
"""

from pipeline.records import US

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def in_words(length_us: int) -> str:
    """``45 s``, ``2 min 10 s``, ``1 h``, ``1 d 5 h``."""
    seconds = round(length_us / US)
    for place, (unit, name) in enumerate(_UNITS):
        if seconds >= unit or unit == 1:
            whole, rest = divmod(seconds, unit)
            smaller, smaller_name = _UNITS[min(place + 1, len(_UNITS) - 1)]
            more = rest // smaller
            return f"{whole} {name}" + (f" {more} {smaller_name}" if more else "")
    raise AssertionError("the last unit fits every length")
