"""Base models and tokenizers: made, fetched, loaded."""
