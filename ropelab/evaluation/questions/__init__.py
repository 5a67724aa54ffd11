"""Questions about a long text, made by generators alone: retrieval and what needs more than retrieval."""
