"""The FastAPI service: HTTP in front of the store, and nothing else."""
