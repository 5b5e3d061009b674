"""Threads, sorting and warnings, independent of images and labels."""
