"""Where a competition's files come from, one source a file."""
