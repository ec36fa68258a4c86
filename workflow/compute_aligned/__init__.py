"""Compute Aligned Training: operators, objectives, trainers, exact metrics and their provenance."""
