"""A router at work: labelling prompt logs."""
