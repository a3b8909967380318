"""Names of operations with ids and numbers taken out: those become ``<*>``, and every word of a route stays.

Guarantee: a pure function of the name; a name without ids is itself. An id is a UUID, eight or more hexadecimal digits
with both letters and digits, digits that stand for themselves (``/orders/17``), or four digits and more in a row. Few
digits that belong to a word stay: ``/api/v1``, ``http2``, ``oauth2``.
"""

import re

VALUE = "<*>"
_ID = re.compile(
    r"""(?<![0-9A-Za-z])(?:
        [0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}
      | (?=[A-Fa-f]*[0-9])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{8,}
      | [0-9]+
    )(?![0-9A-Za-z])
    | [0-9]{4,}""",
    re.VERBOSE,
)


def without_ids(name: str) -> str:
    """The name of the operation that this one is a case of."""
    return _ID.sub(VALUE, name)
