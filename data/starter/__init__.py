"""The starter corpus's files; see README.md beside them."""
