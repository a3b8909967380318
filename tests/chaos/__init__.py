"""Whatever happens to workers, to their broker and to the input: the same incidents, and memory that stays flat."""
