"""How good models and methods are, side by side."""
