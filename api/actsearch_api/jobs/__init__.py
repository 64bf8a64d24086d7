"""Submitting, following and cancelling jobs; their trials and rankings."""
