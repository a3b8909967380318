"""Incidents → somebody else's protocol: one file per destination, and what is to be told when (``deliveries``)."""
