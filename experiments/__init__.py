"""Launchers of the commands in ropelab.cli, and the papers' experiments; not installed."""
