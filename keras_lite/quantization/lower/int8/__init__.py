"""Float operators in others that int8 has."""
