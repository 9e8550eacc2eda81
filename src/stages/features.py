"""features: encodes every train and test image by every encoder that the config names, once for all that use it.

Reads the images. Writes pictures/ (decoded, as far as they fit) and features/<encoder>-<view>/. Prints images per
second, where the time went, and the bottleneck.

Encoders, views, precision and storage: ./run.sh help networks
"""

from src.data.rows import read_dataset
from src.networks import encoders, encoding
from src.schema.competition import Competition


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in competition.encoders:
        encoders.identity(spec)


def run(competition: Competition) -> None:
    encoding.encode_missing(competition, competition.encoders, read_dataset(competition))
