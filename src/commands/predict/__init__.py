"""The predictions of models for any picture, and their times."""
