"""Single trials."""
