"""What a package URL (purl) says of a deployed artifact: its name and version.

Guarantee: any text has an answer; what is no purl is a name without a version. Of an image the tag is the version, for
that is what telemetry reports; its digest where there is no tag.
"""

from typing import NamedTuple
from urllib.parse import parse_qs, unquote


class Package(NamedTuple):
    """``version`` is empty where none is given."""

    name: str
    version: str


def read(text: str) -> Package:
    """``pkg:oci/cart@sha256%3A0b31…?tag=1.2.3`` → cart, 1.2.3."""
    if not text.startswith("pkg:"):
        return Package(last_part(text), "")
    path, _, query = text.partition("#")[0].removeprefix("pkg:").partition("?")
    name, at, version = path.rpartition("@")
    if not at:
        name, version = path, ""
    try:
        tags = parse_qs(query, max_num_fields=64).get("tag", [])
    except ValueError:
        tags = []
    return Package(last_part(unquote(name)), (tags[0] if tags else "") or unquote(version))


def last_part(path: str) -> str:
    """The last part of ``/dev/production/cart`` or of a URL, without what comes after ``?`` or ``#``."""
    parts = [part for part in path.partition("#")[0].partition("?")[0].split("/") if part]
    return parts[-1] if parts else ""
