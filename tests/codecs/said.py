"""Silences, maintenance windows and orders of every shape."""

from hypothesis import strategies as st

from pipeline.policies.maintenance import DAY_US, MOST_RECURRING_US, Maintenance, Recurrence
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import REASONS, Order
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50).filter(lambda text: text.strip())
TIMES = st.integers(0, 4_000_000_000_000_000)
MATCHES = st.lists(
    st.sampled_from(["service.name", "severity", "entity"]).flatmap(
        lambda name: (
            st.builds(Matcher, st.just(name), st.sampled_from(["=", "!="]), st.sampled_from(["", "a", "ä b=c"]))
            | st.builds(Matcher, st.just(name), st.just("=~"), st.sampled_from([".*", "a|b", "[x]+ ="]))
        )
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@st.composite
def silences(draw: st.DrawFn) -> Silence:
    created, lasts = draw(TIMES), draw(st.integers(1, 366 * DAY_US))
    starts = draw(st.sampled_from([NO_TIME, created, created + 5]))
    expires = (created if starts == NO_TIME else starts) + lasts
    by = draw(st.just("") | TEXTS)
    return Silence(draw(IDS), draw(MATCHES), draw(TEXTS), draw(TEXTS), created, expires, starts, by)


@st.composite
def recurrences(draw: st.DrawFn) -> Recurrence:
    offsets = draw(st.dictionaries(TIMES, st.integers(-50_000, 50_000), min_size=1, max_size=5))
    return Recurrence(
        draw(st.integers(0, 86_399)),
        draw(st.integers(60, 7 * 86_400)),
        draw(st.sampled_from(["UTC", "America/Argentina/Buenos_Aires"])),
        tuple(sorted(offsets.items())),
        draw(st.lists(st.integers(0, 6)).map(tuple)),
        draw(st.lists(st.integers(1, 31) | st.integers(-31, -1)).map(tuple)),
    )


@st.composite
def windows(draw: st.DrawFn) -> Maintenance:
    recurs = draw(st.none() | recurrences())
    starts, most = draw(TIMES), 366 * DAY_US if recurs is None else MOST_RECURRING_US
    expires = starts + draw(st.integers(1, most))
    by = draw(st.just("") | TEXTS)
    return Maintenance(draw(IDS), draw(MATCHES), draw(TEXTS), draw(TEXTS), draw(TIMES), starts, expires, recurs, by)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    common = (draw(IDS), draw(IDS), draw(TEXTS), draw(TIMES))
    id_, incident, author, created = common
    effective = draw(st.sampled_from([NO_TIME, created, created + DAY_US]))
    comment = draw(st.just("") | TEXTS)
    action = draw(st.sampled_from(["ack", "resolve", "reopen", "merge", "split"]))
    special = {
        "resolve": lambda: {"reason": draw(st.sampled_from(REASONS)), "comment": draw(TEXTS)},
        "merge": lambda: {"into": incident + "x"},
        "split": lambda: {"members": tuple(draw(st.lists(IDS, min_size=1, max_size=5, unique=True)))},
    }.get(action, dict)()
    given = {"effective_us": effective, "comment": comment} | special
    return Order(id_, action, incident, author, created, **given)  # type: ignore[arg-type]


WHATS = silences() | windows() | orders()
