"""The prior that ships is that of synthetic signals."""

import pytest

from detectors import TotalsPrior
from tests.detectors.prior import prior_of, totals


def test_the_shipped_prior_is_what_synthetic_signals_give() -> None:
    made, shipped = prior_of(totals(60, signals=90, windows=3000)), TotalsPrior()
    assert made.threshold == pytest.approx(shipped.threshold, rel=0.2)
    assert made.excess == pytest.approx(shipped.excess, rel=0.25)
