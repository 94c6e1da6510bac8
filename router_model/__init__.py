"""A learned router for language models."""
