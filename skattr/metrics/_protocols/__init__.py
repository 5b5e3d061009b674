"""Evaluation protocols of attribute papers, as defined by their official code."""
