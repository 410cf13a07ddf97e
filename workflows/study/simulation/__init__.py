"""Simulations: what is simulated, and on which engine."""
