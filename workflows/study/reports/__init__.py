"""Figures, Markdown tables and summaries of results."""
