"""Scripts for maintainers: measurements of the code, checks of its English, and generators of frozen numbers."""
