"""Blends of models: mean, weights, greedy selection, a stack."""
