"""What a config may say: a competition, its target, its models, a source. No torch, no network, no disk but paths.

competition.py has the fields of a competition, its folds, blend, reported scores and notebook limits. models.py has the
fields of zero-shot, probes, fine-tuning and soups, each with its default and the source of the default.

A config is checked when it is loaded: a mistyped field, model, stage, augmentation or class is refused with the nearest
valid name, before anything is computed. An example: ./run.sh help config
"""
