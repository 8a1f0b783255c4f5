"""``CategoryEmbedding``: vectors in place of the columns of a table that hold codes, the other columns as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.embedding import Embedding
from chainrule.nn.layers import need_count, need_features
from chainrule.nn.module import Module, fresh_seed
from chainrule.nn.places import need_places, others, over_rows, pick
from chainrule.tensor import Tensor


class CategoryEmbedding(Module):
    """Embed columns of codes, pass on the others: [rows, in_features] -> [rows, out_features].

    ``counts`` maps the place of each column of codes to its number of levels: {8: 12, 9: 300}. The output is the other
    features in their order, then the vectors in the order of ``counts``, each an :class:`Embedding`. ``size`` is that
    of all vectors, or a mapping from place to size; None takes fastai's rule 1.6 count^0.56, rounded, with 16 as the
    largest. Weight decay and penalties apply to the vectors unless ``penalised=False``.

    Codes are whole numbers among the floats of the matrix. Those below 0 or above count - 1 get the mean of the
    column's vectors (``unseen="mean"``), or raise IndexOutOfRangeError (``unseen="error"``), as fractions always do.

    Raises SettingError for places that do not exist and for counts below 1, ShapeError for an input with another
    number of features.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> x = np.array([[0.5, 2.0, 11.0], [1.5, 0.0, 299.0]], np.float32)  # a number, and two columns of codes
    >>> categories = nn.CategoryEmbedding({1: 3, 2: 300}, size={1: 2, 2: 4}, in_features=3, seed=0)
    >>> categories(x).shape, categories.out_features
    ((2, 7), 7)
    >>> numbers = nn.NumberEmbedding(1, in_features=categories.out_features, seed=0)
    >>> model = nn.Sequential(categories, numbers, nn.MLP([numbers.out_features, 16, 1], seed=0))
    >>> model(x).shape
    (2, 1)
    """

    def __init__(
        self,
        counts: Mapping[int, int],
        size: int | Mapping[int, int] | None = None,
        *,
        in_features: int | None = None,
        unseen: str = "mean",
        penalised: bool = True,
        seed: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not isinstance(counts, Mapping):
            raise SettingError(
                "CategoryEmbedding: counts must map places to numbers of levels",
                expected="a dict such as {8: 12, 9: 300}",
                got=quoted(counts),
            )
        self.places, self.in_features = need_places("CategoryEmbedding", list(counts), in_features)
        sizes = {place: _size(place, counts[place], size) for place in self.places}
        self.embeddings = {
            place: Embedding(
                counts[place], sizes[place], unseen=unseen, penalised=penalised, seed=0, dtype=dtype
            )
            for place in self.places
        }
        self.unseen = unseen
        self.out_features = self.in_features - len(self.places) + sum(sizes.values())
        self.initialise(fresh_seed() if seed is None else seed)  # gives each embedding a key of its own

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        need_features(self, x, self.in_features)
        return over_rows(self._embed, x)

    def _embed(self, x: Tensor) -> Tensor:
        vectors = [embedding.forward(x[:, place]) for place, embedding in self.embeddings.items()]
        rest = others(self.places, self.in_features)
        return f.concat([pick(x, rest), *vectors] if rest else vectors, 1)


def _size(place: int, count: object, size: int | Mapping[int, int] | None) -> int:
    levels = need_count(f"CategoryEmbedding: the count of column {place}", count)
    given = size.get(place) if isinstance(size, Mapping) else size
    if size is None:
        given = max(1, min(16, round(1.6 * levels**0.56)))
    return need_count(f"CategoryEmbedding: the size of column {place}", given)
