"""Nearest neighbours: a row's prediction is the vote of the training rows whose features are most alike.

Where classes are many and have few rows each, as individuals of whales or hotels, a logistic regression has more
weights than it can learn; neighbours learn nothing but three numbers. Fields of Neighbours, beside those of an encoder
(./run.sh help networks):

  ks=(1, 3, 5, 10, 20, 50)             how many neighbours vote; chosen inside each fold by the least loss
  widths=(0.02, 0.05, 0.1, 0.2, 0.5)   how fast a vote falls with the difference in cosine similarity to the nearest one
  priors=(0.01, 0.1, 1.0)              the votes, beside that of the nearest, of the shares of the classes at large

Votes are of features of length 1, the mean of the encoder's views.
"""
