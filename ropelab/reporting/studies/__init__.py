"""Tables of papers, a file each: what was printed, what is claimed, and how ours is read off the records of a sweep."""
