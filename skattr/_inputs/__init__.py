"""Representations of X: images in memory, image files, 2-D features."""
