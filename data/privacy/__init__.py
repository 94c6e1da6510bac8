"""Privacy: what is replaced in a record, what is hashed, and what is deleted from a record set."""
