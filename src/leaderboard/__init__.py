"""A submission CSV: checked, sent, scored, and what its score means."""
