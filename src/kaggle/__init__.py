"""Kaggle's API as functions, its refusals as sentences. Knows no competition of ours."""
