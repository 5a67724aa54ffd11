"""Text → tokens to train and measure on."""
