"""Labelling prompt logs: which tier each prompt needs, and what it would cost."""
