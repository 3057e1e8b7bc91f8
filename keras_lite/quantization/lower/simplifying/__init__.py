"""Fewer operators that compute the same."""
