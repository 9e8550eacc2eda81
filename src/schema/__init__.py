"""What a config may say: a competition, its target, its models, a source. No torch, no network, no disk but paths."""
