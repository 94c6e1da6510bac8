"""The kinds of network that a router can be: one file each, behind the interface in ``encoder``."""
