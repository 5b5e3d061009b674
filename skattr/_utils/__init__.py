"""Threads, sorting, tables and warnings, independent of images and labels."""
