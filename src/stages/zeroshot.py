"""zeroshot: compares each image with the classes' prompts. Nothing is trained, so every row is out of fold.

Reads features/<clip>-<view>/; writes models/<model>/.
"""

import time

from scipy.special import softmax

from src import clip, dataset, features, results
from src.config import Competition

CODE = 1


def run(competition: Competition) -> list[str]:
    """Returns the names of the models that were made and not reused."""
    data, made = dataset.read(competition), []
    prompts = competition.prompts
    for name, spec in competition.of_stage("zeroshot").items():
        texts = {label: prompts.texts(label) for label in competition.classes}
        key = results.key(competition, spec, data, CODE, clip=features.identity(spec), prompts=texts)
        if results.reused(competition.model_folder(name), key):
            continue
        start = time.perf_counter()
        model = clip.load(spec)
        classifier = clip.zeroshot_classifier(model, prompts, competition.classes)
        scale = float(model.model.logit_scale.exp())
        oof, test = (
            softmax(scale * (feats @ classifier), axis=1) for feats in features.read_split(competition, spec, data)
        )
        results.save(competition, name, key, data, oof, test, time.perf_counter() - start)
        made.append(name)
    return made
