"""Passages: nothing of a text is lost, and a document is as good as its best one."""

import numpy as np
import pytest

from recutils.rank.passages import ByPassage, cut
from recutils.rank.search import Lexical
from recutils.tables import Problem


@pytest.mark.parametrize("words", [1, 3, 7, 100])
def test_nothing_is_lost_and_owners_rise(words: int) -> None:
    documents = [" ".join(f"w{i}x{j}" for j in range(n)) for i, n in enumerate((1, 5, 23, 8))]
    found = cut(documents, words)
    for i, document in enumerate(documents):
        assert " ".join(t for t, o in zip(found.texts, found.owners, strict=True) if o == i) == document
    assert (np.diff(found.owners) >= 0).all() and set(found.owners) == set(range(4))
    assert max(len(text.split()) for text in found.texts) <= words + words * 0.25


@pytest.mark.parametrize(("documents", "words"), [(["a", " "], 3), ([], 3), (["a"], 0)])
def test_bad_input_is_named(documents: list[str], words: int) -> None:
    with pytest.raises(Problem):
        cut(documents, words)


def test_a_document_counts_by_its_best_passage() -> None:
    documents = ["cat dog", "x y z q r s t u needle v w", "bird tree"]
    found = cut(documents, 4)
    index = ByPassage(Lexical(found.texts), found.owners)
    scores = index.scores(["needle", "bird"])
    assert scores.shape == (2, 3) and scores.argmax(1).tolist() == [1, 2]
    assert scores[0, 1] == Lexical(found.texts).scores(["needle"]).max() and scores[0, 0] == 0
    with pytest.raises(Problem, match="owners"):
        ByPassage(Lexical(found.texts), found.owners[:-1]).scores(["cat"])
