"""Threads, sorting and warnings, without anything of the domain."""
