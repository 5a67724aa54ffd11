"""Questions about a long text, all generated: retrieval, tracking and aggregation."""
