"""Checking requests: what is searched, on what, and judged by what, before anything is trained."""
