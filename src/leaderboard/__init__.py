"""A submission CSV: checked, sent, scored, and what its score means.

Scores are counts. Accuracy is a count of images over n, and Kaggle truncates it to 5 decimals: the known scores tell
how many rows are public and private (corn: 696 and 2,783), and each score is printed as a count, 580/696 ± 0.0141.

Before a submission is sent, the interval is printed that contains its score 19 times out of 20. A score outside this
interval is flagged.

Commands: check, grade, submit, scores, reproduce (./run.sh help submit)
"""
