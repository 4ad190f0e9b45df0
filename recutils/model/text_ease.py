"""EASE that also counts likeness of texts: one closed form for behaviour and text. Plain EASE stands in `ease`."""

import numpy as np
from scipy import sparse

from recutils.model.content import VectorModel
from recutils.model.ease import EASE


class TextEASE(EASE, VectorModel):
    """EASE whose gram matrix counts a pair of items with like texts as met together by `weight` x likeness more people.

    Likeness is the product of the items' vectors, which are taken as they are given: centred and of length 1 makes it a
    cosine. The closed form is EASE's; texts enter as further rows of the table, by the root of the weight. A text
    alone can therefore bring an item without training events into a list, which plain EASE never does.
    """

    name = "ease with text"

    def __init__(self, *, weight: float = 100.0, reg: float = 500.0) -> None:
        super().__init__(reg=reg)
        self.weight = weight

    def _gram(self, rows: sparse.csr_matrix) -> np.ndarray:
        vectors = self._given(rows.shape[1])
        likeness = vectors @ vectors.T
        likeness = likeness.toarray() if sparse.issparse(likeness) else likeness
        return super()._gram(rows) + self.weight * likeness.astype(np.float64)
