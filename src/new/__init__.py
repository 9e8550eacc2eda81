"""What a competition is, told by its files: how ./run.sh new infers a config."""
