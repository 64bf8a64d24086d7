"""Proposing trials: samplers, pruners, warm start, the baseline's turns."""
