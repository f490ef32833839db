"""Telemetry of a server: counters, comparison of versions, drift."""
