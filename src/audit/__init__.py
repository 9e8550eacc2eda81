"""What is doubtful in the data: near-duplicates, outliers."""
