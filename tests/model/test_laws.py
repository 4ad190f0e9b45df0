"""Laws that every model obeys. A new model is added to MODELS and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recutils.model.als import ALS, BPR
from recutils.model.base import Model, RatingModel
from recutils.model.baselines import Popularity, Random, RecentPopularity
from recutils.model.cold import TextMap, TextMixture
from recutils.model.content import ContentProfile, TextToFactors, VectorModel
from recutils.model.counts import CountsALS
from recutils.model.debias import ContrastiveProfile, DividedALS, WeightedALS
from recutils.model.ease import EASE, UserEASE, WideEASE
from recutils.model.lightgcn import LightGCN
from recutils.model.neighbours import ItemNeighbours, UserNeighbours
from recutils.model.network import Network, RankingNetwork
from recutils.model.ratings import CoClustering, SlopeOne
from recutils.model.sar import SAR
from recutils.model.sasrec import SASRec, TextSASRec
from recutils.model.semantic import AttentionProfile, SemanticFactors, SemanticFusion
from recutils.model.sequence import Markov
from recutils.model.slim import SLIM
from recutils.model.spectral import GraphFilter
from recutils.model.stream_ease import StreamEASE
from recutils.model.svd import NMF, SVD, Baseline, NormalRating, SVDPlus
from recutils.model.text_ease import TextEASE
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem

MODELS = [
    TextEASE,
    Random,
    Popularity,
    RecentPopularity,
    Baseline,
    SVD,
    NMF,
    NormalRating,
    ALS,
    BPR,
    ItemNeighbours,
    UserNeighbours,
    EASE,
    StreamEASE,
    UserEASE,
    WideEASE,
    CountsALS,
    SAR,
    ContentProfile,
    TextToFactors,
    TextMap,
    TextMixture,
    Markov,
    SASRec,
    TextSASRec,
    Network,
    RankingNetwork,
    LightGCN,
    AttentionProfile,
    SemanticFactors,
    SemanticFusion,
    SVDPlus,
    SlopeOne,
    CoClustering,
    SLIM,
    GraphFilter,
    WeightedALS,
    DividedALS,
    ContrastiveProfile,
]
RATING_MODELS = [model for model in MODELS if issubclass(model, RatingModel)]
each_model = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.name)
each_rating_model = pytest.mark.parametrize("make", RATING_MODELS, ids=lambda make: make.name)


def new(make: type[Model], n_items: int = 30) -> Model:
    """A model with its defaults, ready for fit: those that learn from vectors are given planted ones."""
    model = make()
    if isinstance(model, VectorModel):
        model.with_vectors(np.random.default_rng(8).normal(size=(n_items, 6)))
    return model


def test_no_model_is_forgotten() -> None:
    """But those of optional engines, which come with tests of their own: tests/deploy/test_spark.py."""

    def concrete(parent: type[Model]) -> set[type[Model]]:
        children = {child for below in parent.__subclasses__() for child in {below} | concrete(below)}
        return {child for child in children if child.__module__.startswith("recutils") and hasattr(child, "name")}

    optional = {model for model in concrete(Model) if model.__module__.startswith("recutils.deploy.")}
    assert concrete(Model) - optional == set(MODELS)
    assert len({make.name for make in MODELS}) == len(MODELS)


@each_model
def test_refit_gives_the_same_scores(make: type[Model], ratings: Interactions) -> None:
    first, second = new(make).fit(ratings), new(make).fit(ratings)
    assert np.array_equal(first.score(ratings.matrix()), second.score(ratings.matrix()))


@each_model
def test_scores_are_finite_float32_even_for_strangers(make: type[Model], ratings: Interactions) -> None:
    histories = sparse.vstack([ratings.matrix()[:3], sparse.csr_matrix((2, ratings.n_items))], format="csr")
    scores = new(make).fit(ratings).score(histories)
    assert scores.shape == (5, ratings.n_items) and scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert np.array_equal(scores[3], scores[4])


@each_model
def test_who_does_not_serve_strangers_gives_them_popularity(make: type[Model], ratings: Interactions) -> None:
    model = new(make).fit(ratings)
    counts = np.bincount(ratings.item, minlength=ratings.n_items)
    assert np.array_equal(model.popular, counts)
    if not make.serves_strangers:
        assert np.array_equal(model.score(sparse.csr_matrix((1, ratings.n_items)))[0], counts)


@each_model
def test_one_user_and_one_item(make: type[Model], ratings: Interactions) -> None:
    rows = ratings.rows.iloc[:1].assign(user=0, item=0)
    train = Interactions(rows, 1, 1)
    assert new(make, 1).fit(train).score(train.matrix()).shape == (1, 1)
    alone = Interactions(ratings.rows[ratings.user == 0], ratings.n_users, ratings.n_items)
    assert np.isfinite(new(make).fit(alone).score(ratings.matrix())).all()


@each_model
def test_permuting_users_permutes_rows(make: type[Model], ratings: Interactions) -> None:
    model, histories = new(make).fit(ratings), ratings.matrix()
    order = np.random.default_rng(3).permutation(ratings.n_users)
    np.testing.assert_allclose(model.score(histories[order]), model.score(histories)[order], rtol=1e-6, atol=1e-6)


@each_model
def test_a_known_user_and_the_same_list_of_items_are_one_call(make: type[Model], ratings: Interactions) -> None:
    model, history = new(make).fit(ratings), ratings.matrix()[5]
    anonymous = sparse.csr_matrix((history.data, (np.zeros(history.nnz, dtype=int), history.indices)), history.shape)
    assert np.array_equal(model.score(history), model.score(anonymous))


@each_model
def test_fit_and_score_change_nothing_they_were_given(make: type[Model], ratings: Interactions) -> None:
    before, histories = ratings.rows.copy(), ratings.matrix()
    values = histories.copy()
    new(make).fit(ratings).score(histories)
    assert before.equals(ratings.rows)
    assert (histories != values).nnz == 0 and histories.nnz == values.nnz


@each_model
def test_saving_and_loading_changes_nothing(make: type[Model], ratings: Interactions, tmp_path: Path) -> None:
    model = new(make).fit(ratings)
    model.save(tmp_path / "bundle")
    saved = (tmp_path / "bundle/arrays.safetensors").stat().st_size / 1e6
    assert 0 < model.size_mb() <= saved <= model.size_mb() + 0.002, "the size is that of the file without its head"
    loaded = make.load(model.save(tmp_path / "bundle"))
    assert loaded.parameters() == model.parameters()
    histories = sparse.vstack([ratings.matrix(), sparse.csr_matrix((1, ratings.n_items))], format="csr")
    assert np.array_equal(loaded.score(histories), model.score(histories))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


@each_model
def test_misuse_is_named(make: type[Model], ratings: Interactions, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="before it was fitted"):
        new(make).score(ratings.matrix())
    with pytest.raises(Problem, match="before it was fitted"):
        new(make).save(tmp_path / "bundle")
    with pytest.raises(Problem, match="empty training part"):
        new(make).fit(ratings.only(np.zeros(len(ratings), dtype=bool)))
    with pytest.raises(Problem, match="histories have 31 items"):
        new(make).fit(ratings).score(sparse.csr_matrix((1, 31)))


@each_model
def test_constant_ratings_and_items_nobody_met(make: type[Model], ratings: Interactions) -> None:
    rows = ratings.rows[ratings.item < 20].assign(value=3.0)
    model = new(make).fit(Interactions(rows, ratings.n_users, ratings.n_items))
    assert np.isfinite(model.score(ratings.matrix())).all()
    lists = recommend(model, ratings.matrix(), 5)
    assert (lists >= 0).all()


@each_rating_model
def test_predictions_are_finite_and_on_the_scale(make: type[RatingModel], ratings: Interactions) -> None:
    model = new(make).fit(ratings.only((ratings.user > 0) & (ratings.item > 0)))
    users, items = np.divmod(np.arange(ratings.n_users * ratings.n_items), ratings.n_items)
    predicted = model.predict(users, items)
    assert predicted.shape == (ratings.n_users * ratings.n_items,)
    assert predicted.min() >= 1 and predicted.max() <= 5


def test_another_models_folder_is_refused(ratings: Interactions, tmp_path: Path) -> None:
    folder = Popularity().fit(ratings).save(tmp_path / "bundle")
    with pytest.raises(Problem, match="expected 'svd'"):
        SVD.load(folder)
