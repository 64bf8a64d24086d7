"""Results across jobs."""
