"""Forests as arrays: grown by scikit-learn, kept as data, and predicted with numpy whatever its version is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier, ExtraTreeRegressor
from torch import Tensor


@dataclass(frozen=True)
class Forest:
    """The nodes of all trees, one tree behind the other; inner nodes have two children, leaves none.

    A leaf holds the shares of few classes or labels, so that these are kept as a sparse matrix.
    """

    roots: np.ndarray  # (trees,) their places among the nodes
    children: np.ndarray  # (nodes, 2) int32: where a picture goes if its feature is at most the threshold, and if not
    feature: np.ndarray  # (nodes,) int32; -1: a leaf
    threshold: np.ndarray  # (nodes,) float32
    shares: csr_matrix  # (nodes, k) float32, of leaves alone

    def predict(self, feats: np.ndarray) -> np.ndarray:
        """Average the trees' shares: (n, d) float32 -> (n, k), scikit-learn's predict_proba, or predict."""
        n, trees = len(feats), len(self.roots)
        leaves = csr_matrix(
            (np.ones(n * trees, np.float32), self.leaves(feats).ravel(), np.arange(n + 1) * trees),
            shape=(n, len(self.feature)),
        )
        return (leaves @ self.shares).toarray() / np.float32(trees)

    def leaves(self, feats: np.ndarray) -> np.ndarray:
        """(n, trees) the leaf that each picture ends in."""
        node = np.tile(self.roots, (len(feats), 1)).ravel()
        row = np.repeat(np.arange(len(feats)), len(self.roots))
        still = np.flatnonzero(self.feature[node] >= 0)
        while still.size:
            at = node[still]
            right = feats[row[still], self.feature[at]] > self.threshold[at]
            node[still] = at = self.children[at, right.astype(np.int64)]
            still = still[self.feature[at] >= 0]
        return node.reshape(len(feats), -1)

    def tensors(self) -> dict[str, Tensor]:
        """The arrays that `from_tensors` reads."""
        arrays = {name: getattr(self, name) for name in ("roots", "children", "feature", "threshold")}
        arrays |= {f"shares.{name}": getattr(self.shares, name) for name in ("data", "indices", "indptr")}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def from_tensors(tensors: dict[str, Tensor], k: int) -> Forest:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    parts = tuple(arrays.pop(f"shares.{name}") for name in ("data", "indices", "indptr"))
    return Forest(**arrays, shares=csr_matrix(parts, shape=(len(arrays["feature"]), k)))


def grow(feats: np.ndarray, targets: np.ndarray, k: int, trees: int, seed: int) -> Forest:
    """Grow extremely randomised trees (Geurts et al. 2006), each on all rows.

    They are as good here as a random forest's and several times faster: at each node a feature has one threshold to
    try. They are grown one by one, since scikit-learn keeps k numbers of each node, and these few of each leaf.

    Args:
        feats: (n, d) float32.
        targets: (n,) class indices below k, of which some may be missing; or shares (n, k) of 0 to 1: by the squared
            error, which of labels is half of Gini's impurity.
    """
    seeds = np.random.default_rng(seed).integers(2**31, size=trees).tolist()
    kind = ExtraTreeClassifier if targets.ndim == 1 else ExtraTreeRegressor
    return joined([arrays(kind(random_state=one).fit(feats, targets), k) for one in seeds])


def arrays(tree: DecisionTreeClassifier | ExtraTreeRegressor, k: int) -> Forest:
    """One tree of scikit-learn's."""
    nodes, is_leaf = tree.tree_, tree.tree_.children_left < 0
    return Forest(
        roots=np.zeros(1, np.int64),
        children=np.stack([nodes.children_left, nodes.children_right], axis=1).astype(np.int32),
        feature=np.where(is_leaf, -1, nodes.feature).astype(np.int32),
        threshold=not_above(nodes.threshold),
        shares=class_shares(tree, is_leaf, k) if isinstance(tree, DecisionTreeClassifier) else means(tree, is_leaf),
    )


def class_shares(tree: DecisionTreeClassifier, is_leaf: np.ndarray, k: int) -> csr_matrix:
    """(nodes, k) float32: each class's share of the rows of a leaf."""
    counts = csr_matrix(tree.tree_.value[:, 0] * is_leaf[:, None])  # or shares, as scikit-learn has them from 1.3 on
    total = np.asarray(counts.sum(axis=1)).ravel()
    leaf = np.repeat(np.arange(len(total)), np.diff(counts.indptr))
    shares = (counts.data / total[leaf]).astype(np.float32)
    return csr_matrix((shares, tree.classes_[counts.indices], counts.indptr), shape=(len(total), k))


def means(tree: ExtraTreeRegressor, is_leaf: np.ndarray) -> csr_matrix:
    """(nodes, k) float32: the means of the rows of a leaf."""
    return csr_matrix(tree.tree_.value[:, :, 0] * is_leaf[:, None], dtype=np.float32)


def joined(trees: Sequence[Forest]) -> Forest:
    """The trees of all, in one forest."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees[:-1])])
    moved = [tree.children + np.int32(start) for tree, start in zip(trees, starts, strict=True)]
    return Forest(
        roots=np.concatenate([tree.roots + start for tree, start in zip(trees, starts, strict=True)]),
        children=np.concatenate(moved),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        shares=vstack([tree.shares for tree in trees], format="csr"),
    )


def not_above(thresholds: np.ndarray) -> np.ndarray:
    """The greatest float32 that is not above each float64: a float32 is below the one if it is below the other."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
