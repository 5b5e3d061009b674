"""Representations of X: images in memory, image files and 2-D features."""
