"""One message of each input format, written out by hand as its producer writes it."""

from collections.abc import Mapping

#: What prometheus-kafka-adapter writes: Go's encoding/json sorts keys, times are whole seconds, values are texts.
PROMETHEUS = (
    b'{"labels":{"__name__":"container_cpu_usage_seconds_total","container":"cart","cpu":"total","id":"/kubepods/c1",'
    b'"image":"registry/cart:1.4.2","instance":"10.0.0.4:10250","job":"kubelet","name":"c1","namespace":"shop",'
    b'"node":"node-1","pod":"cart-7d4b9c5f6-x2x9z"},"name":"container_cpu_usage_seconds_total",'
    b'"timestamp":"2026-01-01T00:00:00Z","value":"5021.75"}'
)
#: Two metrics as Telegraf writes them, nanoseconds.
INFLUX = (
    b"cpu,cpu=cpu0,host=web-1 usage_idle=97.5,usage_user=1.25,time_idle=812i 1767225600000000000\n"
    b'system,host=web-1 load1=0.5,n_cpus=8i,uptime_format="12 days,  4:31" 1767225600000000000\n'
)
TELEGRAF = (
    b'{"metrics":[{"fields":{"bytes_recv":20480,"packets_recv":12},"name":"net","tags":{"host":"web-1",'
    b'"interface":"eth0"},"timestamp":1767225600},{"fields":{"used_percent":41.5,"mode":"rw"},"name":"disk",'
    b'"tags":{"host":"web-1","path":"/"},"timestamp":1767225600}]}\n'
)
CLOUDWATCH = (
    b'{"metric_stream_name":"all","account_id":"123456789012","region":"eu-west-1","namespace":"AWS/Lambda",'
    b'"metric_name":"Errors","dimensions":{"FunctionName":"pay"},"timestamp":1767225600000,'
    b'"value":{"max":1.0,"min":0.0,"sum":3.0,"count":120.0},"unit":"Count"}\n'
    b'{"metric_stream_name":"all","account_id":"123456789012","region":"eu-west-1","namespace":"AWS/Lambda",'
    b'"metric_name":"Duration","dimensions":{"FunctionName":"pay"},"timestamp":1767225600000,'
    b'"value":{"max":80.5,"min":2.25,"sum":1200.0,"count":120.0,"p99":75.0,"p99.9":80.0},"unit":"Milliseconds"}\n'
)


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes on protobuf's wire: tag, length, content."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def _attribute(number: int, key: str, value: bytes) -> bytes:
    return _field(number, _field(1, key.encode()) + _field(2, value))


def _text(value: str) -> bytes:
    return _field(1, value.encode())


# AnyValue 6 is a list of key-values; Summary points have their attributes in field 7.
_DIMENSIONS = _field(6, _attribute(1, "FunctionName", _text("pay")))
_ERRORS_POINT = (
    _attribute(7, "Namespace", _text("AWS/Lambda"))
    + _attribute(7, "MetricName", _text("Errors"))
    + _attribute(7, "Dimensions", _DIMENSIONS)
    + b"\x11\x00\x00\xfa\xed\x51\x72\x86\x18"  # start_time_unix_nano: 1767225600 s, little-endian
    + b"\x19\x00\x58\x41\xe6\x5f\x72\x86\x18"  # time_unix_nano: 1767225660 s
    + b"\x21\x78\x00\x00\x00\x00\x00\x00\x00"  # count: 120
    + b"\x29\x00\x00\x00\x00\x00\x00\x08\x40"  # sum: 3.0
    + b"\x32\x12\x09\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x00"  # quantile 0: 0.0
    + b"\x32\x12\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x11\x00\x00\x00\x00\x00\x00\xf0\x3f"  # quantile 1: 1.0
)
_METRIC = _field(1, b"amazonaws.com/AWS/Lambda/Errors") + _field(3, b"{Count}") + _field(11, _field(1, _ERRORS_POINT))
_RESOURCE = _field(
    1,
    _attribute(1, "cloud.provider", _text("aws"))
    + _attribute(1, "cloud.account.id", _text("123456789012"))
    + _attribute(1, "cloud.region", _text("eu-west-1")),
)
_REQUEST = _field(1, _RESOURCE + _field(2, _field(2, _METRIC)))
#: A request with its length before it, twice.
CLOUDWATCH_OTLP = 2 * (_varint(len(_REQUEST)) + _REQUEST)

#: What Fluent Bit's kafka output writes of a container's line, with the kubernetes filter before it.
FLUENT_BIT = (
    b'{"@timestamp":1767225600.25,"stream":"stderr",'
    b'"log":"{\\"level\\":\\"warn\\",\\"msg\\":\\"payment of order 4711 is slow\\"}\\n",'
    b'"kubernetes":{"pod_name":"cart-7d4b9c5f6-x2x9z","namespace_name":"shop","container_name":"cart","host":"node-1",'
    b'"docker_id":"c1","labels":{"app.kubernetes.io/name":"cart","app.kubernetes.io/version":"1.4.2",'
    b'"pod-template-hash":"7d4b9c5f6"}}}'
)
PLAIN_TEXT = (
    b"2026-01-01 00:00:00,250 ERROR [main] com.acme.Cart - cannot pay order 4711\n"
    b"java.lang.IllegalStateException: no card\n"
    b"\tat com.acme.Cart.pay(Cart.java:17)\n"
    b"2026-01-01 00:00:01,000 INFO [main] com.acme.Cart - again\n"
)
#: A span as Jaeger writes it with the encoding json (jsonpb: bytes are base64).
JAEGER = (
    b'{"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AQIDBAUGBwg=","operationName":"GET /cart",'
    b'"references":[{"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"ycrLzM3Oz9A="}],"flags":1,'
    b'"startTime":"2026-01-01T00:00:00Z","duration":"0.012500s",'
    b'"tags":[{"key":"span.kind","vStr":"server"},{"key":"http.response.status_code","vType":"INT64","vInt64":"200"}],'
    b'"process":{"serviceName":"cart","tags":[{"key":"hostname","vStr":"node-1"}]}}'
)
EVENT = (
    b'{"ts":"2026-01-01T00:00:00Z","type":"backup.failed","entity":{"service.name":"db"},"severity":"ERROR",'
    b'"text":"disk full","attributes":{"attempt":3}}'
)
CHANGE = (
    b'{"ts":"2026-01-01T00:00:00Z","kind":"deployment","phase":"finished","id":"deploy-17",'
    b'"entity":{"service.name":"cart"},"version":"1.4.2","before":"1.4.1","author":"alice"}'
)

_SERVICE = _field(1, _attribute(1, "service.name", _text("cart")))
_TRACE_ID, _SPAN_ID = bytes(range(16)), bytes(range(1, 9))
_LOG_RECORD = (
    b"\x09\x00\x00\xfa\xed\x51\x72\x86\x18"  # time_unix_nano: 1767225600 s, little-endian
    + b"\x10\x0d"  # severity_number: 13, WARN
    + _field(5, _text("payment of order 4711 is slow"))
    + _field(9, _TRACE_ID)
)
OTLP_LOGS = _field(1, _SERVICE + _field(2, _field(2, _LOG_RECORD)))
_SPAN = (
    _field(1, _TRACE_ID)
    + _field(2, _SPAN_ID)
    + _field(5, b"GET /cart")
    + b"\x30\x02"  # kind: server
    + b"\x39\x00\x00\xfa\xed\x51\x72\x86\x18"  # start_time_unix_nano: 1767225600 s
    + b"\x41\x00\x58\x41\xe6\x5f\x72\x86\x18"  # end_time_unix_nano: 1767225660 s
    + b"\x7a\x02\x18\x02"  # status: error
)
OTLP_SPANS = _field(1, _SERVICE + _field(2, _field(2, _SPAN)))

GOLDEN: Mapping[str, bytes] = {
    "json_points": b'{"ts": 1767225600.5, "name": "queue.depth", "value": 4, "attributes": {"service.name": "cart"}}',
    "otlp_metrics": _REQUEST,
    "prometheus_json": PROMETHEUS,
    "influx_line": INFLUX,
    "telegraf_json": TELEGRAF,
    "cloudwatch_json": CLOUDWATCH,
    "cloudwatch_otlp": CLOUDWATCH_OTLP,
    "otlp_logs": OTLP_LOGS,
    "fluent_bit": FLUENT_BIT,
    "plain_text": PLAIN_TEXT,
    "otlp_spans": OTLP_SPANS,
    "jaeger_spans": JAEGER,
    "events": EVENT,
    "changes": CHANGE,
}
