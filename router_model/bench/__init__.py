"""What a decision costs here: time from the request to the ``Decision``, throughput, memory, yardsticks."""
