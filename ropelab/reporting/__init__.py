"""Records on disk → tables, figures, pages. Knows neither jax nor models."""
