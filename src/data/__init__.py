"""What goes in: tables, rows, folds, pictures. `sources/`: where the files come from, one source a file."""
