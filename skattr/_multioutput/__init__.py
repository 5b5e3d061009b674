"""Predictions of any multi-output classifier."""
