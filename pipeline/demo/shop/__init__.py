"""A small shop of six services, a bad deployment of one of them, and the incident that has to name it."""
