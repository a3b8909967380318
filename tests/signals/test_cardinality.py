"""The guard against too many signals: what is counted together, and that room comes back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Kind, Signal
from pipeline.signals.cardinality import Cardinality

ONE = Signal(1, "views", "1", Kind.GAUGE, "prod", "service:shop", "pod1", (("user.id", "1"),))
signals = st.builds(
    replace,
    st.just(ONE),
    name=st.sampled_from(["views", "sales"]),
    workload=st.sampled_from(["service:shop", "service:cart"]),
    scope=st.sampled_from(["prod", "test"]),
    instance=st.sampled_from(["pod1", "pod2"]),
)


def source(signal: Signal) -> tuple[str, str]:
    return signal.scope, signal.workload


@given(st.lists(signals, max_size=40), st.data())
def test_there_are_too_many_when_as_many_are_known_as_may_be(known: list[Signal], data: st.DataObject) -> None:
    guard = Cardinality(per_metric=3, per_workload=5)
    for signal in known:
        guard.add(signal)
    gone = data.draw(st.lists(st.sampled_from(range(len(known))), unique=True)) if known else []
    guard.remove(known[each] for each in gone)
    left = [signal for number, signal in enumerate(known) if number not in gone]
    new = data.draw(signals)
    of_workload = [signal for signal in left if source(signal) == source(new)]
    of_metric = [signal for signal in of_workload if signal.name == new.name]
    said = guard.excess(new)
    assert bool(said) == (len(of_metric) >= 3 or len(of_workload) >= 5)
    assert (f"of the metric {new.name}" in said) == (len(of_metric) >= 3)
