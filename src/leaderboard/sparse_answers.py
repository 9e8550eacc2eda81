"""What a submission says of many classes, by the pictures' ids."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from src.scoring.sparse import SparseTable


@dataclass(frozen=True)
class SparseAnswers:
    """What a submission says of many classes, asked as the DataFrame would be that has a column a class."""

    index: pd.Index  # the ids of the pictures
    table: SparseTable

    def __len__(self) -> int:
        return len(self.index)

    def to_numpy(self) -> SparseTable:
        return self.table

    @property
    def loc(self) -> "SparseAnswers":
        return self

    def __getitem__(self, ids: Sequence[str] | pd.Index) -> "SparseAnswers":
        return SparseAnswers(pd.Index(ids), self.table[self.index.get_indexer(ids)])

    def equals(self, other: "SparseAnswers") -> bool:
        own, their = self.table, other.table
        return self.index.equals(other.index) and not (own.above != their.above).nnz and (own.rest == their.rest).all()
