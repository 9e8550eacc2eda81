"""features: encodes every train and test image by every encoder that the config names, once for all that use it.

Reads the images; writes pictures/ (decoded, where they fit) and features/<encoder>-<view>/.
"""

from src.data.rows import read_dataset
from src.networks import encoders, features
from src.schema.competition import Competition


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in competition.encoders:
        encoders.identity(spec)


def run(competition: Competition) -> None:
    features.encode_missing(competition, competition.encoders, read_dataset(competition))
