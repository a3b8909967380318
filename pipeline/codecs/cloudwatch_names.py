"""What a CloudWatch metric is: name, unit, entity, and which of its statistics say something.

Guarantee: a pure function of namespace, metric, unit and dimensions, the same for both formats of Metric Streams; two
metrics with different dimensions, accounts or regions never become one signal.

CloudWatch gives minimum, maximum, sum and number of the values of a minute. What counts events (Lambda's Invocations)
means something as the sum only: a delta over its minute. Where nothing is sent for a minute in which nothing happened,
as Lambda and load balancers have it, it is a sparse delta. What measures (a duration, a share, a level) means something
as mean, minimum, maximum and percentiles: gauges. Where nobody knows, a metric with the unit Count gives both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.records import Kind, Series
from pipeline.records.signal import Attributes

_EVENT_LISTS = {
    "AWS/ApiGateway": "Count 4XXError 5XXError 4xx 5xx CacheHitCount CacheMissCount",
    "AWS/ApplicationELB": """RequestCount HTTPCode_ELB_3XX_Count HTTPCode_ELB_4XX_Count HTTPCode_ELB_5XX_Count
        HTTPCode_ELB_500_Count HTTPCode_ELB_502_Count HTTPCode_ELB_503_Count HTTPCode_ELB_504_Count
        HTTPCode_Target_2XX_Count HTTPCode_Target_3XX_Count HTTPCode_Target_4XX_Count HTTPCode_Target_5XX_Count
        NewConnectionCount RejectedConnectionCount TargetConnectionErrorCount TargetTLSNegotiationErrorCount
        ClientTLSNegotiationErrorCount ProcessedBytes ConsumedLCUs""",
    "AWS/CloudFront": "Requests BytesDownloaded BytesUploaded",
    "AWS/DynamoDB": """ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents WriteThrottleEvents
        ThrottledRequests SystemErrors UserErrors ConditionalCheckFailedRequests TransactionConflict""",
    "AWS/EBS": "VolumeReadBytes VolumeWriteBytes VolumeReadOps VolumeWriteOps",
    "AWS/EC2": """NetworkIn NetworkOut NetworkPacketsIn NetworkPacketsOut DiskReadBytes DiskWriteBytes DiskReadOps
        DiskWriteOps EBSReadBytes EBSWriteBytes EBSReadOps EBSWriteOps CPUCreditUsage MetadataNoToken""",
    "AWS/ELB": """RequestCount HTTPCode_Backend_2XX HTTPCode_Backend_3XX HTTPCode_Backend_4XX HTTPCode_Backend_5XX
        HTTPCode_ELB_4XX HTTPCode_ELB_5XX BackendConnectionErrors SpilloverCount""",
    "AWS/ElastiCache": "CacheHits CacheMisses Evictions Reclaimed NewConnections NetworkBytesIn NetworkBytesOut",
    "AWS/Events": "Invocations FailedInvocations TriggeredRules MatchedEvents ThrottledRules InvocationsSentToDlq",
    "AWS/Kinesis": """IncomingBytes IncomingRecords PutRecord.Bytes PutRecords.Bytes PutRecords.Records
        PutRecords.FailedRecords GetRecords.Bytes GetRecords.Records ReadProvisionedThroughputExceeded
        WriteProvisionedThroughputExceeded""",
    "AWS/Lambda": """Invocations Errors Throttles DeadLetterErrors DestinationDeliveryFailures
        ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations AsyncEventsReceived
        AsyncEventsDropped RecursiveInvocationsDropped""",
    "AWS/NetworkELB": """NewFlowCount NewFlowCount_TCP NewFlowCount_TLS ProcessedBytes ProcessedPackets
        TCP_Client_Reset_Count TCP_ELB_Reset_Count TCP_Target_Reset_Count""",
    "AWS/S3": """AllRequests GetRequests PutRequests DeleteRequests HeadRequests PostRequests ListRequests
        BytesDownloaded BytesUploaded 4xxErrors 5xxErrors""",
    "AWS/SNS": "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed",
    "AWS/SQS": "NumberOfMessagesSent NumberOfMessagesReceived NumberOfMessagesDeleted NumberOfEmptyReceives",
    "AWS/States": """ExecutionsStarted ExecutionsSucceeded ExecutionsFailed ExecutionsAborted ExecutionsTimedOut
        ExecutionThrottled""",
}
#: Metrics that count what happened in their minute, by namespace. Others of these namespaces measure.
_EVENTS: Mapping[str, frozenset[str]] = {name: frozenset(text.split()) for name, text in _EVENT_LISTS.items()}
#: Namespaces whose counts are not sent for a minute in which nothing happened.
_SPARSE = frozenset(("AWS/Lambda", "AWS/ApplicationELB", "AWS/ELB"))
#: A version of a function that nobody calls has been replaced: that its counts do not come says nothing.
_VERSION = re.compile(r".*:[0-9]+")
#: Namespaces of AWS that only measure.
_MEASURING = frozenset(("AWS/ECS", "AWS/RDS", "ContainerInsights", "ECS/ContainerInsights", "CWAgent"))

#: CloudWatch's units in UCUM, as AWS itself translates them for OpenTelemetry.
UNITS = {
    "None": "1",
    "Count": "{Count}",
    "Seconds": "s",
    "Milliseconds": "ms",
    "Microseconds": "us",
    "Percent": "%",
    "Bytes": "By",
    "Kilobytes": "kBy",
    "Megabytes": "MBy",
    "Gigabytes": "GBy",
    "Terabytes": "TBy",
    "Bits": "bit",
    "Kilobits": "kbit",
    "Megabits": "MBit",
    "Gigabits": "GBit",
    "Terabits": "Tbit",
}
_COUNT = UNITS["Count"]

#: Dimensions that name what is measured where OpenTelemetry has an attribute for it.
_ATTRIBUTES = {
    "FunctionName": "faas.name",
    "InstanceId": "host.id",
    "ExecutedVersion": "faas.version",
}
#: Other dimensions that name what is measured, the most exact first.
_NAMING = (
    "ServiceName",
    "LoadBalancer",
    "LoadBalancerName",
    "DBInstanceIdentifier",
    "DBClusterIdentifier",
    "CacheClusterId",
    "TableName",
    "QueueName",
    "TopicName",
    "StreamName",
    "ApiName",
    "ApiId",
    "StateMachineArn",
    "BucketName",
    "DistributionId",
    "VolumeId",
    "AutoScalingGroupName",
    "ClusterName",
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one entity. Its sum is a delta where ``summed``, the others are gauges where ``measured``; ``sparse``
    is one whose sum is 0 where nothing is sent."""

    name: str
    unit: str
    attributes: Attributes
    summed: bool
    measured: bool
    sparse: bool

    def total(self) -> Series:
        """What happened in a minute."""
        kind = Kind.SPARSE_DELTA if self.sparse else Kind.DELTA
        return Series(self.name, self.unit, kind, self.attributes)

    def statistic(self, name: str) -> Series:
        """``mean``, ``min``, ``max`` or a percentile."""
        return Series(f"{self.name}.{name}", self.unit, Kind.GAUGE, self.attributes)


def metric_of(
    namespace: str, name: str, unit: str, dimensions: Mapping[str, str], account: str = "", region: str = ""
) -> Metric:
    """``unit`` is UCUM."""
    known = _EVENTS.get(namespace)
    unknown = known is None and namespace not in _MEASURING
    summed = name in known if known is not None else unknown and unit == _COUNT
    attributes = _attributes(namespace, dimensions, account, region)
    sparse = namespace in _SPARSE and not _of_version(dimensions)
    return Metric(f"{namespace}/{name}", unit, attributes, summed, measured=not summed or unknown, sparse=sparse)


def _of_version(dimensions: Mapping[str, str]) -> bool:
    return bool(dimensions.get("ExecutedVersion") or _VERSION.fullmatch(dimensions.get("Resource", "")))


def unit_of(unit: str) -> str:
    """UCUM for CloudWatch's own name, also for rates (``Bytes/Second``)."""
    base, _, per = unit.partition("/")
    found = UNITS.get(base, base)
    return f"{found}/s" if per == "Second" else found


def statistic_name(name: str) -> str:
    """``p99.9`` → ``p99_9``, as a summary's quantiles are called; trimmed means and the like keep their names."""
    return name.replace(".", "_") if name.startswith("p") else name


def _attributes(namespace: str, dimensions: Mapping[str, str], account: str, region: str) -> Attributes:
    found = {_ATTRIBUTES.get(name, name): value for name, value in dimensions.items() if value}
    found |= {
        name: value
        for name, value in (("cloud.account.id", account), ("cloud.region", region), ("cloud.provider", "aws"))
        if value
    }
    if "faas.name" not in found and "host.id" not in found:
        naming = next((name for name in _NAMING if name in dimensions), None)
        found["service.name"] = dimensions[naming] if naming else namespace
        if naming:
            found["service.namespace"] = namespace
            del found[naming]
    # The same names live in many accounts and regions, and versions of a function side by side.
    place = [value for value in (account, region, found.get("faas.version", "")) if value]
    if place and "host.id" not in found:
        found["service.instance.id"] = "/".join(place)
    return tuple(sorted(found.items()))
