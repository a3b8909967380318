"""One saved state of every released version, so that later versions can be shown to read it or to refuse it by name."""
