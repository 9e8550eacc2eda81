"""What several configs share: baselines, phrasings, lists of class names."""
