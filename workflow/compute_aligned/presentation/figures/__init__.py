"""Figures: pure functions from artifacts to matplotlib figures, readable in grey and at column width."""
