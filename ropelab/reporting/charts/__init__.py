"""Figures of reports and commands, drawn with matplotlib and written as PNG, PDF and SVG."""
