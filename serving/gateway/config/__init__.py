"""The gateway's file: the whole, and its sections."""
