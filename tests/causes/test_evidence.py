"""Evidence: what a person reads."""

from pipeline.causes.evidence import duration
from pipeline.causes.residual import rank
from pipeline.causes.vitals import Sign, Vitals
from tests.causes.made import calls, failing, slow


def test_latency_is_told_with_its_usual_its_requests_and_how_much_is_not_explained() -> None:
    shop = Vitals("shop", 60, 1200.0, latency=Sign("http.server.duration", 11.6, 100.0, 0.128, 0.040))
    (told,) = rank([shop, slow("data", 8.0)], calls("shop data"))[0].evidence
    assert told == "latency 3.2 times its usual 40 ms on 1,200 requests; 92 % of it is not explained by what it calls"


def test_failures_are_told_as_a_share_of_requests() -> None:
    (told,) = rank([failing("data", 10.0, requests=200.0)], [])[0].evidence
    assert told == "5 % of requests failed, usually 0.1 % on 200 requests; none of it is explained by what it calls"


def test_who_is_wholly_explained_is_told_so() -> None:
    found = rank([slow("shop", 8.0), slow("data", 8.0)], calls("shop data"))
    assert found[1].evidence[0].endswith("; all of it is explained by what it calls")


def test_the_strongest_comes_first() -> None:
    both = Vitals("shop", 60, 100.0, Sign("latency", 3.5, 1.0, 0.05, 0.04), Sign("errors", 19.0, 50.0, 0.5, 0.0))
    latency, errors = "latency 1.25 times", "50 % of requests failed"
    found = rank([both], [])[0]
    assert found.signal == "errors"
    assert [told[: told.index(" its") if "its usual" in told else len(errors)] for told in found.evidence] == [
        errors,
        latency,
    ]


def test_errors_of_which_nobody_knows_among_how_many_are_told_as_a_count() -> None:
    row = Vitals("shop", 60, float("nan"), errors=Sign("log errors", 40.0, 100.0, 104.0, 4.0))
    assert rank([row], [])[0].evidence == (
        "104 errors in a window, usually 4; none of it is explained by what it calls",
    )


def test_lengths_of_time_are_told_in_the_unit_that_people_use() -> None:
    told = [duration(seconds) for seconds in (90.0, 1.5, 0.04, 0.000045, 2e-9)]
    assert told == ["90 s", "1.5 s", "40 ms", "45 µs", "2 ns"]
