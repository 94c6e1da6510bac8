"""Conversations: which one a request goes on with, what is known of it, and where that is kept."""
