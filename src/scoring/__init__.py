"""Numbers from targets and predictions: metrics, decision rules, calibration, label noise, significance."""
