"""The worker's own endpoints: what they say, to whom, and over which connections."""
