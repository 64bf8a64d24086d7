"""The Pareto front of jobs."""
