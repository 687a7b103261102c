"""The small model that ships: its data, training, evaluation and the check of its data by Lean."""
