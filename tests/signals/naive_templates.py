"""The slow, obvious twins of masking and of the template miner: regular expressions, and plain lists without a cache.

Guarantee: nothing here is shared with ``pipeline.signals.masking`` and ``pipeline.signals.templates`` but the rules
that their docstrings state.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

_WORD = rb"A-Za-z0-9\x80-\xff"
_PATH = rb"A-Za-z0-9_.\-+~@%$#&*=?!/\x80-\xff"
_END = rb"(?![" + _WORD + rb"])"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TOP = rb"(?:arpa|biz|cloud|com|corp|dev|edu|gov|home|info|int|internal|lan|local|localdomain|mil|net|org)"
_LABEL = rb"[A-Za-z0-9_\-]"

#: In the order in which they are tried where a word begins.
RULES = (
    rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^ \t\n\r\v\f\"'<>()\[\]{},;|`]++",  # URL
    rb"/(?=[" + _PATH + rb"]*[" + _WORD + rb"])[" + _PATH + rb"]*[A-Za-z0-9_/~*\-\x80-\xff]",  # path
    rb"[A-Za-z]:\\[" + _PATH + rb"\\]*+",  # path of Windows
    rb"(?=[A-Za-z0-9])(?:" + _LABEL + rb"++\.)+" + _TOP + rb"(?!" + _LABEL + rb"|\." + _LABEL + rb")",  # host
    rb"(?=[A-Za-z0-9])(?:" + _LABEL + rb"++\.){2,}[a-z]{2}(?!" + _LABEL + rb"|\." + _LABEL + rb")",  # host
    rb"(?=[A-Za-z0-9])[A-Za-z0-9_.%+\-]++@[A-Za-z0-9\-]++(?:\.[A-Za-z0-9\-]++)++",  # e-mail
    rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}" + _END,  # UUID
    rb"0[xX][0-9a-fA-F]++" + _END,
    rb"[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}" + _END,  # MAC
    rb"(?=[a-fA-F:]*+[0-9])(?=[0-9:]*+[a-fA-F])[0-9a-fA-F]{1,4}+(?:::?[0-9a-fA-F]{1,4}+){2,}+(?![:" + _WORD + rb"])",
    rb"[+\-vV]?(?:[0-9]++(?:[.,:/\-][0-9]++)*+[A-Za-z\x80-\xff]{0,3}+)++" + _END
    + rb"(?: (?:[kKMGTP]i?B|[mun]?s)" + _END + rb")?",  # number, time, address, size, duration
    rb"(?=[a-fA-F]*+[0-9])[0-9a-fA-F]{6,}+" + _END,
    rb"(?=(?:[A-Za-z]*+[0-9]){4})[A-Za-z0-9]{16,}+" + _END,
    _MONTH + rb"(?=[ \-/]{1,2}[0-9])",
    rb"(?<=[0-9][ \-/])" + _MONTH + _END,
    _DAY + rb"(?=,? {1,2}(?:" + _MONTH + _END + rb"|[0-9]))",
    rb"(?<![._$\-])(?:true|false|True|False|TRUE|FALSE|null|NULL|nil|None)(?![_.$(\-" + _WORD + rb"])",
)  # fmt: skip
_VALUE = re.compile(rb"(?<![" + _WORD + rb"])(?:" + rb"|".join(RULES) + rb")")
_SPACE = re.compile(rb"[ \t\n\r\v\f]+")


def masked(body: str, most_bytes: int = 4096, most_tokens: int = 64) -> str:
    line = body.encode("utf-8", "replace")
    cut = len(line) > most_bytes
    if cut:
        end = most_bytes
        while end and line[end] & 0xC0 == 0x80:
            end -= 1
        line = line[:end]
    tokens: list[bytes] = []
    for token in _SPACE.split(_VALUE.sub(b"<*>", line)):
        if not token or (tokens and token == tokens[-1] and b"<*>" in token):
            continue
        if len(tokens) == most_tokens:
            cut = True
            break
        tokens.append(token)
    return b" ".join([*tokens, *([b"<cut>"] if cut else [])]).decode()


# -- the miner ---------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class NaiveTemplate:
    number: int
    id: int
    workload: int
    tokens: list[str]
    line: list[str]
    in_crowd: bool
    last: int
    size: int


@dataclass
class NaiveMiner:
    """Every line is compared with every template of its workload. ``aliases``: (old number, the one that stays)."""

    most_words: int = 3
    most_capitals: int = 6
    similar: float = 0.6
    most_heads: int = 24
    most_per_leaf: int = 100
    most_per_workload: int = 1_000
    most_in_all: int = 50_000
    most_text_bytes: int = 16 << 20
    templates: list[NaiveTemplate] = field(default_factory=list)
    aliases: list[tuple[int, int]] = field(default_factory=list)
    born: list[tuple[int, int, str]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    lines: int = 0

    def add(self, workload: int, body: str) -> int:
        template = self._template(workload, masked(body))
        template.last = self.lines
        self.lines += 1
        return template.number

    def _template(self, workload: int, line: str) -> NaiveTemplate:
        tokens = line.split(" ")
        second = (*tokens, "")[1]
        alike = [t for t in self.templates if t.workload == workload and len(t.tokens) == len(tokens)]
        leaf = [t for t in alike if not t.in_crowd and t.line[0] == tokens[0]]
        crowd = [t for t in alike if t.in_crowd and (*t.line, "")[1] == second]
        for place in (leaf, crowd):
            fitting = [t for t in place if all(map(stands_for, t.tokens, tokens))]
            if fitting:
                return max(
                    fitting, key=lambda t: (sum(a == b for a, b in zip(t.tokens, tokens, strict=True)), -t.number)
                )
        heads = {t.line[0] for t in alike if not t.in_crowd and (*t.line, "")[1] == second}
        in_crowd = not leaf and len(heads) >= self.most_heads
        place = crowd if in_crowd else leaf
        found, general = self._learn(place, tokens)
        return found or self._born(workload, place, line, general, in_crowd)

    def _learn(self, place: list[NaiveTemplate], tokens: list[str]) -> tuple[NaiveTemplate | None, list[str]]:
        siblings = {}
        for t in place:
            differing = [i for i, (a, b) in enumerate(zip(t.tokens, tokens, strict=True)) if not stands_for(a, b)]
            if len(tokens) - len(differing) >= self.similar * len(tokens) - 1e-6:
                siblings[t.number] = (t, differing)
        nearest = [
            (len(differing), number)
            for number, (t, differing) in siblings.items()
            if all(tokens[i] != t.tokens[i] and stands_for(tokens[i], t.tokens[i]) for i in differing)
        ]
        if nearest:
            t, differing = siblings[min(nearest)[1]]
            for i in differing:
                t.tokens[i] = tokens[i]
            return self._merged(place, t, [t]), tokens
        general = list(tokens)
        changed = []
        for i, token in enumerate(tokens):
            known = [
                t.tokens[i] for t, _ in siblings.values() if t.tokens[i] != token and stands_for(t.tokens[i], token)
            ]
            words = [token]
            words += [t.tokens[i] for t, differing in siblings.values() if i in differing]
            if known:
                general[i] = min(known, key=len)
            elif len(set(words)) > self.most_words and (len(set(words)) > self.most_capitals or not capitals(words)):
                general[i] = common(words)
            else:
                continue
            for t, differing in siblings.values():
                if i in differing and stands_for(general[i], t.tokens[i]):
                    t.tokens[i] = general[i]
                    changed.append(t)
        stays = [t for t in place if all(map(stands_for, general, t.tokens))]
        if stays:
            stays[0].tokens = list(general)
            changed.insert(0, stays[0])
        changed = list(dict.fromkeys(changed))
        return self._merged(place, stays[0] if stays else None, changed), general

    def _merged(
        self, place: list[NaiveTemplate], own: NaiveTemplate | None, changed: list[NaiveTemplate]
    ) -> NaiveTemplate | None:
        gone: dict[int, NaiveTemplate] = {}
        for one in changed:
            if one.number in gone:
                continue
            covered = [t for t in place if t.number not in gone and all(map(stands_for, one.tokens, t.tokens))]
            stays = covered[0]
            stays.tokens = list(one.tokens)
            for other in covered[1:]:
                gone[other.number] = stays
        for number in gone:
            stays = gone[number]
            while stays.number in gone:
                stays = gone[stays.number]
            old = next(t for t in place if t.number == number)
            stays.last = max(stays.last, old.last)
            self.templates.remove(old)
            self.aliases.append((number, stays.number))
        while own is not None and own.number in gone:
            own = gone[own.number]
        return own

    def _born(
        self, workload: int, place: list[NaiveTemplate], line: str, general: list[str], in_crowd: bool
    ) -> NaiveTemplate:
        def forget(among: list[NaiveTemplate]) -> None:
            oldest = min(among, key=lambda t: t.last)
            self.templates.remove(oldest)
            self.forgotten.append(oldest.number)

        while len(held := [t for t in place if t in self.templates]) >= self.most_per_leaf:
            forget(held)
        while len(held := [t for t in self.templates if t.workload == workload]) >= self.most_per_workload:
            forget(held)
        size = len(line.encode())
        while self.templates and (
            len(self.templates) >= self.most_in_all or sum(t.size for t in self.templates) + size > self.most_text_bytes
        ):
            forget(self.templates)
        id_ = int.from_bytes(blake2b(line.encode(), digest_size=8).digest(), "little")
        number = len(self.born)
        template = NaiveTemplate(number, id_, workload, general, line.split(" "), in_crowd, self.lines, size)
        self.templates.append(template)
        self.born.append((number, id_, line))
        return template


def stands_for(own: str, other: str) -> bool:
    """Is a template's token that of a line, or one with a single value that stands for it?"""
    if own == other:
        return True
    if own.count("<*>") != 1:
        return False
    before, after = (re.escape(part) for part in own.split("<*>"))
    return re.fullmatch(f"{before}.*{after}", other.replace("<*>", "\x00"), re.DOTALL) is not None


def capitals(words: Sequence[str]) -> bool:
    begins = common(words).index("<*>")
    return {word[begins : begins + 1].isupper() for word in words} == {True}


def common(words: Sequence[str]) -> str:
    """The longest beginning and end that stand in all words, cut back to a sign, around a value."""

    def beginning(texts: Sequence[str]) -> str:
        longest = ""
        for size in range(1, min(map(len, texts)) + 1):
            if len({text[:size] for text in texts}) == 1 and not texts[0][size - 1].isalnum():
                longest = texts[0][:size]
        return longest

    before = beginning([word.split("<*>")[0] for word in words])
    ends = [word.split("<*>")[-1] if "<*>" in word else word[len(before) :] for word in words]
    return before + "<*>" + beginning([end[::-1] for end in ends])[::-1]
