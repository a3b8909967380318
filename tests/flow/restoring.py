"""A story through chains of which the score chain is replaced again and again by one restored from its checkpoints."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from pipeline.records import Snapshot


class Restorable(Protocol):
    """Chains with a score chain that another one can take over."""

    score: ScoreChain

    def take_over(self, score: ScoreChain, offset: int) -> None: ...


def tell_with_restores(
    chains: Restorable,
    config: FlowConfig,
    step: Callable[[int], None],
    steps: int,
    every: int,
    after: int,
) -> None:
    """Take each ``step``; save after every so many, and go on from these checkpoints as soon as they cover
    ``after`` steps. Fails where that was too seldom to mean anything."""
    saved: list[Snapshot] = []
    restores = 0
    for number in range(steps):
        step(number)
        if number % every == every - 1:
            saved.append(chains.score.snapshot(full=not saved).keep())
            chains.score.saved()
        if len(saved) * every >= after:
            restored = ScoreChain(0, config)
            restored.restore(_merged(saved))
            chains.take_over(restored, saved[-1].offset)
            restores += 1
            saved = []
    assert restores >= 4


def _merged(saved: list[Snapshot]) -> Snapshot:
    """The newest of some checkpoints, with the parts that older ones hold."""
    blocks = {name: block for snapshot in saved for name, block in snapshot.blocks.items()}
    newest = saved[-1]
    return replace(newest, blocks={name: blocks[name] for name in newest.names})
