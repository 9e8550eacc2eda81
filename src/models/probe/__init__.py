"""Linear probes: regressions on features, each choice made inside the fold.

This is scikit-learn's logistic regression, solved for all values of C and all folds at once; of several labels that of
each, with a C of its own; of a number ridge regression, where C is 1 / alpha, within the span. Inside each fold's
training rows the probe chooses C, from a grid that is widened while the best value is at its edge, and whether features
are scaled to unit length. Columns of the tables (columns=(...) of the config) stand beside the features. Fields of a
Probe, beside those of an encoder (./run.sh help networks):

  cs=(0.01, ..., 1000.0)     the grid of C; widen=False keeps to it
  normalise=(True, False)    what is tried: unit vectors, features as they are
  class_weight="balanced"    rare classes count as much as common ones; of several labels, having one as not having it
  number="share"             of a number: logistic regression of its share of the span, instead of ridge
  columns_scale=1.0          what the tables' columns are multiplied by, scaled to a standard deviation of 1
  views_as="rows"            each view of a picture is a training row; by default their mean is one
  beside=(Encoder(...),)     features of more encoders, concatenated, each multiplied by its `scale`
  towards="zeroshot"         the penalty pulls towards the zero-shot classifier instead of zero
  label_noise="drop"         training rows with doubtful labels are left out (./run.sh help audit)
  solver="scikit-learn"      scikit-learn's own solver; tol=1e-6 bounds the gradient of either

Speed and accuracy beside scikit-learn: ./run.sh help bench
"""
