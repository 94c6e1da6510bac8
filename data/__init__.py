"""Logged traffic: the record, its readers, labels, groups and splits, and the starter corpus."""
