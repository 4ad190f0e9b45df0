"""Items nobody has rated, ml-1m: what a map from text to ALS factors reaches, beside random and true popularity.

Run: PYTHONPATH=. python benchmarks/cold_items_ml1m.py [--minilm]

One fifth of the rated items is cold: default_rng(0).random(3706) < .2 over the items in order of first appearance. ALS
learns the other events (64 factors, reg .05, alpha 10, 15 iterations, seed 0; confidence is 10 for every event). Users
with a warm history and at least one cold event are judged; candidates are the cold items, every event is relevant, nDCG
at 10. No claim rests on these figures: penalties are chosen on the same items.
"""

import sys

import numpy as np
from scipy import sparse

from recutils.data.load import load
from recutils.encode import encode_cached, texts_of
from recutils.encode.encoder import Encoder
from recutils.encode.tfidf import tfidf
from recutils.evaluate.metrics import ndcg
from recutils.model.baselines import Random
from recutils.model.content import ContentProfile, TextToFactors
from recutils.rank.top import Scorer, recommend
from recutils.tables import Dataset, Interactions

K = 10


class Oracle:
    """Every item by its number of cold events: what a list without personal taste could reach at most."""

    def __init__(self, truth: sparse.csr_matrix) -> None:
        self.counts = np.asarray(truth.sum(axis=0)).ravel().astype(np.float32)

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """The same scores for everybody."""
        return np.tile(self.counts, (histories.shape[0], 1))


def cold_rows(interactions: Interactions) -> np.ndarray:
    """Rows of the cold items."""
    items = interactions.item.unique()  # in order of first appearance
    return items[np.random.default_rng(0).random(len(items)) < 0.2]


def vectors_of(dataset: Dataset, minilm: bool) -> dict[str, np.ndarray | sparse.csr_matrix]:
    """Item vectors by name: genres as 0 and 1 of length 1; TF-IDF and MiniLM of "Title (Year). Genres: A, B"."""
    texts = texts_of(dataset, "title+genres+year")
    genres = dataset.items.genres.fillna("").str.get_dummies(sep=", ").to_numpy(dtype=np.float32)
    found = {"genres": genres / np.maximum(np.linalg.norm(genres, axis=1, keepdims=True), 1)}
    found |= {"TF-IDF": tfidf(texts), "TF-IDF, words of two or more items": tfidf(texts, min_count=2)}
    return found | ({"MiniLM": encode_cached(Encoder("minilm"), texts).vectors} if minilm else {})


def score(model: Scorer, histories: sparse.csr_matrix, truth: sparse.csr_matrix, cold: np.ndarray) -> float:
    """Mean nDCG@10 over the cold items."""
    return float(np.nanmean(ndcg(recommend(model, histories, K, candidates=cold), truth, K)))


def main() -> None:
    """Print one line for each model and penalty."""
    dataset = load("ml-1m")
    cold = cold_rows(dataset.interactions)
    is_cold = np.isin(dataset.interactions.item, cold)
    train, truth = dataset.interactions.only(~is_cold), dataset.interactions.only(is_cold).matrix("binary")
    histories = train.matrix()
    users = np.flatnonzero((np.diff(truth.indptr) > 0) & (np.diff(histories.indptr) > 0))
    judged = (histories[users], truth[users], cold)
    print(f"{len(cold)} cold items, {len(users):,} users, {truth[users].nnz:,} cold events")
    print(f"{score(Random().fit(train), *judged):.3f}  random")
    print(f"{score(Oracle(truth), *judged):.3f}  by their true popularity (an oracle)")
    for name, given in vectors_of(dataset, "--minilm" in sys.argv).items():
        profile = ContentProfile().with_vectors(given).fit(train)
        print(f"{score(profile, *judged):.3f}  {name}: profile")
        for reg in (0.1, 1.0, 10.0):
            model = TextToFactors(reg_text=reg).with_vectors(given).fit(train)
            print(f"{score(model, *judged):.3f}  {name}: ridge to factors, penalty {reg:g}", flush=True)


if __name__ == "__main__":
    main()
