"""Judging what was found: the statistics of confirmation, the verdict, importances."""
