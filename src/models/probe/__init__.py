"""Linear probes: logistic regressions on features, each choice made inside the fold."""
