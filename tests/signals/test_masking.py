"""Values of every kind are masked, what says what happened stays, and the compiled rules are those of the twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.masking import MOST_BYTES, MOST_TOKENS, mask_lines
from tests.signals import naive_templates

#: What rules are about, so that they meet at their edges.
WORDS = """1 12 a f de xyz 0x v V Jan Sun Mon Jul true None null com org uk http KB ms iB B s k T Z é € 4f3a deadbeef 00
    :: :// C:\\ <*> a1:b2:c3 2024-03-04 10.0.0.1 example.com 1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d5e6f"""
PIECES = (*WORDS.split(), *".,:/-_+@=()[]<>*\"'%$&#\\ \t\n\x00", "  ")
lines = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=16).map("".join))


def mask(body: str, most_bytes: int = MOST_BYTES, most_tokens: int = MOST_TOKENS) -> str:
    return mask_lines([body], most_bytes, most_tokens)[0].decode()


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ("took 12 tries", "took <*> tries"),
        ("took 12ms for 3.5s; 4 kB in 2 s, 1h30m", "took <*> for <*>; <*> in <*>, <*>"),
        ("at -5 or +7.25e3", "at <*> or <*>"),
        ("97% of 1,048,576 bytes", "<*>% of <*> bytes"),
        ("version v1.24.3-rc1 (2.0)", "version <*>-rc1 (<*>)"),
        ("2024-03-04T00:05:00.123Z up", "<*> up"),
        ("2024-03-04 00:05:00,123+02:00 up", "<*> <*>+<*> up"),
        ("at Sun Jul 17 13:41:30 2005", "at <*>"),
        ("[17/Jul/2005:13:41:30 +0200]", "[<*>/<*>/<*> <*>]"),
        ("connection from 10.0.0.1:443 to fe80:0:0:1:a2:b3:c4:d5", "connection from <*> to <*>"),
        ("link 00:1a:2b:3c:4d:5e, 00-1A-2B-3C-4D-5E up", "link <*>, <*> up"),
        ("request 123e4567-e89b-12d3-a456-426614174000 done", "request <*> done"),
        ("at 0xDEADbeef in 7fe3a9c1", "at <*> in <*>"),
        ("commit de9231d of Token{a64f992}", "commit <*> of Token{<*>}"),
        ("key AKIAIOSFODNN7EXA91PLE3 used", "key <*> used"),
        ("GET /api/v1/users/17?q=a HTTP/1.1", "GET <*> HTTP/<*>"),
        ("opened /var/log/a.log: ok", "opened <*>: ok"),
        ("reading C:\\Windows\\system32\\a.dll now", "reading <*> now"),
        ("see https://shop.example/cart?id=1#top, please", "see <*>, please"),
        ("jdbc:postgresql://db:5432/shop", "jdbc:<*>"),
        ("mail to ada.lovelace+x@example.co.uk bounced", "mail to <*> bounced"),
        ("host db-1.prod.internal and www.example.ac", "host <*> and <*>"),
        ("from h.localdomain, a_b.svc.cluster.local", "from <*>, <*>"),
        ("blk_-6952295868487656571 attempt_2008_0001_m_000003_0", "blk_<*> attempt_<*>_<*>_m_<*>_<*>"),
        ("child[4711] retries=3 enabled=true parent=null", "child[<*>] retries=<*> enabled=<*> parent=<*>"),
        ("durée 12µs", "durée <*>"),
    ],
)
def test_values_are_masked(body: str, masked: str) -> None:
    assert mask(body) == masked


@pytest.mark.parametrize(
    "body",
    [
        "check pass; user unknown",
        "eth0 via ssh2 in jk2_init()",
        "java.io.IOException: broken pipe in dfs.FSNamesystem",
        "and/or none, Monday in May may be sunny",
        "a face, a facade, added",
        "user 'ada' said \"stop\"",
        "isTrue true_north null-safe false.positive",
        "C++ :: -- // ... %$#",
        "größer als früher",
    ],
)
def test_words_and_names_stay(body: str) -> None:
    assert mask(body) == body


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ("", ""),
        (" \t\r\n", ""),
        ("  two\t words \n", "two words"),
        ("delete blk_1 blk_2 blk_3", "delete blk_<*>"),
        ("1 2 3", "<*>"),
        ("no no no", "no no no"),
        ("a <*> <*>", "a <*>"),
    ],
)
def test_white_space_is_one_blank_and_lists_of_values_are_one_value(body: str, masked: str) -> None:
    assert mask(body) == masked


def test_what_is_left_out_of_a_line_is_said() -> None:
    assert mask("one two three", most_tokens=2) == "one two <cut>"
    assert mask("one two three", most_tokens=3) == "one two three"
    assert mask("one 2 3 4", most_tokens=2) == "one <*>", "what becomes one with the last token is not left out"
    assert mask("one two three", most_bytes=7) == "one two <cut>"
    assert mask("one é", most_bytes=5) == "one <cut>", "no character is cut in two"
    assert mask(" " * 9, most_bytes=5) == "<cut>"
    assert len(mask("x" * 10_000_000)) == MOST_BYTES + len(" <cut>")
    assert mask("x " * 1_000_000) == "x " * MOST_TOKENS + "<cut>"


def test_what_utf_8_cannot_say_becomes_a_question_mark() -> None:
    assert mask("a\ud800b 1") == "a?b <*>"


def test_no_lines_are_no_masked_lines() -> None:
    assert mask_lines([]) == []
    assert mask_lines(["", ""]) == [b"", b""]


@given(lines, st.sampled_from([(MOST_BYTES, MOST_TOKENS), (20, MOST_TOKENS), (MOST_BYTES, 3), (7, 2), (0, 1)]))
def test_the_compiled_rules_are_the_regular_expressions(body: str, bounds: tuple[int, int]) -> None:
    assert mask(body, *bounds) == naive_templates.masked(body, *bounds)


@given(st.lists(lines, max_size=8))
def test_lines_at_once_are_as_lines_one_by_one(bodies: list[str]) -> None:
    assert [line.decode() for line in mask_lines(bodies)] == [mask(body) for body in bodies]


@given(st.integers(0, 10**12), st.floats(0, 1e6, allow_nan=False).map(lambda number: f"{number:.3f}"))
def test_lines_that_differ_in_numbers_are_one(count: int, seconds: str) -> None:
    assert mask(f"order {count} of {count} took {seconds}s") == "order <*> of <*> took <*>"
