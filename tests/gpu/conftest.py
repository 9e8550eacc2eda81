"""What tests on a pretended GPU have in common."""

import pytest

from src.data import geometry


@pytest.fixture(autouse=True)
def no_constants_of_a_gpu_that_is_gone():
    yield
    geometry.of_channels.cache_clear()
