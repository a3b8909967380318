"""How bad an incident is: from who suffers, how far it spread, how fast error budgets burn, and how unlikely it is.

Guarantee: depends on these facts alone, and says by which. More of any of them never makes it less severe.

The rule (docs/incidents.md gives the reasons; the burn rates are those of Google's SRE workbook: at 14.4 an hour takes
2 % of the budget of 30 days and somebody is called, at 6 six hours take 5 %):

critical: users or the business feel it, p < 10⁻⁶, and it is bad: a burn rate of 14.4, a tenth of the business missing,
          or three workloads; or, where nobody is known to feel it, five workloads and p < 10⁻¹²
error:    users or the business feel it; or a burn rate of 6; or p < 10⁻⁸; or three workloads and p < 10⁻⁶
warning:  else: it is unlikely, but nobody is known to suffer
"""

from dataclasses import dataclass

SEVERITIES = ("warning", "error", "critical")
PAGE_BURN, TICKET_BURN = 14.4, 6.0
#: The part of the business that is bad to lose.
BAD_LOSS = 0.1
#: Surprises (−log10 p), and workloads that are a spread: where somebody feels it, and where nobody is known to.
SURE, UNLIKELY, BEYOND_DOUBT = 6.0, 8.0, 12.0
SPREAD, WIDE = 3, 5


@dataclass(frozen=True, slots=True)
class Facts:
    """``burn`` is the fastest burn rate of an error budget (0 where none burns), with its words; ``missing`` the
    greatest share of a business signal that is missing; ``users`` and ``business`` name who feels it."""

    surprise: float
    workloads: int
    burn: float = 0.0
    burn_words: str = ""
    users: tuple[str, ...] = ()
    business: tuple[str, ...] = ()
    missing: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A severity, and by what it came about, in words: first the rule, then the facts."""

    severity: str = SEVERITIES[0]
    reasons: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        return SEVERITIES.index(self.severity)

    def worse(self, other: "Standing") -> "Standing":
        """The worse of both; of two that are as bad the other, which is newer. So it never goes down."""
        return other if other.rank >= self.rank else self


UNJUDGED = Standing()


def judge(facts: Facts) -> Standing:
    """The severity that these facts have."""
    felt = facts.users or facts.business
    bad = [
        words
        for words, so in (
            (f"an error budget burns {PAGE_BURN:g} times too fast or more", facts.burn >= PAGE_BURN),
            (f"{BAD_LOSS:.0%} or more of the business is missing", facts.missing >= BAD_LOSS),
            (f"{SPREAD} workloads or more are affected", facts.workloads >= SPREAD),
        )
        if so
    ]
    if felt and bad and facts.surprise >= SURE:
        rule = f"critical, for somebody feels it, p is below 1e-{SURE:g}, and {bad[0]}"
    elif facts.workloads >= WIDE and facts.surprise >= BEYOND_DOUBT:
        rule = f"critical, for {WIDE} workloads or more are affected, and p is below 1e-{BEYOND_DOUBT:g}"
    elif felt:
        rule = "error, for somebody feels it"
    elif facts.burn >= TICKET_BURN:
        rule = f"error, for an error budget burns {TICKET_BURN:g} times too fast or more"
    elif facts.surprise >= UNLIKELY:
        rule = f"error, for p is below 1e-{UNLIKELY:g}"
    elif facts.workloads >= SPREAD and facts.surprise >= SURE:
        rule = f"error, for {SPREAD} workloads or more are affected, and p is below 1e-{SURE:g}"
    else:
        rule = "warning, for it is unlikely, but nobody is known to suffer"
    return Standing(rule.partition(",")[0], (rule, *_facts(facts)))


def _facts(facts: Facts) -> list[str]:
    said = []
    if facts.users:
        said.append(f"users feel it at {_names(facts.users)}")
    if facts.business:
        missing = f", of which {facts.missing:.0%} is missing" if facts.missing > 0 else ""
        said.append(f"the business feels it: {_names(facts.business)}{missing}")
    if facts.burn_words:
        said.append(facts.burn_words)
    said.append(f"{facts.workloads} workload{'' if facts.workloads == 1 else 's'} affected")
    said.append(f"the most unlikely window has a surprise of {facts.surprise:.3g} (p = 1e-{facts.surprise:.3g})")
    return said


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
