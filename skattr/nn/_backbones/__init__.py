"""Backbones for images and features."""
