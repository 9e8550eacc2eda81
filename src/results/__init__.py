"""What a run leaves in `submissions/<name>/`: one writer and one reader for each kind of file. No torch at import."""
