"""Measurements: what is applied, and what it does."""
