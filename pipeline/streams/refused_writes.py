"""Why a record of ours was not written, in words: the topic, what Kafka said, and what to do.

Guarantee: none of it is raised while Kafka may still take the record in time; an operation that Kafka does not allow us
is left as it is (``refusals``).
"""

import logging

from aiokafka import TopicPartition, errors
from aiokafka.errors import KafkaError

from pipeline.streams.exits import Exit, WorkerExit

_CREATE = "run: calmstream topics create"
_TOO_LARGE = f"its max.message.bytes was lowered; {_CREATE}"
_REPLICAS = (
    "fewer replicas are in sync than its min.insync.replicas: bring the missing brokers back, or lower it; "
    "it may not be above the number of replicas of the topic"
)
_DISK = "a disk of the broker has failed or is full: make space there, and start the broker again"

#: Kafka's error → exit code, and what to do.
_KNOWN: dict[type, tuple[Exit, str]] = {
    errors.UnknownTopicOrPartitionError: (Exit.TOPICS, f"the topic is missing; {_CREATE}"),
    errors.MessageSizeTooLargeError: (Exit.TOPICS, _TOO_LARGE),
    errors.RecordListTooLargeError: (Exit.TOPICS, _TOO_LARGE),
    errors.NotEnoughReplicasError: (Exit.BROKER_LOST, _REPLICAS),
    errors.NotEnoughReplicasAfterAppendError: (Exit.BROKER_LOST, _REPLICAS),
    errors.KafkaStorageError: (Exit.BROKER_LOST, _DISK),
}
_OTHERWISE = (Exit.BROKER_LOST, "look at the broker's log; a restart tries again")
_NOT_ALLOWED = (
    errors.TopicAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)


class Answers(logging.Filter):
    """What Kafka answered last where aiokafka tries again, which tells only its log. Of answers that repeat the log has
    the first."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[TopicPartition, object] = {}
        self._shown = logging.NOTSET

    def filter(self, record: logging.LogRecord) -> bool:
        match record.args:
            case (TopicPartition() as place, answer):
                known, self._last[place] = self._last.get(place), answer
                return known != answer and record.levelno >= self._shown
        return record.levelno >= self._shown

    def attend(self, sender: logging.Logger) -> None:
        """Hear it also where the log is to show less than warnings, and show no more than it was to."""
        level = sender.getEffectiveLevel()
        if level > logging.WARNING:
            self._shown = level
            sender.setLevel(logging.WARNING)

    def last(self, place: TopicPartition) -> object:
        """A class of error, words of the broker, or None. Partition −1 is any of the topic."""
        if place.partition >= 0:
            return self._last.get(place)
        return next((answer for known, answer in self._last.items() if known.topic == place.topic), None)

    def accepted(self, place: TopicPartition) -> None:
        """A record was written there: what was said before is no longer so."""
        self._last.pop(place, None)


def listen() -> Answers:
    """Hear what Kafka answers to the producers of this process; the same for all who ask."""
    sender = logging.getLogger("aiokafka.producer.sender")
    known = next((each for each in sender.filters if isinstance(each, Answers)), None)
    if known is None:
        sender.addFilter(known := Answers())
    known.attend(sender)
    return known


def refused(place: TopicPartition, error: BaseException) -> BaseException:
    """What a record's failure, which is for good, ends in."""
    if not isinstance(error, KafkaError) or isinstance(error, _NOT_ALLOWED):
        return error
    if isinstance(error, errors.MessageSizeTooLargeError) and error.args:  # the client's own limit
        text = f"a record for {name(place)} is larger than any may be, which is a fault of ours: {error.args[0]}"
        return WorkerExit(Exit.FAILED, text)
    return _exit(place, type(error), f"Kafka refuses what we write to {name(place)}")


def overdue(place: TopicPartition, seconds: float, answer: object) -> WorkerExit:
    """A record is not acknowledged after so many seconds; ``answer``: what Kafka said meanwhile."""
    if answer is None:
        text = f"the broker has not acknowledged a record for {name(place)} within {seconds:.0f} s"
        return WorkerExit(Exit.BROKER_LOST, f"{text}; look at the broker and the network, a restart tries again")
    return _exit(place, answer, f"Kafka has refused what we write to {name(place)} for {seconds:.0f} s")


def created_anew(place: TopicPartition) -> WorkerExit:
    """The offsets of a partition began again while we wrote to it."""
    text = f"{name(place)} was created anew while this worker wrote to it, or has lost what it had acknowledged"
    return WorkerExit(Exit.TOPICS, f"{text}; see what is wrong with: calmstream topics check")


def _exit(place: TopicPartition, answer: object, what: str) -> WorkerExit:
    code, remedy = _KNOWN.get(answer, _OTHERWISE) if isinstance(answer, type) else _OTHERWISE
    said = getattr(answer, "message", None) or getattr(answer, "__name__", None) or answer
    return WorkerExit(code, f"{what} ({said}): {remedy}")


def name(place: TopicPartition) -> str:
    """For people."""
    return place.topic if place.partition < 0 else f"{place.topic}/{place.partition}"
