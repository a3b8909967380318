"""An online miner of log templates, after Drain, for one shard with many workloads.

Guarantee: lines of different workloads never share a template. A template's id is the 64-bit BLAKE2b hash of its first
masked line, the same in every workload, and never changes when the template becomes more general; where two templates
turn out to be one, an ``Alias`` says so and the older stays. The order of lines alone decides everything: the cache is
only for speed, and a miner loaded from ``dump()`` goes on as if it had never stopped. Memory is bounded by ``Mining``;
beyond it the template that was seen least recently is forgotten, and is born again, with its id, when its first line
comes again; aliases of that id from before are then void.

The tree of a workload: number of tokens, then first token. Where more than ``most_heads`` first tokens stand before
one second token (``alice left``, ``bob left``, …), further ones come together into one leaf, the *crowd*, where the
first token may become a variable as any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.signals.masking import MOST_BYTES, MOST_TOKENS, mask_lines
from pipeline.signals.matching import Leaf, Learnt, Template, Tokens
from pipeline.signals.remembered import LineCache, Oldest

Ints = npt.NDArray[np.int64]

VERSION = 1
_COLUMNS = {"number": "i8", "id": "u8", "workload": "i8", "born": "i8", "last": "i8", "lines": "i8", "size": "i8"}


@dataclass(frozen=True, slots=True)
class Mining:
    """Parameters: how lines are compared, and what is held at most.

    ``similar``: the share of tokens that agree in lines that may be one template. ``most_words``: so many different
    words may stand at one place of similar lines before it is a variable; ``most_capitals``: if all begin with a
    capital letter. ``most_text_bytes``: of all templates' first lines; ``most_cache_bytes``: of masked lines whose
    template is remembered (0: no cache). A template takes some 2 kB; a line that fits none is compared with those of
    its leaf, so ``most_per_leaf`` bounds its time (100: about 0.5 ms).

    Mean grouping accuracy on five labelled systems (Apache, HDFS, Linux, OpenSSH, Zookeeper; aliases joined) with
    ``most_words`` 1 to 6: 0.917, 0.961, 0.999, 0.974, 0.974, 0.897; the other parameters hardly matter (``similar`` 0.4
    to 0.8, ``most_capitals`` 3 to 9, ``most_heads`` 8 to 100: 0.986 to 0.999). Plain Drain: 0.889. Without joining it
    is 0.861: proof comes late, and until then a user's name is a word.
    """

    similar: float = 0.6
    most_words: int = 3
    most_capitals: int = 6
    most_heads: int = 24
    most_per_leaf: int = 100
    most_per_workload: int = 1_000
    most_in_all: int = 50_000
    most_text_bytes: int = 16 << 20
    most_cache_bytes: int = 16 << 20
    most_bytes: int = MOST_BYTES
    most_tokens: int = MOST_TOKENS

    def __post_init__(self) -> None:
        if not 0 < self.similar <= 1:
            raise ValueError(f"similar is {self.similar}; it should be a share above 0, at most 1")
        for name in ("most_words", "most_heads", "most_per_leaf", "most_per_workload", "most_in_all", "most_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it should be 1 or more")


@dataclass(frozen=True, slots=True)
class Born:
    """First sight of a template: its masked line, and which line it was since the miner began, from 0."""

    number: int
    id: int
    text: str
    workload: int
    line: int


@dataclass(frozen=True, slots=True)
class Alias:
    """Two templates of a workload are one: ``old`` (``old_number``) is no more, ``id`` (``number``) stays."""

    workload: int
    old: int
    id: int
    old_number: int
    number: int
    line: int


@dataclass(frozen=True, slots=True)
class Reworded:
    """A template became more general: its text now."""

    number: int
    id: int
    text: str
    workload: int


@dataclass(slots=True)
class News:
    """What the caller has not heard yet; ``forgotten`` are numbers, which never come again."""

    born: list[Born] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    reworded: dict[int, Reworded] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.born or self.aliases or self.reworded or self.forgotten)


#: A place in the tree: workload, tokens, first token or (in a crowd) None, second token of a crowd or None.
_Place = tuple[int, int, str | None, str | None]


class TemplateMiner:
    """``lines``: how many it has seen. ``news``: what is to be fetched with ``drain()`` after each call."""

    def __init__(self, mining: Mining = Mining()) -> None:
        self.mining = mining
        self.lines = 0
        self.news = News()
        self._next = 0
        self._text_bytes = 0
        self._all = Oldest()
        self._workloads: dict[int, Oldest] = {}
        self._leaves: dict[_Place, Leaf] = {}
        self._heads: dict[tuple[int, int, str], dict[str, int]] = {}  # before a second token: templates by first token
        self._cache = LineCache(mining.most_cache_bytes)

    def __len__(self) -> int:
        return len(self._all.templates)

    def add(self, workload: int | str, body: str) -> int:
        """The template number of one line. ``add_many`` is much faster a line."""
        return int(self.add_many([body], np.array([workload_number(workload)], np.int64))[0])

    def add_many(self, bodies: Sequence[str], workloads: Ints) -> Ints:
        """The template number of each line: bodies and workloads, (lines,) each."""
        return self.add_masked(mask_lines(bodies, self.mining.most_bytes, self.mining.most_tokens), workloads)

    def add_masked(self, masked: Sequence[bytes], workloads: Ints) -> Ints:
        """The same for lines that ``masking`` has masked with the bounds of ``mining``."""
        numbers = np.empty(len(masked), np.int64)
        known, now = self._cache.get, self.lines
        for at, key in enumerate(zip(workloads.tolist(), masked, strict=True)):
            template = known(key)
            if template is None:
                self.lines = now + at
                template = self._found(*key)
            template.last = now + at
            template.lines += 1
            numbers[at] = template.number
        self.lines = now + len(masked)
        return numbers

    def drain(self) -> News:
        news, self.news = self.news, News()
        return news

    def forget(self, workloads: Iterable[int]) -> None:
        """All templates of these workloads, of which there is no news then."""
        for workload in workloads:
            held = self._workloads.get(workload)
            for template in list(held.templates.values()) if held else []:
                self._drop(template, from_leaf=True)

    def id(self, number: int) -> int:
        return self._all.templates[number].id

    def text(self, number: int) -> str:
        return self._all.templates[number].text

    def templates(self, workload: int | str) -> list[tuple[int, int, str, int]]:
        """Number, id, text and count of lines of each template of a workload, the oldest first."""
        held = self._workloads.get(workload_number(workload))
        return [(one.number, one.id, one.text, one.lines) for one in held.templates.values()] if held else []

    # -- the tree --

    def _found(self, workload: int, masked: bytes) -> Template:
        """The template of a line that the cache does not know; made if there is none."""
        tokens = masked.decode().split(" ")
        second = tokens[1] if len(tokens) > 1 else ""
        place: _Place = (workload, len(tokens), tokens[0], None)
        leaf = self._leaves.get(place)
        template = leaf.fitting(tokens) if leaf else None
        if template is not None:
            self._cache.put((workload, masked), template)
            return template
        crowd: _Place = (workload, len(tokens), None, second)
        if in_crowd := self._leaves.get(crowd):
            template = in_crowd.fitting(tokens)  # not cached: it depends on two leaves
            if template is not None:
                return template
        mining = self.mining
        heads = self._heads.get((workload, len(tokens), second), {})
        if leaf is None and len(heads) >= mining.most_heads:
            place, leaf = crowd, in_crowd
        learnt = (
            leaf.learn(tokens, mining.similar, mining.most_words, mining.most_capitals)
            if leaf
            else Learnt(None, tokens)
        )
        self._report(learnt)
        return learnt.template or self._born(place, learnt.tokens, masked, tokens[0], second)

    def _report(self, learnt: Learnt) -> None:
        for gone, stays in learnt.merged:
            self._drop(gone, from_leaf=False)
            stays.last, stays.lines = max(stays.last, gone.last), stays.lines + gone.lines
            self.news.aliases.append(Alias(stays.workload, gone.id, stays.id, gone.number, stays.number, self.lines))
            self.news.reworded.pop(gone.number, None)
        for one in learnt.reworded:
            self.news.reworded[one.number] = Reworded(one.number, one.id, one.text, one.workload)

    def _born(self, place: _Place, tokens: Tokens, masked: bytes, first: str, second: str) -> Template:
        self._make_room(place, len(masked))
        id_ = int.from_bytes(blake2b(masked, digest_size=8).digest(), "little")
        leaf = self._leaves.setdefault(place, Leaf())
        template = Template(
            self._next,
            id_,
            place[0],
            tokens,
            first,
            second,
            place[2] is None,
            self.lines,
            self.lines,
            0,
            len(masked),
            leaf,
        )
        self._next += 1
        self._hold(template)
        self.news.born.append(Born(template.number, id_, masked.decode(), place[0], self.lines))
        return template

    def _hold(self, template: Template) -> None:
        template.leaf.add(template)
        self._all.add(template)
        self._workloads.setdefault(template.workload, Oldest()).add(template)
        self._text_bytes += template.size
        if not template.in_crowd:
            heads = self._heads.setdefault((template.workload, len(template.tokens), template.second), {})
            heads[template.first] = heads.get(template.first, 0) + 1

    # -- bounds --

    def _make_room(self, place: _Place, size: int) -> None:
        mining = self.mining
        while (leaf := self._leaves.get(place)) and len(leaf.templates) >= mining.most_per_leaf:
            self._forget(min(leaf.templates.values(), key=lambda template: template.last))
        while (held := self._workloads.get(place[0])) and len(held.templates) >= mining.most_per_workload:
            self._forget(held.oldest())
        while len(self) >= mining.most_in_all or (self and self._text_bytes + size > mining.most_text_bytes):
            self._forget(self._all.oldest())

    def _forget(self, template: Template) -> None:
        self._drop(template, from_leaf=True)
        self.news.reworded.pop(template.number, None)
        self.news.forgotten.append(template.number)

    def _drop(self, template: Template, *, from_leaf: bool) -> None:
        number, workload = template.number, template.workload
        if from_leaf:
            template.leaf.remove(template)
        if not template.leaf.templates:
            del self._leaves[_place(template)]
        del self._all.templates[number]
        held = self._workloads[workload].templates
        del held[number]
        if not held:
            del self._workloads[workload]
        self._text_bytes -= template.size
        if not template.in_crowd:
            key = (workload, len(template.tokens), template.second)
            heads = self._heads[key]
            heads[template.first] -= 1
            if not heads[template.first]:
                del heads[template.first]
            if not heads:
                del self._heads[key]

    # -- state --

    def dump(self) -> dict[str, Any]:
        """Arrays of (templates,) in the order of their numbers, and texts in UTF-8, one a line."""
        if self.news:
            raise ValueError("there is news that nobody has fetched; call drain() before dump()")
        held = list(self._all.templates.values())
        state: dict[str, Any] = {"counters": np.array([VERSION, self.lines, self._next], np.int64)}
        for name, dtype in _COLUMNS.items():
            state[name] = np.array([getattr(one, name) for one in held], dtype)
        state["in_crowd"] = np.array([one.in_crowd for one in held], np.bool_)
        state["text"] = _joined(one.text for one in held)
        state["begins"] = _joined(f"{one.first} {one.second}" for one in held)
        return state

    @classmethod
    def load(cls, state: Mapping[str, Any], mining: Mining = Mining()) -> "TemplateMiner":
        """The miner that was dumped; with bounds that are lower now it forgets at the next birth."""
        version, lines, next_ = np.asarray(state["counters"]).tolist()
        if version != VERSION:
            raise ValueError(f"the state of the template miner has version {version}; this one reads {VERSION}")
        miner = cls(mining)
        miner.lines, miner._next = lines, next_
        columns = [np.asarray(state[name]).tolist() for name in (*_COLUMNS, "in_crowd")]
        size = len(columns[0])
        columns += [_split(state[name], size) for name in ("text", "begins")]
        if any(len(column) != size for column in columns):
            raise ValueError(f"the columns of the template miner's state differ in length: {list(map(len, columns))}")
        for row in zip(*columns, strict=True):
            miner._restore(*row)
        return miner

    def _restore(self, number: int, id_: int, workload: int, born: int, last: int, lines: int, size: int,
                 in_crowd: bool, text: str, begins: str) -> None:  # fmt: skip
        first, _, second = begins.partition(" ")
        template = Template(
            number, id_, workload, text.split(" "), first, second, in_crowd, born, last, lines, size, Leaf()
        )
        template.leaf = self._leaves.setdefault(_place(template), template.leaf)
        self._hold(template)


def workload_number(workload: int | str) -> int:
    """A number stays; a name becomes a 63-bit BLAKE2b hash."""
    if isinstance(workload, int):
        return workload
    digest = blake2b(workload.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _place(template: Template) -> _Place:
    if template.in_crowd:
        return (template.workload, len(template.tokens), None, template.second)
    return (template.workload, len(template.tokens), template.first, None)


def _joined(texts: Iterable[str]) -> bytes:
    return "\n".join(texts).encode()


def _split(texts: bytes, size: int) -> list[str]:
    return bytes(texts).decode().split("\n") if size else []
