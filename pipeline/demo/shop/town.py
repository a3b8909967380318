"""What the shop consists of: its services and their versions, and the one deployment that goes wrong.

shoppers -> frontend -> catalogue (SQLite)
                     -> recommendation -> catalogue
                     -> cart -> catalogue
                     -> orders (SQLite) -> cart
                                        -> payment
"""

from collections.abc import Mapping
from dataclasses import dataclass

ENVIRONMENT = "demo"
LOOPBACK = "127.0.0.1"

#: Services and the versions that they start with; ``frontend`` is where shoppers come in.
VERSIONS: Mapping[str, str] = {
    "frontend": "3.2.0",
    "recommendation": "0.9.4",
    "cart": "2.0.3",
    "catalogue": "1.7.1",
    "orders": "2.4.0",
    "payment": "1.4.2",
}
FRONTEND = "frontend"
PRODUCTS = 24


@dataclass(frozen=True, slots=True)
class Fault:
    """What a version does wrong: each piece of work takes so much longer, and this share of them fails."""

    delay_seconds: float = 0.0
    error_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """Another version of one service, and its fault."""

    service: str
    version: str
    before: str
    fault: Fault = Fault()

    def undone(self) -> "Deployment":
        """The way back."""
        return Deployment(self.service, self.before, self.version)


#: Nothing calls less than payment does, and shoppers never see it: two calls away from them.
BAD = Deployment("payment", "1.5.0", VERSIONS["payment"], Fault(delay_seconds=1.0, error_share=0.3))
