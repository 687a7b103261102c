"""Models: which are installed, and where (docs/models.md)."""
