"""Flow: one pure chain per role: messages and progress in, records and counts out.

A chain owns the state of one shard (one input partition). It never reads a clock and never talks to anybody:
``streams`` and ``replay`` run the same chains.
"""
