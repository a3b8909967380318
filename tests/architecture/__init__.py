"""Who may import whom: the table, and the reader that holds the sources against it."""
