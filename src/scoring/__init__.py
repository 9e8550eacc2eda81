"""Numbers from targets and predictions: metrics with intervals, decision rules, calibration, label noise, significance.

The `metric` of a config, with the values of scikit-learn and an exact, bootstrapped or jackknifed standard error:

  class    accuracy, micro_f1, balanced_accuracy, macro_f1, quadratic_kappa    the submission holds a label per row
           map3, map5, map10, map12, map20                                     the likeliest labels in their order
           log_loss, brier, auc, weighted_auc, average_precision, pf1, top5    a probability per class, or of one
  labels   accuracy, hamming_loss, micro_f1, macro_f1, sample_f1, and with f2  all labels of the row
           log_loss, auc, average_precision                                    a probability per label
  number   rmse, mse, mae, r2, quadratic_kappa                                 a number

The likeliest answer is the best one by few of the metrics of labels. For the others a rule is fitted on the metric:
see `decisions`. It is cross-fitted: each fold is scored with the rule of the other folds' out-of-fold rows.
"""
