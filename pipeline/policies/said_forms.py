"""Silences, maintenance windows and orders ⇄ mappings with nothing in them but what JSON has.

Guarantee: ``silence_of(silence_form(x)) == x``, and so for the others; whatever is none raises PolicyError, naming the
key and the right form.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.policies.detector import PolicyError
from pipeline.policies.form import matchers_of, time_of
from pipeline.policies.maintenance import DAYS, Maintenance, Recurrence
from pipeline.policies.orders import Order
from pipeline.policies.said import shown
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME, iso

_COMMON = ("id", "match", "author", "comment", "created")
SILENCE_KEYS = (*_COMMON, "starts", "expires", "expired_by")
MAINTENANCE_KEYS = (*_COMMON, "starts", "expires", "recurs", "expired_by")
RECURS_KEYS = ("at", "lasts_seconds", "days_of_week", "days_of_month", "zone", "offsets")
ORDER_KEYS = (
    *("id", "action", "incident", "author", "created"),
    *("effective_at", "comment", "reason", "into", "members"),
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


def silence_form(silence: Silence) -> dict[str, Any]:
    """A silence as it is written."""
    starts = {} if silence.starts_us == NO_TIME else {"starts": iso(silence.starts_us)}
    return {**_common_form(silence), **starts, "expires": iso(silence.expires_us), **_ended_form(silence)}


def silence_of(written: Any) -> Silence:
    """Raises PolicyError."""
    found = _mapping("silence", written, SILENCE_KEYS, (*_COMMON, "expires"))
    return Silence(
        **_common(found),
        starts_us=time_of("starts", found.get("starts")),
        expires_us=time_of("expires", found["expires"]),
    )


def maintenance_form(window: Maintenance) -> dict[str, Any]:
    """A maintenance window as it is written."""
    times = {"starts": iso(window.starts_us), "expires": iso(window.expires_us)}
    recurs = {} if window.recurs is None else {"recurs": _recurs_form(window.recurs)}
    return {**_common_form(window), **times, **recurs, **_ended_form(window)}


def maintenance_of(written: Any) -> Maintenance:
    """Raises PolicyError."""
    found = _mapping("maintenance", written, MAINTENANCE_KEYS, (*_COMMON, "starts", "expires"))
    return Maintenance(
        **_common(found),
        starts_us=time_of("starts", found["starts"]),
        expires_us=time_of("expires", found["expires"]),
        recurs=None if found.get("recurs") is None else _recurs(found["recurs"]),
    )


def order_form(order: Order) -> dict[str, Any]:
    """An order as it is written."""
    form: dict[str, Any] = {key: getattr(order, key) for key in ("id", "action", "incident", "author")}
    form["created"] = iso(order.created_us)
    if order.effective_us != NO_TIME:
        form["effective_at"] = iso(order.effective_us)
    given = {"comment": order.comment, "reason": order.reason, "into": order.into, "members": list(order.members)}
    return form | {key: value for key, value in given.items() if value}


def order_of(written: Any) -> Order:
    """Raises PolicyError."""
    found = _mapping("order", written, ORDER_KEYS, ORDER_KEYS[:5])
    members = found.get("members", [])
    if not isinstance(members, list | tuple):
        raise PolicyError("members", f"is {shown(members)}; it must be a list of ids of anomalies")
    return Order(
        id=found["id"],
        action=found["action"],
        incident=found["incident"],
        author=found["author"],
        created_us=time_of("created", found["created"]),
        effective_us=time_of("effective_at", found.get("effective_at")),
        comment=found.get("comment", ""),
        reason=found.get("reason"),
        into=found.get("into"),
        members=tuple(members),
    )


def clock(key: str, written: Any) -> int:
    """``02:30`` or ``02:30:15`` → seconds after midnight. Raises PolicyError."""
    found = _CLOCK.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise PolicyError(key, f"is {shown(written)}; it must be a time of day from 00:00 to 23:59, for instance 02:30")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def day_of_week(key: str, written: Any) -> int:
    """``mon`` … ``sun`` → 0 … 6. Raises PolicyError."""
    if not isinstance(written, str) or written.lower() not in DAYS:
        raise PolicyError(key, f"has {shown(written)}; days are {', '.join(DAYS)}")
    return DAYS.index(written.lower())


def _common_form(what: Silence | Maintenance) -> dict[str, Any]:
    match = [str(matcher) for matcher in what.match]
    texts = {"author": what.author, "comment": what.comment, "created": iso(what.created_us)}
    return {"id": what.id, "match": match, **texts}


def _ended_form(what: Silence | Maintenance) -> dict[str, str]:
    return {"expired_by": what.expired_by} if what.expired_by else {}


def _common(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": found["id"],
        "match": matchers_of(found["match"]),
        "author": found["author"],
        "comment": found["comment"],
        "created_us": time_of("created", found["created"]),
        "expired_by": found.get("expired_by", ""),
    }


def _recurs_form(recurs: Recurrence) -> dict[str, Any]:
    hours, rest = divmod(recurs.at_seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    at = f"{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
    days = {"days_of_week": [DAYS[day] for day in recurs.days_of_week], "days_of_month": list(recurs.days_of_month)}
    offsets = [[iso(since_us), seconds] for since_us, seconds in recurs.offsets]
    given = {key: listed for key, listed in days.items() if listed}
    return {"at": at, "lasts_seconds": recurs.lasts_seconds, **given, "zone": recurs.zone, "offsets": offsets}


def _recurs(written: Any) -> Recurrence:
    found = _mapping("recurs", written, RECURS_KEYS, ("at", "lasts_seconds", "zone", "offsets"), "recurs.")
    weekdays = _list("recurs.days_of_week", found.get("days_of_week", []))
    return Recurrence(
        at_seconds=clock("recurs.at", found["at"]),
        lasts_seconds=found["lasts_seconds"],
        zone=found["zone"],
        offsets=tuple(_offset(each) for each in _list("recurs.offsets", found["offsets"])),
        days_of_week=tuple(day_of_week("recurs.days_of_week", day) for day in weekdays),
        days_of_month=tuple(_list("recurs.days_of_month", found.get("days_of_month", []))),
    )


def _offset(written: Any) -> tuple[int, int]:
    if not isinstance(written, list | tuple) or len(written) != 2:
        raise PolicyError("recurs.offsets", f"has {shown(written)}; each is a time and seconds east of UTC")
    return time_of("recurs.offsets", written[0]), written[1]


def _list(key: str, written: Any) -> Sequence[Any]:
    if not isinstance(written, list | tuple):
        raise PolicyError(key, f"is {shown(written)}; it must be a list")
    return written


def _mapping(what: str, written: Any, keys: Sequence[str], needed: Sequence[str], path: str = "") -> Mapping[str, Any]:
    if not isinstance(written, Mapping):
        raise PolicyError(what, f"is {shown(written)}; it must be a mapping with the keys {', '.join(keys)}")
    if unknown := sorted(str(key) for key in written if key not in keys):
        raise PolicyError(f"{path}{unknown[0][:100]}", f"is not a key of it; there are {', '.join(keys)}")
    if missing := [key for key in needed if key not in written]:
        raise PolicyError(f"{path}{missing[0]}", "is missing")
    return written
