"""What a template miner remembers of the past: which template was seen least recently, and whose a line was.

Guarantee: the oldest template is exact at any time; a remembered line is given the template that it would be given
without; both are bounded by what they are told to hold.
"""

from heapq import heapify, heappop, heappush

from pipeline.signals.matching import Leaf, Template

#: What an entry of the cache costs beside its bytes, roughly.
_ENTRY_BYTES = 250


class Oldest:
    """Templates by when they were last seen. Entries may be out of date: they are put right when they come up."""

    def __init__(self) -> None:
        self.templates: dict[int, Template] = {}
        self._heap: list[tuple[int, int]] = []

    def add(self, template: Template) -> None:
        if len(self._heap) > 2 * len(self.templates) + 64:  # mostly templates that are gone
            self._heap = [(one.last, one.number) for one in self.templates.values()]
            heapify(self._heap)
        self.templates[template.number] = template
        heappush(self._heap, (template.last, template.number))

    def oldest(self) -> Template:
        while True:
            last, number = self._heap[0]
            template = self.templates.get(number)
            if template is not None and template.last == last:
                return template
            heappop(self._heap)
            if template is not None:
                heappush(self._heap, (template.last, number))


class LineCache:
    """Masked line of a workload → its template, as long as its leaf is what it was. Two halves: the older one goes."""

    def __init__(self, most_bytes: int) -> None:
        self._half = most_bytes // 2
        self._new: dict[tuple[int, bytes], tuple[Template, Leaf, int]] = {}
        self._old: dict[tuple[int, bytes], tuple[Template, Leaf, int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: tuple[int, bytes]) -> Template | None:
        entry = self._new.get(key)
        if entry is None:
            entry = self._old.get(key)
            if entry is None:
                return None
            if entry[1].version == entry[2]:
                self.put(key, entry[0])
        template, leaf, version = entry
        return template if leaf.version == version else None

    def put(self, key: tuple[int, bytes], template: Template) -> None:
        if not self._half:
            return
        self._bytes += len(key[1]) + _ENTRY_BYTES
        if self._bytes > self._half:
            self._old, self._new, self._bytes = self._new, {}, len(key[1]) + _ENTRY_BYTES
        self._new[key] = (template, template.leaf, template.leaf.version)
