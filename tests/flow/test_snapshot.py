"""Snapshots whose blocks are made when somebody looks."""

from pipeline.records import LaterBlocks, Snapshot


def test_a_block_is_made_when_it_is_looked_at_and_kept_where_told() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return b"block %d" % len(made)

    blocks = LaterBlocks({"rows": lambda: make("rows"), "more": lambda: make("more")})
    snapshot = Snapshot("v/1", 7, b"", blocks, (), full=True)
    assert (list(snapshot.blocks), len(snapshot.blocks), made) == (["rows", "more"], 2, [])
    assert [snapshot.blocks["more"], snapshot.blocks["more"]] == [b"block 1", b"block 2"]
    kept = snapshot.keep()
    assert made == ["more", "more", "rows", "more"]
    assert dict(kept.blocks) == {"rows": b"block 3", "more": b"block 4"}
    assert kept.offset == 7
