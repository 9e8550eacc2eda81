"""The batched logistic regression that probe and blend solve with."""
