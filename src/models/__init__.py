"""What is learnt: zero-shot, probes, fine-tuned networks, blends, and the solver of logistic regressions."""
