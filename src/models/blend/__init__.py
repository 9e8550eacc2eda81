"""Blends of models: mean, weights, greedy selection, a stack.

Fields of Blend in a config:

  models=("a", "b")    the models that are blended; None, the default: all
  method="mean"        the mean of their probabilities
  method="weights"     non-negative weights that sum to 1, of the least log loss
  method="greedy"      selection with replacement by the metric (Caruana et al. 2004)
  method="stack"       a logistic regression on the models' probabilities, pulled towards the mean
  method="auto"        the default: the simplest method within one standard error of the best
  csvs=("input/theirs.csv",)   submissions of labels that vote beside the blend, in a file of their own

Every score is computed on rows that the fit has not seen, and the choice that auto makes is nested in the folds too.
"""
