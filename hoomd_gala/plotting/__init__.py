"""Figures, and the projections that they show."""
