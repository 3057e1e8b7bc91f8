"""One short script for each published table and model."""
