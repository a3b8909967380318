"""What is wrong with a service, a version of it, or one of its pods.

Guarantee: pure values. Where nothing is wrong there is none of these.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Trouble:
    """``pods`` are the places of pods that have it (None: all); ``version`` is the one that has it ("" for any);
    ``share`` of the pieces of work meet it. Each of these takes ``delay`` longer and ``fails`` as often, saying why.

    ``hog`` is the share of the processor that something takes in the pod, ``leak`` bytes a second that are never freed.
    ``line`` is logged, as a warning, where work meets it.
    """

    pods: tuple[int, ...] | None = None
    version: str = ""
    share: float = 1.0
    delay: float = 0.0
    fails: float = 0.0
    why: str = ""
    hog: float = 0.0
    leak: float = 0.0
    line: str = ""

    def is_of(self, place: int, version: str) -> bool:
        """Does a pod at this place with this version have it?"""
        return (self.pods is None or place in self.pods) and self.version in ("", version)
