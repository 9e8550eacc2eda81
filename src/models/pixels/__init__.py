"""A beginner's baseline: logistic regression and a forest on a few hundred numbers a picture, in seconds.

Of several labels it is a regression of each, and one forest of all; of numbers both learn the share of the span.

It knows no network. What is fine-tuned must beat it, and on small data sets that is no matter of course. A picture is
432 numbers: 8 x 8 pixels, histograms of its colours, and histograms of its gradients' directions. Fields of a Pixels:

  trees=100   in the forest of each fold
  seed=42     of the forest, and of the rows that are drawn

C, and whether the regression, the forest or the mean of both predicts, is chosen inside each fold. At most 15,000 train
rows, drawn at random, are learnt from: so 50,000 rows of 100 classes take about a minute on two cores.
"""
