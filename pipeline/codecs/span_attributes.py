"""Which attributes of a span matter, and what they make of it: its operation, its peer, and whether it failed.

Guarantee: operation and peer depend on the kind, the name and the attributes below and on nothing else, not on their
order. Attributes are OpenTelemetry's, newer names before older ones. Sources: the semantic conventions of HTTP, RPC,
database and messaging spans, and of the status of a span:

- "5xx" is an error of any HTTP span, "4xx" one of a client's (HTTP spans, "Status");
- ``error.type`` is set only where an operation ended with an error (recording errors);
- a status of Ok is final: analysis tools suppress what they would otherwise call an error (tracing API, "Set Status").
"""

from collections.abc import Mapping

from numba import njit

from pipeline.records import Peer, SpanKind, SpanShape

#: An attribute's number is its place. The first ones make the shape of a span, those after them whether it failed, and
#: the last ones are tags that Jaeger has for what OTLP has fields for.
ATTRIBUTES = (
    "http.request.method",
    "http.method",
    "http.route",
    "rpc.method",
    "rpc.service",
    "db.operation.name",
    "db.operation",
    "db.collection.name",
    "db.sql.table",
    "db.mongodb.collection",
    "messaging.operation.name",
    "messaging.operation",
    "messaging.operation.type",
    "messaging.destination.template",
    "messaging.destination.name",
    "messaging.destination",
    "messaging.system",
    "db.system.name",
    "db.system",
    "db.namespace",
    "db.name",
    "service.peer.name",
    "peer.service",
    "server.address",
    "net.peer.name",
    "error.type",
    "http.response.status_code",
    "http.status_code",
    "span.kind",
    "otel.status_code",
    "error",
)
NUMBERS: Mapping[bytes, int] = {name.encode(): number for number, name in enumerate(ATTRIBUTES)}
_METHODS = ("http.request.method", "http.method")
_DB_OPERATIONS = ("db.operation.name", "db.operation")
_COLLECTIONS = ("db.collection.name", "db.sql.table", "db.mongodb.collection")
_MESSAGING_OPERATIONS = ("messaging.operation.name", "messaging.operation", "messaging.operation.type")
_DESTINATIONS = ("messaging.destination.template", "messaging.destination.name", "messaging.destination")
_DB_SYSTEMS, _NAMESPACES = ("db.system.name", "db.system"), ("db.namespace", "db.name")
_SERVICES = ("service.peer.name", "peer.service")
_ADDRESSES = ("server.address", "net.peer.name")


def bits(*names: str) -> int:
    """A set of attributes as the kernels have it."""
    return sum(1 << ATTRIBUTES.index(name) for name in names)


METHOD, ROUTE, RPC = bits(*_METHODS), bits("http.route"), bits("rpc.method")
RPC_BOTH = RPC | bits("rpc.service")
DB_OPERATION, DB = bits(*_DB_OPERATIONS), bits(*_DB_OPERATIONS, *_COLLECTIONS)
SENT, DESTINATION = bits(*_MESSAGING_OPERATIONS), bits(*_DESTINATIONS)
PEER = bits(*_SERVICES, *_DB_SYSTEMS, *_NAMESPACES, "messaging.system", *_DESTINATIONS)
ADDRESS = bits(*_ADDRESSES)
STATUS = bits("http.response.status_code", "http.status_code")
FIRST_ADDRESS, LAST_ADDRESS = ATTRIBUTES.index("server.address"), ATTRIBUTES.index("net.peer.name")
ERROR_TYPE, NEW_STATUS, OLD_STATUS = (
    ATTRIBUTES.index(name) for name in ("error.type", "http.response.status_code", "http.status_code")
)
KIND_TAG, STATUS_TAG, ERROR_TAG = (ATTRIBUTES.index(name) for name in ("span.kind", "otel.status_code", "error"))
#: How many make the shape of a span; a name may come before them.
OF_SHAPE = ERROR_TYPE

SERVER, CLIENT = int(SpanKind.SERVER), int(SpanKind.CLIENT)
OK, ERROR = 1, 2  # codes of a span's status; 0 is unset
_SERVER_ERRORS, _CLIENT_ERRORS = 500, 400


@njit(cache=True, error_model="numpy")
def chosen(kind: int, seen: int) -> tuple[int, bool]:
    """Of the attributes that a span has, those that make its shape; and does its name? Not where they say it all:
    names may have anything in them. An address counts only for a client that names nothing better."""
    mask, named = 0, True
    if kind == SERVER and seen & METHOD and seen & ROUTE:
        mask, named = seen & (METHOD | ROUTE), False
    elif seen & RPC:
        mask, named = seen & RPC_BOTH, False
    elif seen & DB_OPERATION:
        mask, named = seen & DB, False
    elif seen & SENT and seen & DESTINATION:
        mask, named = seen & (SENT | DESTINATION), False
    if kind != SERVER:
        mask |= seen & PEER
        if kind == CLIENT and not seen & PEER:
            mask |= seen & ADDRESS
    return mask, named


@njit(cache=True, error_model="numpy")
def failed(code: int, kind: int, http_status: int, error_type: bool) -> bool:
    """``code`` is the span's status, ``http_status`` 0 where there is none; ``error_type``: is it set?"""
    if code in (OK, ERROR):
        return code == ERROR
    return error_type or http_status >= (_CLIENT_ERRORS if kind == CLIENT else _SERVER_ERRORS)


def shape_of(resource: int, kind: SpanKind, name: str, texts: Mapping[str, str]) -> SpanShape:
    """The shape of a span with these attributes, of those that ``chosen`` chose."""
    if not texts:
        return SpanShape(resource, kind, name)
    peer, peer_kind = _peer(kind, texts)
    return SpanShape(resource, kind, _operation(kind, name, texts), peer, peer_kind)


def _operation(kind: SpanKind, name: str, texts: Mapping[str, str]) -> str:
    method, route = _first(texts, _METHODS), texts.get("http.route", "")
    if kind is SpanKind.SERVER and method and route:
        return f"{method} {route}"
    if rpc := texts.get("rpc.method", ""):
        return "/".join(part for part in (texts.get("rpc.service", ""), rpc) if part)
    if operation := _first(texts, _DB_OPERATIONS):
        return f"{operation} {_first(texts, _COLLECTIONS)}".rstrip()
    operation, destination = _first(texts, _MESSAGING_OPERATIONS), _first(texts, _DESTINATIONS)
    return f"{operation} {destination}" if operation and destination else name


def _peer(kind: SpanKind, texts: Mapping[str, str]) -> tuple[str, Peer]:
    """A service is called by its name, whatever it is; the kind says what it is."""
    if kind is SpanKind.SERVER:
        return "", Peer.NONE
    system, queue = _first(texts, _DB_SYSTEMS), texts.get("messaging.system", "")
    namespace, destination = _first(texts, _NAMESPACES), _first(texts, _DESTINATIONS)
    if system or namespace:
        peer, peer_kind = _path(system, namespace), Peer.DATABASE
    elif queue or destination:
        peer, peer_kind = _path(queue, destination), Peer.QUEUE
    else:
        peer, peer_kind = _first(texts, _ADDRESSES), Peer.SERVICE
        if kind is not SpanKind.CLIENT or peer == "localhost":
            peer = ""
    peer = _first(texts, _SERVICES) or peer
    return peer, peer_kind if peer else Peer.NONE


def _path(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _first(texts: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := texts.get(name, ""))), "")
