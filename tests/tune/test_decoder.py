"""A tiny decoder: shared beginnings change nothing, scores are those of the plain model, and what is refused."""

import numpy as np
import pytest
import torch

from recutils.encode.decoder import find_decoder, open_decoder
from recutils.tables import Problem
from recutils.tune import scoring
from recutils.tune.decoder import Decoder, fastest_precision
from recutils.tune.prompts import Wording, examples, next_titles, questions

FILMS = "alien brazil casino dogma evita fargo gandhi heat".split()
SAID = Wording(
    begin="not {disliked} liked {liked} {lines}", neutral="liked best", title=", {title}", ask=", {title} ? Answer:",
    pair="best ? A: {first} B: {second} Answer:", yes=" Yes", no=" No", done=" [END] ",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain(tiny_folder):
    """Log p of every next token by the whole model, one text at a time: (tokens, words)."""
    tokenizer, model = open_decoder(find_decoder(tiny_folder), "fp32", "cpu")

    def logs(text: str) -> tuple[list[int], np.ndarray]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            return ids, model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()

    return tokenizer, logs


def test_yes_or_no_is_what_the_whole_model_says(tiny, plain, asked) -> None:
    tokenizer, logs = plain
    found = scoring.yes_no(tiny, asked, FILMS, SAID)
    yes, no = (tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))
    texts = [begin + ask for begin, asks in questions(asked, FILMS, SAID) for ask in asks]
    wanted = [logs(text)[1][-1][yes] - logs(text)[1][-1][no] for text in texts]
    assert np.std(wanted) > 0.05 and found == pytest.approx(wanted, abs=1e-4)


def test_likelihood_is_what_the_whole_model_says(tiny, plain, asked) -> None:
    _, logs = plain
    found = scoring.likelihoods(tiny, asked[:5], FILMS, SAID)

    def summed(begin: str, ending: str) -> float:
        n = len(logs(begin)[0])
        ids, table = logs(begin + ending)
        return sum(table[place - 1][ids[place]] for place in range(n, len(ids)))

    texts = next_titles(asked[:5], FILMS, SAID)
    assert found.personal == pytest.approx([summed(begin, one) for begin, ones in texts for one in ones], abs=1e-4)
    alone = [summed(SAID.neutral, one) for _, ones in texts for one in ones]
    assert found.neutral == pytest.approx(alone, abs=1e-4)
    assert np.array_equal(found.corrected, found.personal - found.neutral)


def test_company_and_sharing_change_no_score(tiny, asked) -> None:
    together = scoring.yes_no(tiny, asked, FILMS, SAID)
    apart = [scoring.yes_no(tiny, one.apart(), FILMS, SAID) for one in asked]
    assert together == pytest.approx(np.concatenate(apart), abs=1e-5)


def test_a_kept_beginning_gives_the_scores_of_the_whole_text(tiny, asked) -> None:
    solved = examples(asked[:1], FILMS, SAID)
    kept = tiny.begin(solved)
    texts = questions(asked[1:4], FILMS, SAID)
    whole = tiny.answers(tiny.read([(solved + begin, asks) for begin, asks in texts]), " Yes", " No")
    for _ in range(2):  # reading after it leaves it as it was
        found = tiny.answers(tiny.read(texts, kept), " Yes", " No", kept)
        assert found == pytest.approx(whole, abs=1e-5)
    begin, asks = texts[0]
    visit = tiny.begin(begin)
    assert tiny.answers(tiny.read([("", asks)], visit), " Yes", " No", visit) == pytest.approx(
        tiny.answers(tiny.read(texts[:1]), " Yes", " No"), abs=1e-5
    )


@pytest.mark.parametrize("upper", [1, 2])
def test_where_the_model_is_cut_changes_nothing(tiny_folder, asked, upper) -> None:
    found = scoring.yes_no(Decoder(tiny_folder, upper=upper), asked[:3], FILMS, SAID)
    assert found == pytest.approx(scoring.yes_no(Decoder(tiny_folder, upper=2), asked[:3], FILMS, SAID), abs=1e-5)


def test_a_choice_is_asked_in_both_orders(tiny, asked) -> None:
    found = scoring.choices(tiny, asked[:3], FILMS, SAID)
    swapped = [
        one.__class__(one.user, one.history, one.likes, one.candidates[::-1], one.labels[::-1]) for one in asked[:3]
    ]
    assert found.shape == (3, 2) and found[:, ::-1] == pytest.approx(
        scoring.choices(tiny, swapped, FILMS, SAID), abs=1e-5
    )


def test_prices_name_three_ways(tiny, asked) -> None:
    found = scoring.price(tiny, asked[0], FILMS, SAID)
    assert len(found) == 3 and (found["ms for a list"] > 0).all()


def test_what_cannot_be_read_is_refused(tiny, tiny_folder, tmp_path, asked) -> None:
    with pytest.raises(Problem, match="room for 64"):
        tiny.read([("alien " * 60, [" heat" * 5])])
    with pytest.raises(Problem, match="room for 64"):
        tiny.begin("alien " * 65)
    with pytest.raises(Problem, match="at least one candidate"):
        tiny.read([("alien", [])])
    with pytest.raises(Problem, match="empty"):
        tiny.read([("alien", [""])])
    with pytest.raises(Problem, match="same token"):
        tiny.contrast("Yes", "Yes :")
    with pytest.raises(Problem, match=r"upper must lie in 1\.\.2"):
        _ = Decoder(tiny_folder, upper=3).parts
    with pytest.raises(Problem, match="precision"):
        Decoder(tiny_folder, precision="fp16")
    assert fastest_precision() in ("bf16", "fp32")


def test_another_architecture_is_refused(tmp_path, make_tiny) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = make_tiny(tmp_path / "gpt")
    for name in ("model.safetensors", "config.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)
    GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=2, n_positions=32)).save_pretrained(folder)
    with pytest.raises(Problem, match="a Llama is expected; got GPT2LMHeadModel"):
        _ = Decoder(folder).parts
