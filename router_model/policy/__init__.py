"""What turns probabilities and prices into a tier."""
