"""Speed as a ratio against a peer in the same run; never a test."""
