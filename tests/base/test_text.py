"""text: tables for the terminal."""

import unicodedata

from src.base import text


def test_columns_are_as_wide_as_their_cells_are_shown():
    accent = unicodedata.normalize("NFD", "bâteau")
    assert text.align([("кошка", "1"), ("青蛙", "2"), (accent, "3")]) == ["кошка   1", "青蛙    2", f"{accent}  3"]
