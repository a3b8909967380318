"""Signals and rows: one row for one signal, and never two signals in one."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.records import Kind, Signal
from pipeline.scoring.catalogue import Catalogue, IdCollision

A = Signal(2**64 - 1, "a", "1", Kind.GAUGE, "prod", "service:s", "", ())
B = replace(A, id=7, name="b")
C, D, E = replace(A, id=3, name="c"), replace(A, id=4, name="d"), replace(A, id=5, name="e")
IDS = np.array([A.id, B.id, C.id, D.id], np.uint64)


def test_a_row_that_is_free_serves_the_next_signal_and_the_lowest_one_first() -> None:
    catalogue = Catalogue([A, B, C, D])
    assert catalogue.remove([2, 0]) == [C, A]
    assert (len(catalogue), list(catalogue), catalogue.free().tolist()) == (2, [B, D], [0, 2])
    assert catalogue.rows(IDS).tolist() == [-1, 1, -1, 3]
    assert (catalogue.add(C), catalogue.add(A)) == (0, 2)
    assert catalogue.rows(IDS).tolist() == [2, 1, 0, 3]


def test_a_catalogue_loaded_goes_on_as_the_one_that_was_saved() -> None:
    catalogue, loaded = Catalogue([A, B, C, D]), Catalogue()
    catalogue.remove([1, 2])
    loaded.load(catalogue.signals)
    for each in (catalogue, loaded):
        assert [each.add(signal) for signal in (C, E, B, A)] == [1, 2, 4, 0]
    assert loaded.rows(IDS).tolist() == catalogue.rows(IDS).tolist() == [0, 4, 1, 3]
    with pytest.raises(IdCollision, match="twice"):
        loaded.load([A, B, A])


def test_whoever_listens_hears_of_each_new_signal_once() -> None:
    heard: list[Signal] = []
    catalogue = Catalogue([A])
    catalogue.heard = heard.append
    for signal in (A, B, B, C):
        catalogue.add(signal)
    catalogue.remove([1])
    catalogue.add(B)
    assert heard == [B, C, B]


def test_rows_are_given_in_order_and_kept() -> None:
    catalogue = Catalogue([A])
    assert [catalogue.add(B), catalogue.add(A), catalogue.add(B)] == [1, 0, 1]
    assert (len(catalogue), catalogue.signals) == (2, [A, B])


def test_ids_that_were_never_described_have_no_row() -> None:
    catalogue = Catalogue([A, B])
    assert catalogue.rows(np.array([7, 8, 2**64 - 1, 7], np.uint64)).tolist() == [1, -1, 0, 1]
    assert catalogue.rows(np.empty(0, np.uint64)).size == 0


def test_two_signals_with_one_id_are_refused() -> None:
    catalogue = Catalogue([A])
    with pytest.raises(IdCollision, match="have the same id"):
        catalogue.add(replace(B, id=A.id))
    assert catalogue.signals == [A]


def test_thousands_of_signals_that_come_in_turns_are_all_found() -> None:
    dice = np.random.default_rng(0)
    ids = np.unique(dice.integers(0, 2**64, 6_000, np.uint64))
    dice.shuffle(ids)
    catalogue = Catalogue()
    for known in (500, 1_600, 4_000, 4_100, ids.size):
        for number in ids[len(catalogue) : known].tolist():
            catalogue.add(replace(A, id=number))
        found = catalogue.rows(ids)
        assert found[:known].tolist() == list(range(known))
        assert (found[known:] == -1).all()
