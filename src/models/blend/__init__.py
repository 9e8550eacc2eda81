"""Blends of models: the best one, mean, weights, greedy selection, a stack.

Fields of Blend in a config:

  models=("a", "b")    the models that are blended; None, the default: all
  method="best"        the best one by the metric
  method="mean"        the mean of their predictions
  method="ranks"       the mean of their ranks, for metrics of the order alone (auc); not of 3 classes or more
  method="weights"     non-negative weights that sum to 1, of the least loss
  method="greedy"      selection with replacement by the metric (Caruana et al. 2004)
  method="stack"       a logistic regression on the models' probabilities, of numbers a ridge, pulled towards the mean;
                       it reads the tables' columns too (columns=(...) of the config)
  method="auto"        the default: of the methods that score no less than best, that of the least loss
  csvs=("input/theirs.csv",)   submissions of labels that vote beside the blend, in a file of their own

The loss is the target's: log loss of a class, the mean of the labels' log losses, the squared error of a number.

Whatever the method, models that are no better than the constant answer are left out, if others are: see pool.py. All
scores are of rows that the fit has not seen: what is left out, and what auto takes, is chosen inside the folds too.
"""
