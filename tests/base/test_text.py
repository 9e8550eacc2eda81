"""text: tables for the terminal."""

import unicodedata

from src.base import text


def test_columns_are_as_wide_as_their_cells_are_shown():
    accent = unicodedata.normalize("NFD", "bâteau")
    assert text.align([("кошка", "1"), ("青蛙", "2"), (accent, "3")]) == ["кошка   1", "青蛙    2", f"{accent}  3"]


def test_of_many_alternatives_the_first_is_named_and_the_rest_counted():
    assert text.either(["rust"]) == "rust"
    assert text.either(["rust", "scab", "blight"]) == "rust or scab or blight"
    assert text.either([f"class {i}" for i in range(98)]) == "class 0 or one of 97 others"
