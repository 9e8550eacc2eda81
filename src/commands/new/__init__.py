"""A config for a competition, or for a folder of pictures, written by looking at its files."""
