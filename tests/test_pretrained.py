"""Pretrained encoders keep the house's promises, frozen and tuned, and say what a plain transformers call says."""

import functools
import itertools
import json
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

from emobraid.config import ModelConfig
from emobraid.data.csv import read_rows
from emobraid.encoders import hub as models
from emobraid.encoders.adapters import Tuning, layers_of
from emobraid.encoders.audio import SHORTEST, PretrainedAudio, averaged
from emobraid.encoders.base import Utterance
from emobraid.encoders.compact_text import PIECES, CompactText, word_pieces
from emobraid.encoders.int8 import ROWS, Int8Linear
from emobraid.encoders.pretrained import buckets, count_parameters, load, resolve
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.layers import BiLSTM, WindowPool
from emobraid.stream import Stream, pad

TEXT = ("deberta-v2", "deberta-v2-fast", "bert", "roberta")
SOUND = ("wav2vec2-group", "wav2vec2-layer", "wavlm", "hubert", "whisper")
NORM_OVER_TIME = ("wav2vec2-group", "wavlm", "hubert")
MODELS = ("deberta-v2", "bert", "roberta", *SOUND, "vit")  # each architecture once
METHODS = ("frozen", "adapter", "lora", "prompt", "bitfit", "full")
HIDDEN = 8  # of the LSTM
EVERY = pytest.mark.parametrize("name", MODELS)
EACH_WAY = pytest.mark.parametrize("method", METHODS)
LINES = ("I am so happy today!", "they are not", "oh my God, don't you think? Rachel: that is all I can say...", "Ross")


def kind_of(name):
    return "text" if name in TEXT else "audio" if name in SOUND else "video"


def encoder_of(folder, kind, method="frozen", **options):
    tuning = Tuning(method, adapter_size=4, lora_rank=2, prompt_length=3)
    options = {"tuning": tuning, "precision": "float32", **options}
    if kind == "video":
        return PretrainedVideo(str(folder), hidden=HIDDEN, **options).eval()
    return (PretrainedText if kind == "text" else PretrainedAudio)(str(folder), **options).eval()


@pytest.fixture(scope="module")
def build(hub):
    """`build("bert", "lora")`: with no learned weight at its beginning; made once for all tests."""

    @functools.cache
    def made(name, method="frozen"):
        encoder = encoder_of(hub[name], kind_of(name), method)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn_like(parameter)
        return encoder

    def fresh(name, method="frozen"):
        encoder = made(name, method)
        encoder.zero_grad()
        return encoder

    return fresh


@pytest.fixture(scope="module")
def plain(hub):
    """`plain("bert")`: what transformers alone makes of the same folder."""

    @functools.cache
    def loaded(name):
        with models.quiet():
            model = AutoModel.from_pretrained(hub[name], dtype=torch.float32, local_files_only=True).eval()
        return model.get_encoder() if name == "whisper" else model

    return loaded


def sound(samples, seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.3, samples).astype(np.float32)


def faces(frames, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def raws(kind):
    """Four inputs of unlike length, with a missing one in the middle of the second and the third."""
    return {
        "text": [LINES[0], LINES[1], "", LINES[2], LINES[3]],
        "audio": [sound(8_000), sound(3_000, 1), sound(0), sound(12_345, 2), sound(SHORTEST, 3)],
        "video": [faces(3), faces(1, seed=1), faces(0), faces(5, seed=2), faces(2, seed=3)],
    }[kind]


def prepared(encoder):
    """The inputs as a batch is made of them: through the stem, and absent where there is nothing."""
    made = [encoder.prepare(raw) for raw in raws(encoder.tower.kind)]
    there = [i for i, one in enumerate(made) if len(one)]
    for i, one in zip(there, encoder.stem([made[i] for i in there]), strict=True):
        made[i] = one
    return made


def real(stream):
    """What an encoder says of each row, without padding."""
    return [v[m] for v, m in zip(*stream, strict=True)]


def assert_same(ours, expected):
    for row, wanted in zip(real(ours), real(expected), strict=True):
        assert row.isfinite().all()
        torch.testing.assert_close(row, wanted, rtol=1e-4, atol=1e-5)


def gradients(encoder, stream):
    encoder.zero_grad()
    out = encoder(stream)
    if not any(p.requires_grad for p in encoder.parameters()):
        return {}  # frozen text has nothing of its own
    aim = torch.linspace(-1, 1, encoder.dim)
    (out.values[out.mask] - aim).abs().pow(1.5).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


def polluted(stream):
    """Stream with something else where nothing is real."""
    values = stream.values.clone()
    values[~stream.mask] = float("nan") if values.is_floating_point() else 7
    return Stream(values, stream.mask)


# the promises, for every model and every way of tuning it


@EVERY
@EACH_WAY
def test_what_a_masked_position_holds_changes_neither_output_nor_gradient(build, name, method):
    encoder = build(name, method)
    clean = pad(prepared(encoder))
    assert_same(encoder(polluted(clean)), encoder(clean))
    expected, ours = gradients(encoder, clean), gradients(encoder, polluted(clean))
    assert ours.keys() == expected.keys()
    for n, gradient in ours.items():
        assert gradient.isfinite().all(), n
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EVERY
@EACH_WAY
def test_padding_changes_nothing(build, name, method):
    encoder = build(name, method)
    short = pad(prepared(encoder))
    more = short.values.new_zeros(len(short.mask), 5, *short.values.shape[2:])
    longer = Stream(torch.cat([short.values, more], 1), torch.nn.functional.pad(short.mask, (0, 5)))
    assert_same(encoder(longer), encoder(short))


@EVERY
@EACH_WAY
def test_batch_mates_do_not_matter(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    for one, row in zip(inputs, real(encoder(pad(inputs))), strict=True):
        (alone,) = real(encoder(pad([one])))
        torch.testing.assert_close(alone, row, rtol=1e-4, atol=1e-5)


@EVERY
@EACH_WAY
def test_what_was_there_is_there_afterwards_and_in_the_promised_shape(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    out = encoder(pad(inputs))
    assert out.present.tolist() == [True, True, False, True, True]
    assert out.values.shape == (5, out.mask.shape[1], encoder.dim)
    assert out.values.dtype == torch.float32
    assert encoder.dim == (2 * HIDDEN if name == "vit" else 32)
    absent = encoder.absent()
    assert len(absent) == 0
    assert (absent.shape[1:], absent.dtype) == (inputs[0].shape[1:], inputs[0].dtype)


@EVERY
@EACH_WAY
def test_a_missing_sample_in_the_middle_changes_no_gradient(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    expected = gradients(encoder, pad([one for one in inputs if len(one)]))
    assert expected or (name in TEXT and method == "frozen")
    for n, gradient in gradients(encoder, pad(inputs)).items():
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EVERY
@EACH_WAY
@pytest.mark.parametrize("steps", [0, 4])
def test_a_batch_without_this_modality_comes_back_empty(build, name, method, steps):
    encoder = build(name, method)
    values = pad([encoder.absent()] * 2).values
    values = values.new_zeros(2, steps, *values.shape[2:])
    out = encoder(Stream(values, torch.zeros(2, steps, dtype=torch.bool)))
    assert out.values.shape[::2] == (2, encoder.dim)
    assert out.present.tolist() == [False, False]
    assert out.values.dtype == torch.float32


@pytest.mark.parametrize("name", NORM_OVER_TIME)
@pytest.mark.parametrize("method", ["frozen", "adapter", "full"])
def test_a_norm_over_time_does_not_see_what_else_is_read(build, name, method):
    """The recording alone, among longer ones, and in any order: the trap of `feat_extract_norm="group"`."""
    encoder = build(name, method)
    waves = [encoder.prepare(sound(n, seed)) for seed, n in enumerate((5_000, 16_000, 9_000, 5_000))]

    def read(order):
        out = encoder(pad(encoder.stem([waves[i] for i in order])))
        return dict(zip(order, real(out), strict=True))

    alone = {i: read([i])[i] for i in range(4)}
    assert not torch.allclose(alone[0], alone[3], atol=1e-3)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [1, 0]):
        for i, row in read(order).items():
            torch.testing.assert_close(row, alone[i], rtol=1e-4, atol=1e-5)


# the same as a plain call


@pytest.mark.parametrize("name", TEXT)
def test_frozen_text_is_the_last_hidden_state_of_every_token(build, plain, hub, name):
    encoder, tokenizer = build(name), AutoTokenizer.from_pretrained(hub[name])
    ours = encoder.stem([encoder.prepare(line) for line in LINES])
    for line, row in zip(LINES, ours, strict=True):
        with torch.no_grad():
            (expected,) = plain(name)(**tokenizer(line, return_tensors="pt")).last_hidden_state
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    assert encoder(pad(ours)).values.equal(pad(ours).values)  # in evaluation


def in_groups(frames, pool):
    """Means of each `pool` neighbours, the last of what is left: a loop."""
    return torch.stack([frames[i : i + pool].mean(dim=0) for i in range(0, len(frames), pool)])


@pytest.mark.parametrize("name", SOUND)
def test_frozen_sound_is_every_hidden_state_averaged_over_neighbours(build, plain, hub, name):
    extractor = AutoFeatureExtractor.from_pretrained(hub[name])
    encoder = build(name)
    waves = [sound(n, n) for n in (16_000, 5_000, 30_007, 12_800)]
    ours = encoder.stem([encoder.prepare(wave) for wave in waves])
    for wave, row in zip(waves, ours, strict=True):
        heard = extractor(wave, sampling_rate=16_000, return_tensors="pt")
        heard.pop("attention_mask", None)  # nothing is padded
        with torch.no_grad():
            out = plain(name)(**heard, output_hidden_states=True)
        # the last one normalised, which these models do not count among the hidden states
        hidden = (*out.hidden_states[:-1], out.last_hidden_state)
        states = torch.stack([layer[0] for layer in hidden], dim=1)  # (T, L, D)
        if name == "whisper":  # a position is 20 ms; what lies behind the sound is left out
            assert len(states) == 200
            states = states[: math.ceil(len(wave) / 320)]
        torch.testing.assert_close(row, in_groups(states, 4), rtol=1e-4, atol=1e-5)


def test_frozen_faces_are_class_tokens(build, plain, hub):
    with models.quiet():
        processor = AutoImageProcessor.from_pretrained(hub["vit"], backend="pil")
    encoder, clips = build("vit"), [faces(n, seed=n) for n in (3, 6, 1)]
    ours = encoder.stem([encoder.prepare(clip) for clip in clips])
    for clip, row in zip(clips, ours, strict=True):
        pixels = processor(list(clip), return_tensors="pt")
        with torch.no_grad():
            expected = plain("vit")(**pixels).last_hidden_state[:, 0]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SOUND[:4])
@pytest.mark.parametrize("samples", [SHORTEST, 16_000, 50_001])
def test_sound_is_scaled_as_the_feature_extractor_scales_it(build, hub, name, samples):
    extractor = AutoFeatureExtractor.from_pretrained(hub[name])
    wave = sound(samples)
    expected = extractor(wave, sampling_rate=16_000, return_tensors="pt")["input_values"][0]
    assert torch.allclose(expected, torch.from_numpy(wave)) == (name == "wavlm")  # which wants it as it is
    torch.testing.assert_close(build(name).prepare(wave), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 100, SHORTEST - 1])
@pytest.mark.parametrize("method", ["frozen", "adapter"])
def test_a_sound_shorter_than_a_frame_is_one_position(build, samples, method):
    encoder = build("wav2vec2-group", method)
    out = encoder(pad(encoder.stem([encoder.prepare(sound(samples))])))
    assert out.mask.tolist() == [[True]]
    assert out.values.isfinite().all()


@pytest.mark.parametrize(("side", "levels"), [(32, 0.01), (48, 1.01), (96, 1.01), (20, 1.01)])
def test_pixels_are_those_of_the_image_processor(build, hub, side, levels):
    with models.quiet():
        processor = AutoImageProcessor.from_pretrained(hub["vit"], backend="pil", resample=2)  # bilinear
    y, x = np.mgrid[0:side, 0:side] / side
    # smooth, as faces are; and two plain ones
    clip = np.stack([np.stack([255 * y, 255 * x, 127 + 100 * np.sin(9 * x * y)], -1), np.full((side, side, 3), 255)])
    clip = np.concatenate([clip, np.zeros((1, side, side, 3))]).round().astype(np.uint8)
    encoder, seen = build("vit"), []
    hook = encoder.tower.network().embeddings.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder.stem([encoder.prepare(clip)])
    hook.remove()
    expected = processor(list(clip), return_tensors="pt")["pixel_values"]
    assert expected.shape == (3, 3, 32, 32)
    # from -1 to 1 in 255 levels
    assert (torch.cat(seen) - expected).abs().max().item() * 255 / 2 < levels


def test_pixels_are_scaled_by_the_settings_of_the_model(hub, tmp_path):
    """Other means and deviations than a half, and none at all."""
    for name, changed, expected in (
        ("other", {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.25, 1.0]}, [1.8, 3.2, 0.7]),
        ("none", {"do_normalize": False}, [1.0, 1.0, 1.0]),
    ):
        shutil.copytree(hub["vit"], tmp_path / name)
        path = tmp_path / name / "preprocessor_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        encoder, seen = encoder_of(tmp_path / name, "video"), []
        encoder.tower.network().embeddings.register_forward_pre_hook(lambda _, given, to=seen: to.append(given[0]))
        encoder.stem([encoder.prepare(np.full((1, 32, 32, 3), 255, np.uint8))])
        assert seen[0][0, :, 5, 5].tolist() == pytest.approx(expected)  # (1 - mean) / deviation


# text in its dialogue


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


CONTEXT = (("Rachel", "they are not going to work"), ("", "oh my God"), ("Monica", "I am sad about the old car"))
SAID = Utterance("I am so happy today!", "Ross", CONTEXT)


@pytest.mark.parametrize("name", TEXT)
def test_turns_before_go_in_first_with_who_spoke_and_only_the_utterance_comes_out(build, plain, hub, name):
    encoder, tokenizer = build(name), AutoTokenizer.from_pretrained(hub[name])
    end = tokenizer.sep_token_id
    before = [
        *ids(tokenizer, "Rachel: they are not going to work"), end,
        *ids(tokenizer, "oh my God"), end,
        *ids(tokenizer, "Monica: I am sad about the old car"), end,
    ]  # fmt: skip
    own = ids(tokenizer, "Ross: I am so happy today!")
    expected = [tokenizer.cls_token_id, *before, *own, end]
    belongs = [1] + [0] * len(before) + [1] * (len(own) + 1)
    tokens = encoder.prepare(SAID)
    assert tokens.dtype == torch.long
    assert tokens.T.tolist() == [expected, belongs]
    with torch.no_grad():
        hidden = plain(name)(input_ids=torch.tensor([expected])).last_hidden_state[0]
    (ours,) = encoder.stem([tokens])
    assert len(ours) == len(own) + 2
    torch.testing.assert_close(ours, hidden[torch.tensor(belongs) == 1], rtol=1e-4, atol=1e-5)
    (without,) = encoder.stem([encoder.prepare(SAID._replace(context=()))])
    assert len(without) == len(ours)
    assert (without - ours).abs().max() > 1e-2


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("method", METHODS[1:])
def test_a_tuned_encoder_reads_context_and_gives_the_utterance(build, name, method):
    encoder = build(name, method)
    tokens = [encoder.prepare(SAID), encoder.prepare(SAID._replace(context=()))]
    long, short = real(encoder(pad(encoder.stem(tokens))))
    assert len(long) == len(short) == len(tokens[1]) < len(tokens[0])
    assert (long - short).abs().max() > 1e-2


@pytest.mark.parametrize("name", TEXT)
def test_where_there_is_no_room_the_oldest_turn_goes_first_and_then_the_end_of_the_utterance(hub, name):
    tokenizer = AutoTokenizer.from_pretrained(hub[name])
    end = [tokenizer.sep_token_id]
    turns = [ids(tokenizer, f"{who}: {what}" if who else what) + end for who, what in CONTEXT]
    own = ids(tokenizer, "Ross: I am so happy today!")
    whole = sum(map(len, turns)) + len(own) + 2
    for room in range(8, whole + 3):
        tokens = encoder_of(hub[name], "text", max_length=room).prepare(SAID)
        fits = [n for n in range(4) if sum(map(len, turns[3 - n :])) + len(own) + 2 <= room]
        kept = turns[3 - max(fits) :] if fits else []
        expected = [tokenizer.cls_token_id, *itertools.chain(*kept), *own[: room - 2], *end]
        assert tokens[:, 0].tolist() == expected
        assert len(tokens) <= room
    assert len(tokens) == whole


@pytest.mark.parametrize(("name", "limit"), [("bert", 512), ("roberta", 512), ("deberta-v2", 900), ("deberta-v2", 700)])
def test_text_is_cut_where_the_model_has_no_more_places(hub, name, limit):
    encoder = encoder_of(hub[name], "text", max_length=900 if limit < 600 else limit)
    assert encoder.max_length == limit
    tokens = encoder.prepare("happy " * 1_000)
    assert len(tokens) == limit
    (read,) = encoder.stem([tokens])
    assert len(read) == limit
    assert read.isfinite().all()


@pytest.mark.parametrize("text", ["", "  \n\t"])
@pytest.mark.parametrize("method", ["frozen", "lora"])
def test_an_utterance_without_words_is_missing_whatever_was_said_before(build, text, method):
    encoder = build("deberta-v2", method)
    assert len(encoder.prepare(Utterance(text, "Ross", CONTEXT))) == 0


def test_compact_text_reads_turns_before_as_words_of_their_own():
    encoder = CompactText(16, buckets=97)
    prepared = encoder.prepare(Utterance("So happy", "Ross", (("Monica", "no"), ("", "Happy"))))
    expected = [word_pieces(w, 97, before=True) for w in ("monica", "no", "happy")]
    expected += [word_pieces(w, 97) for w in ("so", "happy", "ross")]
    assert prepared.tolist() == [row + [0] * (PIECES - len(row)) for row in expected]
    assert not set(word_pieces("happy", 10**9)) & set(word_pieces("happy", 10**9, before=True))


def test_compact_text_never_cuts_its_own_words_for_those_before():
    words = [f"w{i}" for i in range(9)]
    for room in range(1, 15):
        encoder = CompactText(16, max_length=room)
        own = encoder.prepare(" ".join(words[4:]))
        both = encoder.prepare(Utterance(" ".join(words[4:]), context=(("", "w0 w1"), ("", "w2 w3"))))
        assert len(own) == min(room, 5)
        assert len(both) == min(room, 9)
        assert both[-len(own) :].equal(own)
        newest = words[4 - (len(both) - len(own)) : 4]
        before = [word_pieces(w, encoder.buckets, before=True) for w in newest]
        assert [[p for p in row if p] for row in both[: len(newest)].tolist()] == before


DIALOGUES = """id,text,dialogue,turn,speaker,emotion
c,third,d1,10,Ross,happy
x,elsewhere,d2,1,Joey,sad
a,first,d1,2,Monica,happy
none,alone,,,Gunther,sad
b,second,d1,9,Ross,sad
mute,,d1,9.5,Chandler,sad
y,elsewhere too,d2,2,,sad
"""


def dialogue_rows(folder, table, turns):
    (folder / "train.csv").write_text(table)
    return {s.id: s for s in read_rows(folder / "train.csv", ModelConfig(modalities=("text",), context_turns=turns))}


def test_turns_before_are_those_of_the_dialogue_by_number_not_by_row(tmp_path):
    rows = dialogue_rows(tmp_path, DIALOGUES, 5)
    # the turn without words says nothing; 9 comes before 10
    assert rows["c"].context == (("Monica", "first"), ("Ross", "second"))
    assert rows["b"].context == (("Monica", "first"),)
    assert rows["mute"].context == (("Monica", "first"), ("Ross", "second"))
    assert rows["y"].context == (("Joey", "elsewhere"),)
    assert rows["a"].context == rows["x"].context == rows["none"].context == ()
    assert [rows[i].speaker for i in ("c", "x", "a", "none", "y")] == ["Ross", "Joey", "Monica", "Gunther", ""]


def test_as_many_turns_as_are_asked_for(tmp_path):
    assert dialogue_rows(tmp_path, DIALOGUES, 1)["c"].context == ()  # the one before was without words
    assert dialogue_rows(tmp_path, DIALOGUES, 2)["c"].context == (("Ross", "second"),)
    assert dialogue_rows(tmp_path, DIALOGUES, 3)["c"].context == (("Monica", "first"), ("Ross", "second"))


def test_without_context_turns_nobody_is_named_and_no_column_is_needed(tmp_path):
    rows = dialogue_rows(tmp_path, DIALOGUES, 0)
    assert {(s.speaker, s.context) for s in rows.values()} == {("", ())}
    assert len(dialogue_rows(tmp_path, "id,text,emotion\n1,hi,sad\n", 0)) == 1


@pytest.mark.parametrize(
    ("header", "missing"),
    [("text,emotion", "dialogue, turn"), ("text,turn,emotion", "dialogue"), ("text,dialogue,emotion", "turn")],
)
def test_context_needs_columns_and_says_which(tmp_path, header, missing):
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(ValueError, match="context_turns") as refused:
        dialogue_rows(tmp_path, f"{header}\n{row}\n", 2)
    table = tmp_path / "train.csv"
    assert str(refused.value) == f"{table}: context_turns needs columns dialogue and turn; missing {missing}"


def test_a_turn_that_is_no_number_is_named_with_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"train\.csv line 3: turn 'two' is not a number$"):
        dialogue_rows(tmp_path, "text,dialogue,turn,emotion\nhi,d,1,sad\nho,d,two,sad\n", 2)


# what is not whole is refused in a sentence


@pytest.mark.parametrize(
    ("name", "lost", "told"),
    [
        ("deberta-v2", "spm.model", "holds no vocabulary for its tokenizer; copy it again"),
        ("deberta-v2-fast", "tokenizer.json", "holds no vocabulary for its tokenizer; copy it again"),
        ("bert", "tokenizer.json", "holds no vocabulary for its tokenizer; copy it again"),
        ("roberta", "vocab.json", "does not say how its inputs are read ("),
        ("wav2vec2-group", "preprocessor_config.json", "does not say how its inputs are read ("),
        ("vit", "preprocessor_config.json", "does not say how its inputs are read ("),
    ],
)
def test_a_folder_without_the_files_for_its_inputs_is_refused(hub, tmp_path, name, lost, told):
    folder = tmp_path / name
    shutil.copytree(hub[name], folder)
    (folder / lost).unlink()
    with pytest.raises(models.ModelNotHere) as refused:
        encoder_of(folder, kind_of(name)).prepare(next(filter(len, raws(kind_of(name)))))
    assert str(refused.value).startswith(f"{folder} {told}")
    assert str(refused.value).endswith("copy it again")
    assert "\n" not in str(refused.value)


def test_another_sampling_rate_is_refused(hub, tmp_path):
    folder = tmp_path / "eight"
    shutil.copytree(hub["wav2vec2-layer"], folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sampling_rate": 8_000}))
    with pytest.raises(ValueError, match=r"eight hears 8000 samples a second; audio_sample_rate is 16000$"):
        encoder_of(folder, "audio").prepare(sound(900))


@pytest.mark.parametrize("model_type", ["sew", "sew-d", "wav2vec2-bert"])
def test_a_voice_model_that_is_read_otherwise_is_refused(hub, tmp_path, model_type):
    folder = tmp_path / "other"
    shutil.copytree(hub["wav2vec2-layer"], folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": model_type}))
    with pytest.raises(
        ValueError, match=f"other is of the kind {model_type}, which is not read yet; take wavlm or hubert$"
    ):
        encoder_of(folder, "audio")


def test_weights_of_another_model_are_refused_not_filled_with_random_ones(hub, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(hub["bert"], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"bert: 1 weights are not in its files, encoder\.layer\.1\.output\.dense\.weight"
    ):
        load(folder)


@EVERY
def test_frozen_weights_are_counted_without_loading_them(build, hub, name):
    weights = load_file(hub[name] / "model.safetensors")
    assert count_parameters(hub[name]) == sum(t.numel() for t in weights.values())
    assert build(name).tower.frozen_parameters() == count_parameters(hub[name])
    assert build(name, "adapter").tower.frozen_parameters() == 0  # they are in the network


def test_a_frozen_model_is_not_loaded_before_it_is_needed(hub, monkeypatch):
    encoder = encoder_of(hub["bert"], "text")
    assert encoder.tower._frozen == []
    stem = encoder.stem([encoder.prepare("hi")])
    (kept,) = encoder.tower._frozen
    encoder.stem([encoder.prepare("hi there")])
    assert encoder.tower._frozen == [kept]
    assert len(stem) == 1


def test_a_load_draws_nothing_random(hub):
    before = torch.get_rng_state()
    load(hub["vit"])  # its file has no pooler, for which transformers draws weights
    assert torch.get_rng_state().equal(before)


# pieces


def test_a_window_becomes_one_position_weighed_by_the_softmax_of_its_scores():
    pool = WindowPool(1, 2)
    with torch.no_grad():
        for layer, weight in ((pool.score[0], 1.0), (pool.score[2], math.log(3) / math.tanh(1))):
            layer.weight.fill_(weight)
            layer.bias.zero_()
    # scores are 0 for 0, and log 3 for 1: together they have weights 1/4 and 3/4
    values = torch.tensor([[[0.0], [1.0], [1.0], [1.0], [0.0]], [[1.0], [0.0], [9.0], [1.0], [9.0]]])
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    (pooled, there), weights = pool(Stream(values, mask))
    torch.testing.assert_close(pooled.squeeze(-1), torch.tensor([[0.75, 1.0, 0.0], [0.75, 1.0, 0.0]]))
    assert there.tolist() == [[True, True, True], [True, True, False]]
    expected = [[0.25, 0.75, 0.5, 0.5, 1.0], [0.75, 0.25, 0.0, 1.0, 0.0]]
    torch.testing.assert_close(weights, torch.tensor(expected))


@pytest.mark.parametrize("window", [1, 3, 4, 50])
def test_weights_of_a_window_sum_to_one_over_what_is_real(random_stream, window):
    stream = random_stream([10, 0, 7, 1])
    stream.mask[0, [0, 4, 5, 6, 7]] = False
    pooled, weights = WindowPool(16, window)(polluted(stream))
    assert weights.shape == stream.mask.shape
    assert not weights[~stream.mask].any()
    assert pooled.values.shape == (4, math.ceil(10 / window), 16)
    for row, mask, there in zip(weights, stream.mask, pooled.mask, strict=True):
        sums = [w.sum().item() for w in row.split(window)]
        assert sums == pytest.approx([float(m.any()) for m in mask.split(window)])
        assert there.tolist() == [bool(m.any()) for m in mask.split(window)]
    assert pooled.values.isfinite().all()
    assert not pooled.values[~pooled.mask].any()


def test_an_lstm_reads_each_row_as_if_it_were_alone(random_stream):
    lstm, stream = BiLSTM(16, 5), random_stream([4, 1, 6])
    out = lstm(polluted(stream))
    assert out.values.shape == (3, 6, 10)
    for row, wanted in zip(real(out), real(stream), strict=True):
        torch.testing.assert_close(row, lstm.lstm(wanted[None])[0][0])


def test_a_hole_in_time_is_to_an_lstm_as_if_it_had_never_been_there(random_stream):
    lstm, stream = BiLSTM(16, 5), random_stream([6, 6])
    kept = torch.tensor([[False, True, False, True, True, False], [True, False, True, True, True, True]])
    out = lstm(polluted(Stream(stream.values, kept)))
    assert out.mask.equal(kept)
    for row, values, there in zip(real(out), stream.values, kept, strict=True):
        torch.testing.assert_close(row, lstm.lstm(values[there][None])[0][0])


def test_averages_of_neighbouring_frames():
    states = torch.tensor([1.0, 3.0, 5.0, 7.0, 10.0])[:, None]
    assert averaged(states, 2).squeeze(1).tolist() == [2.0, 6.0, 10.0]
    assert averaged(states, 5).item() == pytest.approx(5.2)
    assert averaged(states, 9).item() == pytest.approx(5.2)
    assert averaged(states, 1).equal(states)


@settings(deadline=None, max_examples=200)
@given(
    lengths=st.lists(st.integers(0, 600), max_size=40),
    budget=st.integers(1, 2_000),
    slack=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_buckets_hold_everyone_once_within_budget_and_slack(lengths, budget, slack):
    made = buckets(lengths, budget, slack=slack)
    assert sorted(i for bucket in made for i in bucket) == list(range(len(lengths)))
    for bucket in made:
        longest, shortest = max(lengths[i] for i in bucket), min(lengths[i] for i in bucket)
        assert len(bucket) == 1 or len(bucket) * longest <= budget
        assert shortest >= (1 - slack) * longest
    for bucket, after in itertools.pairwise(made):
        longest, first = lengths[bucket[0]], lengths[after[0]]
        assert longest >= first
        # a new one is begun only where the next would not fit
        assert (len(bucket) + 1) * longest > budget or first < (1 - slack) * longest


def test_buckets_worked_out_by_hand():
    # longest first: 10 and 10 and 9 fill 30; 5 is more than a tenth shorter than 10; 100 is alone over the budget
    assert buckets([10, 5, 9, 100, 10], 30) == [[3], [0, 4, 2], [1]]
    assert buckets([], 30) == []


# arithmetic


@pytest.mark.parametrize("probe", ["_is_amx_tile_supported", "_is_avx512_bf16_supported", None])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, probe):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == probe, raising=False)
    assert resolve("auto", torch.device("cpu")) == ("bfloat16" if probe else "float32")


@pytest.mark.parametrize("able", [True, False])
def test_auto_asks_the_gpu(monkeypatch, able):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert resolve("auto", torch.device("cuda")) == ("bfloat16" if able else "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_precision_that_is_asked_for_is_taken(precision, device):
    assert resolve(precision, torch.device(device)) == precision


def relative(ours, expected):
    return ((ours - expected).norm() / expected.norm()).item()


def test_whole_numbers_of_8_bits_are_multiplied_exactly():
    linear = torch.nn.Linear(40, 7)
    whole = torch.Generator().manual_seed(3)
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-127, 128, (7, 40), generator=whole))
        linear.weight[:, 3] = 127.0  # so that a step of every row is 1
    x = torch.randint(-128, 128, (2, 3, 40), generator=whole).float()
    x[..., 5], x[..., 6] = -128.0, 127.0
    torch.testing.assert_close(Int8Linear(linear)(x), linear(x), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, ROWS, ROWS + 3])
def test_8_bits_are_within_two_percent_of_a_linear_map(bias, rows):
    # the largest of 64 normal values is about 2.5 deviations: a step is 2.5 / 127, its rounding error 1 / sqrt(12) of
    # that, 0.6 %, in the weights and in what goes in alike: 0.8 % together
    linear, x = torch.nn.Linear(64, 48, bias=bias), torch.randn(rows, 64)
    with torch.no_grad():
        linear.weight.normal_()
        ours, expected = Int8Linear(linear)(x), linear(x)
    assert 1e-4 < relative(ours, expected) < 0.02
    assert relative(Int8Linear(linear)(1_000 * x), linear(1_000 * x)) < 0.02  # whatever the scale


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 8), (0, 3, 8)])
def test_8_bits_of_nothing_are_nothing(shape):
    assert Int8Linear(torch.nn.Linear(8, 5))(torch.zeros(shape)).shape == (*shape[:-1], 5)


@pytest.mark.parametrize("value", [0.0, 3.0, -0.1])
def test_8_bits_of_what_is_the_same_everywhere(value):
    linear, x = torch.nn.Linear(8, 5), torch.full((3, 8), value)
    assert relative(Int8Linear(linear)(x), linear(x)) < 0.01
    torch.nn.init.zeros_(linear.weight)
    torch.testing.assert_close(Int8Linear(linear)(torch.randn(3, 8)), linear.bias.expand(3, 5))


# two layers between norms: an error of some 0.85 % a map in 8 bits, 2 ** -9 a number in bfloat16, adds up over about a
# dozen maps as the root of their number, so to some 3 %
@EVERY
@pytest.mark.parametrize(("precision", "most"), [("int8", 0.04), ("bfloat16", 0.04)])
def test_lower_precision_encodes_nearly_the_same(build, hub, name, precision, most):
    whole, rough = build(name), encoder_of(hub[name], kind_of(name), precision=precision)
    inputs = [one for one in map(whole.prepare, raws(kind_of(name))) if len(one)]
    for ours, expected in zip(rough.stem(inputs), whole.stem(inputs), strict=True):
        assert ours.dtype == torch.float32
        assert 1e-5 < relative(ours, expected) < most


@EVERY
def test_8_bits_take_the_place_of_the_layers_maps_and_of_nothing_else(hub, name):
    encoder = encoder_of(hub[name], kind_of(name), precision="int8")
    model, plain_model = encoder.tower.network(), load(hub[name])
    quantised = {n for n, m in model.named_modules() if isinstance(m, Int8Linear)}
    stack = next(n for n, m in plain_model.named_modules() if m is layers_of(plain_model))
    linear = {n for n, m in plain_model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith(f"{stack}.")}
    given_away = {n for n in linear if name == "wavlm" and n.endswith("_proj")}  # it reads their weights itself
    assert quantised == linear - given_away
    assert len(given_away) == (8 if name == "wavlm" else 0)


@pytest.mark.parametrize("name", ["deberta-v2", "wav2vec2-group", "vit"])
def test_what_a_frozen_output_depends_on_names_weights_and_arithmetic(hub, name):
    kind = kind_of(name)
    identities = {p: encoder_of(hub[name], kind, precision=p).stem_identity() for p in ("float32", "bfloat16", "int8")}
    assert len(set(identities.values())) == 3
    assert all(models.weights_hash(hub[name]) in identity for identity in identities.values())
