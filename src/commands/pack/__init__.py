"""A notebook that predicts a hidden test set by the finished models, without internet."""
