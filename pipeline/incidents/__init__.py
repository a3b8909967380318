"""Incidents: anomalies that belong together, and their life from opened to resolved."""
