"""Command lines: flags in, library calls, records out."""
