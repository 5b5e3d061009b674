"""Caches of decoded images and embeddings, in memory and on disk."""
