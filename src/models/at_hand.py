"""The models that can be made here: where the hub does not answer, those that need no weights of it."""

from collections.abc import Collection

from src.models.probe.judging import judge_of
from src.networks import classifiers, features, hub
from src.results.model import BLEND, read_model
from src.schema.competition import Competition
from src.schema.models import AnyModel
from src.schema.networks import Encoder


def without_hub(competition: Competition) -> Competition:
    """The competition without the models whose weights only the hub has, if it does not answer; each is named.

    A model stays that is finished, or whose features are made: it is reused. Where none is left the competition stays
    as it is, and its first model says what to do.
    """
    needing = [name for name, spec in competition.models.items() if needs_hub(competition, name, spec)]
    if not needing or (reason := hub.why_offline()) is None:
        return competition
    models = {name: spec for name, spec in competition.models.items() if name not in needing}
    while broken := [name for name, spec in models.items() if lacks_others(competition, spec, models)]:
        needing += broken
        models = {name: spec for name, spec in models.items() if name not in broken}
    if not models or (competition.blend.models and not models.keys() & {*competition.blend.models}):
        return competition
    print(f"{reason}: left out, for want of weights from the hub: {', '.join(needing)}; made: {', '.join(models)}")
    return only(competition, models)


def only(competition: Competition, names: Collection[str]) -> Competition:
    """The competition with these models alone, of which the blend has one at least."""
    models = {name: spec for name, spec in competition.models.items() if name in names}
    blended = competition.blend.models and tuple(name for name in competition.blend.models if name in models)
    blend = competition.blend.model_copy(update={"models": blended})
    known = {None, BLEND, *models, *(competition.compared or ())}
    reported = tuple(
        row if row.model in known else row.model_copy(update={"model": None}) for row in competition.reported
    )
    return competition.model_copy(update={"models": models, "blend": blend, "reported": reported})


def needs_hub(competition: Competition, name: str, spec: AnyModel) -> bool:
    """Whether a model is yet to be made of weights that are not here."""
    if read_model(competition.model_folder(name)) is not None:
        return False
    made = [encoder for encoder in spec.encoders if not spec.reads_prompts and has_features(competition, encoder)]
    return any(classifiers.lacks_weights(network) for network in spec.weights_from if network not in made)


def has_features(competition: Competition, encoder: Encoder) -> bool:
    return all(cache.have() for cache in features.feature_caches(competition, encoder))


def lacks_others(competition: Competition, spec: AnyModel, models: Collection[str]) -> bool:
    """Whether a model is made with another one, which is not among `models`."""
    return not {*spec.ingredients} <= {*models} or (spec.needs_judge and judge_of(competition, spec) not in models)
