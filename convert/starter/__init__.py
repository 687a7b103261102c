"""Makes the small model that ships: its data, training and evaluation."""
