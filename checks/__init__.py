"""What proves the package and is no part of it."""
