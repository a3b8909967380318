"""Which template a masked line belongs to, and what a leaf of templates learns from a line that fits none.

Guarantee: the order of lines alone decides. A line goes to the template that it fits with the most equal tokens (the
oldest of several), so a line that a template was made from fits it, or what it was merged into, for ever.

After Drain (He et al., ICWS 2017): a leaf holds templates of equal length that begin alike, and lines are compared by
the share of tokens at equal places that agree. Different from it:

- A token with one ``<*>`` in it stands for any token that begins and ends like it: ``(<*>)`` is also ``()``.
- Drain takes two lines of which enough tokens agree for one template. Here a place becomes a variable only with proof:
  a line has a value where the template has a word, or more than ``most_words`` different words stand there in similar
  lines (``most_capitals``, if all begin with a capital letter, as states and methods do). ``Session opened`` and
  ``Session closed`` stay two, ``GET`` and ``POST`` too; users, in number, become ``user=<*>``.
- Proof comes late: templates that then turn out to be one are merged, and the oldest stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, count
from operator import eq, ne

from pipeline.signals.masking import VALUE

Tokens = list[str]
#: What a token that stands for others begins and ends with; None: it stands for itself.
Affixes = tuple[str, str] | None


def affixes(token: str) -> Affixes:
    """
    >>> affixes("user=<*>,"), affixes("user"), affixes("<*>:<*>")
    (('user=', ','), None, None)
    """
    if VALUE not in token:
        return None
    before, _, after = token.partition(VALUE)
    return None if VALUE in after else (before, after)


def stands_for(affix: Affixes, token: str) -> bool:
    """Also for all that the token stands for, if it has values in it."""
    if affix is None:
        return False
    before, after = affix
    if VALUE in token:
        return _head(token).startswith(before) and _tail(token).endswith(after)
    return token.startswith(before) and token.endswith(after) and len(token) >= len(before) + len(after)


def _head(token: str) -> str:
    return token.partition(VALUE)[0]


def _tail(token: str) -> str:
    return token.rpartition(VALUE)[2]


@dataclass(slots=True, eq=False)
class Template:
    """``first`` and ``second``: the first two tokens of the line that it was made from; ``in_crowd``: see templates."""

    number: int
    id: int
    workload: int
    tokens: Tokens
    first: str
    second: str
    in_crowd: bool
    born: int  # the line at which it was made, was last seen, and how many lines it has
    last: int
    lines: int
    size: int  # bytes of the line that it was made from
    leaf: "Leaf"
    affixes: list[Affixes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.affixes = [affixes(token) for token in self.tokens]

    @property
    def text(self) -> str:
        return " ".join(self.tokens)

    def put(self, place: int, token: str) -> None:
        self.tokens[place] = token
        self.affixes[place] = affixes(token)

    def differing(self, tokens: Tokens, most: int) -> list[int] | None:
        """Places where a line does not fit; None if they are more than ``most``."""
        places: list[int] = []
        for place in compress(count(), map(ne, self.tokens, tokens)):
            affix = self.affixes[place]
            if affix is None or not stands_for(affix, tokens[place]):
                if len(places) == most:
                    return None
                places.append(place)
        return places


@dataclass(frozen=True, slots=True)
class Learnt:
    """``template``: whose the line is; None: of a new one with ``tokens``. ``merged``: (gone, the one that stays)."""

    template: Template | None
    tokens: Tokens
    merged: tuple[tuple[Template, Template], ...] = ()
    reworded: tuple[Template, ...] = ()


@dataclass(slots=True, eq=False)
class Leaf:
    """Templates of equal length by number, which is by age. ``version`` changes whenever another line might fit."""

    templates: dict[int, Template] = field(default_factory=dict)
    version: int = 0

    def add(self, template: Template) -> None:
        self.templates[template.number] = template
        self.version += 1

    def remove(self, template: Template) -> None:
        del self.templates[template.number]
        self.version += 1

    def fitting(self, tokens: Tokens) -> Template | None:
        """The template that a line fits best."""
        best, most = None, -1
        for template in self.templates.values():
            if template.tokens == tokens:
                return template
            if template.differing(tokens, 0) is not None:
                equal = sum(map(eq, template.tokens, tokens))
                if equal > most:
                    best, most = template, equal
        return best

    def learn(self, tokens: Tokens, similar: float, most_words: int, most_capitals: int) -> Learnt:
        """Of a line that fits no template here: generalise templates where there is proof."""
        most = int(len(tokens) * (1 - similar) + 1e-9)
        differing = ((template, template.differing(tokens, most)) for template in self.templates.values())
        siblings = [(template, places) for template, places in differing if places]
        if (found := _within(siblings, tokens)) is not None:
            template, places = found
            for place in places:
                template.put(place, tokens[place])
            return self._merged(template, tokens, [template])
        general, changed = _generalised(siblings, tokens, most_words, most_capitals)
        own = [affixes(token) for token in general]
        stays = next((one for one in self.templates.values() if _covers(own, general, one)), None)
        if stays is None:
            return self._merged(None, general, changed)
        for place, token in enumerate(general):
            if stays.tokens[place] != token:
                stays.put(place, token)
        return self._merged(stays, general, [stays, *(one for one in changed if one is not stays)])

    def _merged(self, template: Template | None, tokens: Tokens, changed: Sequence[Template]) -> Learnt:
        """Merge each of the changed templates with those that it now covers; the oldest stays."""
        gone: dict[int, tuple[Template, Template]] = {}
        for one in changed:
            if one.number in gone:
                continue
            own = list(one.affixes), list(one.tokens)
            covered = [other for other in self.templates.values() if other is one or _covers(*own, other)]
            stays = covered[0]
            for place, token in enumerate(one.tokens):
                if stays.tokens[place] != token:
                    stays.put(place, token)
            for other in covered[1:]:
                gone[other.number] = (other, stays)
                self.remove(other)
        if changed:
            self.version += 1
        while template is not None and template.number in gone:
            template = gone[template.number][1]
        chains = tuple((old, _last(gone, stays)) for old, stays in gone.values())
        staying = {_last(gone, one).number: _last(gone, one) for one in changed}
        return Learnt(template, tokens, chains, tuple(staying.values()))


def _last(gone: dict[int, tuple[Template, Template]], template: Template) -> Template:
    while template.number in gone:
        template = gone[template.number][1]
    return template


def _within(siblings: Iterable[tuple[Template, list[int]]], tokens: Tokens) -> tuple[Template, list[int]] | None:
    """The template nearest to a line that has values in all places where they differ."""
    own = [affixes(token) for token in tokens]
    found = None
    for template, places in siblings:
        if (found is None or len(places) < len(found[1])) and all(
            stands_for(own[place], template.tokens[place]) for place in places
        ):
            found = template, places
    return found


def _generalised(
    siblings: Sequence[tuple[Template, list[int]]], tokens: Tokens, most_words: int, most_capitals: int
) -> tuple[Tokens, list[Template]]:
    """The line with variables where there is proof, put into its siblings too; and the siblings that changed."""
    general = list(tokens)
    changed: dict[int, Template] = {}
    for place, token in enumerate(tokens):
        known = [template.tokens[place] for template, _ in siblings if stands_for(template.affixes[place], token)]
        known = [one for one in known if one != token]
        words = dict.fromkeys([token, *(one.tokens[place] for one, places in siblings if place in places)])
        if known:
            general[place] = min(known, key=len)
        elif len(words) > most_words and len(words) > (most_capitals if capital(words) else most_words):
            general[place] = variable(words)
        else:
            continue
        affix = affixes(general[place])
        for template, places in siblings:
            if place in places and stands_for(affix, template.tokens[place]):
                template.put(place, general[place])
                changed[template.number] = template
    return general, list(changed.values())


def _covers(own: Sequence[Affixes], tokens: Tokens, template: Template) -> bool:
    for affix, token, other in zip(own, tokens, template.tokens, strict=True):
        if token != other and not stands_for(affix, other):
            return False
    return True


def variable(words: Iterable[str]) -> str:
    """What words have in common before and behind, up to a sign that is no letter or digit, and ``<*>`` between.

    >>> variable(["user=root,", "user=rob,"])
    'user=<*>,'
    """
    words = list(words)
    before = _to_sign(_common([_head(word) for word in words]))
    rests = [_tail(word) if VALUE in word else word[len(before) :] for word in words]
    after = _to_sign(_common([rest[::-1] for rest in rests]))[::-1]
    return before + VALUE + after


def capital(words: Iterable[str]) -> bool:
    """Do all begin with a capital letter, after what they have in common up to a sign?

    >>> capital(["state=RUNNING", "state=Done"]), capital(["Ada", "bob"])
    (True, False)
    """
    words = list(words)
    begins = len(variable(words).partition(VALUE)[0])
    return all(word[begins : begins + 1].isupper() for word in words)


def _common(texts: Sequence[str]) -> str:
    """The longest common beginning."""
    low, high = min(texts), max(texts)
    size = 0
    while size < len(low) and low[size] == high[size]:
        size += 1
    return low[:size]


def _to_sign(text: str) -> str:
    while text and text[-1].isalnum():
        text = text[:-1]
    return text
