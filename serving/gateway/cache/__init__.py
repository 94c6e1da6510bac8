"""Answers given without a call: to requests that are equal, and to those that mean the same."""
