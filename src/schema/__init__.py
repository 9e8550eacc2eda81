"""What a config may say: a competition, its target, its models, a source. No torch, no network, no disk but paths.

competition.py has the fields of a competition, settings.py its folds, units and blend, forms.py those of a submission,
models.py the kinds of models with all their fields, each with its default and the source of the default.

A config is checked when it is loaded: a mistyped field, model, stage, augmentation or class is refused with the nearest
valid name, before anything is computed. An example: ./run.sh help config
"""
