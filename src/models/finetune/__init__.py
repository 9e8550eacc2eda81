"""Networks fine-tuned over folds: the training loop, its checkpoints, averages of weights."""
