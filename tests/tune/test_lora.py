"""Adapters on a tiny decoder: they learn, they are kept, a broken training goes on, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recutils.model.plan import Plan
from recutils.tables import Problem
from recutils.tune import lora, scoring
from recutils.tune.decoder import Decoder
from recutils.tune.lora import Adapted, Lora, batch_of, tune
from recutils.tune.prompts import Wording, questions
from recutils.tune.sweep import sweep
from recutils.tune.windows import labels_of

FILMS = "alien brazil casino dogma evita fargo gandhi heat".split()
SAID = Wording(
    begin="not {disliked} liked {liked} {lines}", neutral="liked best", title=", {title}", ask=", {title} ? Answer:",
    pair="best ? A: {first} B: {second} Answer:", yes=" Yes", no=" No", done=" [END] ",
)  # fmt: skip
PLAN = Plan(epochs=6, learning_rate=0.03, clip=1.0)
WIDE = Lora(rank=4, targets=("q_proj", "v_proj", "up_proj", "down_proj"))


@pytest.fixture(scope="module")
def cases(reader, asked):
    """Texts with one ending each, their labels, and other texts with two."""
    single = [part for one in asked[:16] for part in one.apart()]
    read = reader.read(questions(single, FILMS, SAID))
    return read, labels_of(single), reader.read(questions(asked[16:], FILMS, SAID)), labels_of(asked[16:])


def fresh(reader, seed=0, given=WIDE) -> Adapted:
    return Adapted(reader, given, SAID.yes, SAID.no, seed=seed)


def test_a_new_adapter_changes_nothing_and_sees_only_the_places_asked(reader, cases, asked) -> None:
    module = fresh(reader)
    assert module.answers(cases[2]) == pytest.approx(reader.answers(cases[2], SAID.yes, SAID.no), abs=1e-5)
    one, many = batch_of(cases[2], 1), batch_of(cases[2])
    assert len(one[0]) == len(cases[2]) > len(many[0])
    with torch.no_grad():
        assert module(*one).numpy() == pytest.approx(module(*many).numpy(), abs=1e-5)


def test_it_learns_a_planted_taste_and_leaves_the_decoder_alone(reader, cases, asked) -> None:
    before = scoring.yes_no(reader, asked, FILMS, SAID)
    module = fresh(reader)
    history = tune(module, *cases[:2], replace(PLAN, epochs=15))
    scores, labels = module.answers(cases[0]), cases[1]
    assert history.losses[-1] < 0.5 * history.losses[0]
    assert (scores[labels][:, None] > scores[~labels]).mean() > 0.95
    assert module.n_weights < 0.5 * sum(weight.numel() for weight in reader.parts.above.parameters())
    assert np.array_equal(scoring.yes_no(reader, asked, FILMS, SAID), before)


def test_the_bias_is_set_to_the_labels_share(reader, cases) -> None:
    module = fresh(reader)
    labels = np.arange(len(cases[0])) < 24
    tune(module, cases[0], labels, replace(PLAN, epochs=1, learning_rate=1e-9))
    assert module.answers(cases[0]).mean() == pytest.approx(np.log(24 / 8), abs=0.01)


def test_same_seed_same_answers_and_an_interrupted_training_goes_on(reader, cases, tmp_path) -> None:
    whole, again, broken = fresh(reader), fresh(reader), fresh(reader)
    tune(whole, *cases[:2], PLAN, valid=cases[2:])
    tune(again, *cases[:2], PLAN, valid=cases[2:], checkpoint=tmp_path / "whole")
    assert np.array_equal(whole.answers(cases[2]), again.answers(cases[2]))
    tune(broken, *cases[:2], replace(PLAN, epochs=2), valid=cases[2:], checkpoint=tmp_path / "broken")
    resumed = fresh(reader)
    history = tune(resumed, *cases[:2], PLAN, valid=cases[2:], checkpoint=tmp_path / "broken")
    assert len(history.losses) == 6 and np.array_equal(resumed.answers(cases[2]), whole.answers(cases[2]))
    assert not np.array_equal(fresh(reader, 1).adapter[0].detach(), fresh(reader, 0).adapter[0].detach())


def test_a_kept_adapter_answers_alike_and_fits_its_own_decoder_only(
    reader, cases, tmp_path, reader_folder, make_reader
) -> None:
    module = fresh(reader)
    tune(module, *cases[:2], PLAN)
    place = lora.save(module, tmp_path / "adapter")
    assert np.array_equal(lora.load(reader, place).answers(cases[2]), module.answers(cases[2]))
    lora.save(module, place)  # again, over the old one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]
    other = Decoder(make_reader(tmp_path / "other", layers=4), upper=2)
    with pytest.raises(Problem, match="made for model"):
        lora.load(other, place)
    with pytest.raises(Problem, match="made for upper 2; the decoder has 1"):
        lora.load(Decoder(reader_folder, upper=1), place)
    (place / lora.WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(Problem, match="do not fit"):
        lora.load(reader, place)
    with pytest.raises(Problem, match="holds no adapter"):
        lora.load(reader, tmp_path / "nowhere")


def test_dropout_is_on_in_training_only(reader, cases) -> None:
    module = fresh(reader, given=replace(WIDE, dropout=0.5))
    with torch.no_grad():
        for weight in module.adapter:
            weight.fill_(0.1)
    batch = batch_of(cases[0][:4])
    module.train()
    drawn = [module(*batch).detach().numpy() for _ in range(2)]
    module.eval()
    still = [module(*batch).detach().numpy() for _ in range(2)]
    assert not np.array_equal(*drawn) and np.array_equal(*still)


def test_senseless_trainings_are_refused(reader, cases) -> None:
    read, labels, *_ = cases
    for wrong in (np.zeros_like(labels), np.ones_like(labels)):
        with pytest.raises(Problem, match="both kinds"):
            tune(fresh(reader), read, wrong, PLAN)
    with pytest.raises(Problem, match="one ending and one label"):
        tune(fresh(reader), cases[2], cases[3], PLAN)
    with pytest.raises(Problem, match="expected some of"):
        fresh(reader, given=Lora(targets=("nonsense",)))
    with pytest.raises(Problem, match="rank"):
        Lora(rank=0)
    broken = [replace(one, begin=one.begin * float("nan")) for one in read]
    with pytest.raises(Problem, match="step 1 "):
        tune(fresh(reader), broken, labels, PLAN)


def test_a_sweep_trains_each_size_and_start(reader, cases) -> None:
    found = sweep(reader, SAID, *cases[:2], cases[2:], sizes=[4, 99], seeds=2, plan=replace(PLAN, epochs=2), lora=WIDE)
    assert found.sizes == [4, 32] and len(found.table) == 4
    assert found.answers(32, cases[2]).shape == (2, len(cases[3]))
    assert not np.array_equal(found.rows[4, 0], found.rows[4, 1]) and len(found.rows[4, 0]) == 4
    with pytest.raises(Problem, match="sizes"):
        sweep(reader, SAID, *cases[:2], cases[2:], sizes=[], seeds=1, plan=PLAN)
