"""Writing with a tiny decoder: batches, what is kept on disk, and what is refused."""

import json
from pathlib import Path

import pytest

from recutils.encode.decoder import converted, find_decoder
from recutils.encode.generate import Writer, write_cached
from recutils.tables import Problem

WORDS = "[PAD] [UNK] [END] star wars toy story the a of and fish cat dog house car red blue".split()
PROMPTS = ["the red cat", "a blue dog of the house and the car", "", "the red cat", "toy story"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A Llama of one layer and 16 numbers with random weights, saved as its publisher would."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("decoder") / "model"
    state = torch.get_rng_state()
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ends = {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size, **ends)).save_pretrained(
        folder
    )
    torch.set_rng_state(state)
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", eos_token="[END]", unk_token="[UNK]"
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def writer(made: Path) -> Writer:
    return Writer(made, most_tokens=5, batch=2)


def test_padding_on_the_left_changes_no_answer(writer: Writer, made: Path) -> None:
    alone = [writer.answer([prompt])[0][0] for prompt in (PROMPTS[0], PROMPTS[1])]
    assert writer.answer([PROMPTS[0], PROMPTS[1]])[0] == alone
    assert all(1 <= len(text.split()) <= 5 for text in alone)


def test_answers_are_kept_and_a_second_call_makes_none(writer: Writer, made: Path, tmp_path: Path) -> None:
    told = []
    first = write_cached(writer, PROMPTS, root=tmp_path, progress=lambda *seen: told.append(seen[:2]))
    assert first.made == 3 and told == [(2, 3), (3, 3)] and first.tokens > 0
    assert first.texts[2] == "" and first.texts[0] == first.texts[3] != ""
    again = write_cached(Writer(made, most_tokens=5, batch=2), PROMPTS, root=tmp_path)
    assert again.texts == first.texts and (again.made, again.tokens, again.damaged) == (0, 0, 0)


def test_a_broken_run_goes_on_and_gives_the_same(writer: Writer, tmp_path: Path) -> None:
    whole = write_cached(writer, PROMPTS, root=tmp_path / "whole").texts

    def stop(done: int, total: int, left: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cached(writer, PROMPTS, root=tmp_path / "broken", progress=stop)
    rest = write_cached(writer, PROMPTS, root=tmp_path / "broken")
    assert rest.texts == whole and rest.made == 1, "the finished batch is not made again"


def test_damaged_lines_are_found_and_made_again(writer: Writer, tmp_path: Path) -> None:
    whole = write_cached(writer, PROMPTS, root=tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_text().splitlines()
    changed = json.loads(lines[0]) | {"text": "something else"}
    path.write_text("\n".join([json.dumps(changed), lines[1][:20], *lines[2:]]) + "\n")
    again = write_cached(writer, PROMPTS, root=tmp_path)
    assert again.texts == whole.texts and again.damaged == 2


def test_other_options_do_not_share_answers(made: Path, tmp_path: Path) -> None:
    short = write_cached(Writer(made, most_tokens=1), ["the cat"], root=tmp_path)
    long = write_cached(Writer(made, most_tokens=5), ["the cat"], root=tmp_path)
    assert long.made == 1 and long.texts[0].split()[:1] == short.texts[0].split()
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_bad_input_is_named(made: Path, writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="room for 27"):
        writer.answer(["cat " * 30])
    for wrong in ({"precision": "int3"}, {"device": "tpu"}, {"most_tokens": 0}, {"batch": 0}):
        with pytest.raises(Problem, match=next(iter(wrong))):
            Writer(made, **wrong)
    with pytest.raises(Problem, match="expected str"):
        write_cached(writer, ["a", None], root=tmp_path)
    with pytest.raises(Problem, match="no checkpoint is called"):
        find_decoder("smollm3")


def test_a_folder_is_converted_once_and_again_for_another_file(tmp_path: Path, monkeypatch) -> None:
    file, folder, calls = tmp_path / "a.gguf", tmp_path / "clean", []

    def fake(source: Path, target: Path) -> None:
        calls.append(source.read_text())
        target.mkdir()
        (target / "config.json").write_text(source.read_text())

    monkeypatch.setattr("recutils.encode.decoder._convert", fake)
    for content in ("one", "one", "two"):
        file.write_text(content)
        assert converted(file, folder, say=lambda text: None) == folder
        assert (folder / "config.json").read_text() == content
    assert calls == ["one", "two"] and not list(tmp_path.glob(".*.part"))
