"""Numbers from targets and predictions: metrics with intervals, decision rules, calibration, label noise, significance.

The `metric` of a config, with the values of scikit-learn and an exact or bootstrapped standard error:

  accuracy, balanced_accuracy, macro_f1, quadratic_kappa   the submission holds a label per row
  log_loss, auc, top5                                      the submission holds a probability per class

The likeliest class is the best label for accuracy alone. For the other three metrics of labels, a bias per class
is added to the log probabilities. It is cross-fitted: each fold is scored with the bias fitted on the other folds'
out-of-fold rows.
"""
