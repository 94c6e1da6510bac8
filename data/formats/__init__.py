"""Log formats, one file each: how a row is told, and the record rows that it becomes."""
