"""Is the process up, can it serve."""
