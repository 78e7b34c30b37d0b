"""Every encoder keeps the house's promises; and each one's own preparation, worked out by hand."""

import math
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from emobraid import encoders
from emobraid.config import ModelConfig
from emobraid.encoders import CompactAudio, CompactText, CompactVideo, Features
from emobraid.encoders.acoustics import mel_filters
from emobraid.encoders.compact_text import PIECES, word_pieces
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, Stream, keep_only, pad, subsets

DIM = 16
SOUND = 64 + 3  # mel bands; pitch, voicing and loudness
LENGTHS = [6, 0, 3, 1, 9]
BUILDERS = {
    "text": lambda: CompactText(DIM, buckets=50),
    "audio": lambda: CompactAudio(DIM),
    "video": lambda: CompactVideo(DIM),
    "features": lambda: Features(7, DIM),
}
# two values that a masked position may hold, of the type that each encoder reads
JUNK = {
    "text": [-1, 10**9],
    "audio": [float("nan"), float("inf"), 1e9],
    "video": [float("nan"), float("inf"), 1e9],
    "features": [float("nan"), float("inf"), 1e9],
}
EVERY = pytest.mark.parametrize("name", BUILDERS)
EACH_JUNK = pytest.mark.parametrize(("name", "junk"), [(n, j) for n, junks in JUNK.items() for j in junks])


def build(name):
    """In evaluation mode, with no weight and no statistic left at its beginning."""
    encoder = BUILDERS[name]()
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            value += 0.4 * (torch.rand_like(value) - 0.5)
    return encoder.eval()


def draw(name, length):
    """A prepared input of that many steps; frames are floats, as augmentation leaves them."""
    if name == "text":
        return torch.randint(1, 51, (length, PIECES))
    return {
        "audio": torch.randn(length, SOUND),
        "video": torch.rand(length, 48, 48) * 255,
        "features": torch.randn(length, 7),
    }[name]


def batch(name, lengths=LENGTHS):
    return pad([draw(name, n) for n in lengths])


def polluted(stream, junk):
    values = stream.values.clone()
    values[~stream.mask] = junk
    return Stream(values, stream.mask)


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
    # masked places may hold anything, so nothing is asked of them; a plain square of a norm's output says little
    aim = torch.linspace(-1, 1, DIM)
    (out.values[out.mask] - aim).abs().pow(1.5).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


# the promises


@EACH_JUNK
def test_what_a_masked_position_holds_changes_nothing(name, junk):
    encoder, clean = build(name), batch(name)
    assert_same(encoder(polluted(clean, junk)), encoder(clean))


@EACH_JUNK
def test_what_a_masked_position_holds_changes_no_gradient(name, junk):
    encoder, clean = build(name), batch(name)
    expected = gradients(encoder, clean)
    ours = gradients(encoder, polluted(clean, junk))
    assert ours.keys() == expected.keys() == dict(encoder.named_parameters()).keys()
    for n, gradient in ours.items():
        assert gradient.isfinite().all(), n
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EACH_JUNK
def test_junk_counts_for_nothing_either_where_no_row_is_missing(name, junk):
    encoder, clean = build(name), batch(name, [5, 2, 9])
    assert_same(encoder(polluted(clean, junk)), encoder(clean))
    assert all(g.isfinite().all() for g in gradients(encoder, polluted(clean, junk)).values())


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_padding_changes_nothing(name, steps):
    encoder, short = build(name), batch(name)
    more = short.values.new_zeros(len(LENGTHS), steps, *short.values.shape[2:])
    longer = Stream(torch.cat([short.values, more], 1), torch.nn.functional.pad(short.mask, (0, steps)))
    assert_same(encoder(longer), encoder(short))


@EVERY
def test_batch_mates_do_not_matter(name):
    encoder, together = build(name), batch(name)
    for i, row in enumerate(real(encoder(together))):
        (alone,) = real(encoder(together.rows(torch.tensor([i]))))
        torch.testing.assert_close(alone, row, rtol=1e-4, atol=1e-5)


@EVERY
def test_what_was_there_is_there_afterwards_and_nothing_else(name):
    encoder, stream = build(name), batch(name)
    # holes anywhere, also at the beginning: whoever had one real step keeps one
    stream.mask[4, :7] = False
    stream.mask[0, [0, 2, 4]] = False
    out = encoder(stream)
    assert out.present.tolist() == stream.present.tolist() == [True, False, True, True, True]
    assert out.values.shape == (*out.mask.shape, DIM)
    assert out.values.dtype == torch.float32


@EVERY
@pytest.mark.parametrize("lengths", [[1], [0, 1], [3]], ids=str)
def test_a_batch_with_one_utterance_can_be_trained_on(name, lengths):
    encoder = build(name).train()
    assert all(g.isfinite().all() for g in gradients(encoder, batch(name, lengths)).values())


@EVERY
@pytest.mark.parametrize("steps", [0, 4])
def test_a_batch_without_this_modality_comes_back_empty(name, steps):
    encoder = build(name)
    values = batch(name, [4, 4]).values[:, :steps]
    out = encoder(Stream(values, torch.zeros(2, steps, dtype=torch.bool)))
    assert out.values.shape[::2] == (2, DIM)
    assert out.present.tolist() == [False, False]
    assert out.values.dtype == torch.float32


# text and audio give a step its place in time, and audio its neighbours, which a hole keeps
@pytest.mark.parametrize("name", ["video", "features"])
def test_a_hole_is_as_if_the_step_had_never_been_there(name):
    encoder, stream = build(name), batch(name, [6, 6])
    kept = torch.tensor([False, True, False, True, True, True])
    holed = Stream(stream.values, stream.mask & kept)
    assert_same(encoder(holed), encoder(Stream(stream.values[:, kept], stream.mask[:, kept])))


@EVERY
def test_saved_and_loaded_it_encodes_the_same(name):
    encoder, stream = build(name), batch(name)
    torch.manual_seed(1)
    other = build(name)
    assert not torch.allclose(other(stream).values, encoder(stream).values)
    other.load_state_dict(load(save(encoder.state_dict())))
    assert other(stream).values.equal(encoder(stream).values)


@EVERY
def test_half_precision_encodes_nearly_the_same(name):
    encoder, stream = build(name), batch(name)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(stream)
    for row, wanted in zip(real(rough), real(encoder(stream)), strict=True):
        torch.testing.assert_close(row.float(), wanted, rtol=0.1, atol=0.15)


@EVERY
def test_an_absent_input_is_a_prepared_one_of_length_zero(name):
    absent = BUILDERS[name]().absent()
    raw = {
        "text": "hello",
        "audio": np.zeros(800, np.float32),
        "video": np.zeros((2, 60, 60, 3), np.uint8),
        "features": np.zeros(7),
    }[name]
    prepared = BUILDERS[name]().prepare(raw)
    assert len(absent) == 0
    assert (absent.shape[1:], absent.dtype) == (prepared.shape[1:], prepared.dtype)


# augmentation


@EVERY
def test_augmentation_follows_its_seed_and_leaves_its_input_alone(name):
    encoder, stream = build(name), batch(name, [30, 0, 12])
    before = Stream(stream.values.clone(), stream.mask.clone())
    first, again, other = (encoder.augment(stream, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))

    def told(s):
        return torch.cat([s.values.flatten().float(), s.mask.flatten().float()])

    assert told(first).equal(told(again))
    assert not told(first).equal(told(other))
    assert told(stream).equal(told(before))


@EVERY
def test_augmentation_takes_no_one_away_and_brings_no_one_back(name):
    encoder, stream = build(name), batch(name, [1, 0, 2] * 20)
    for seed in range(5):
        out = encoder.augment(stream, torch.Generator().manual_seed(seed))
        assert out.present.equal(stream.present)
        assert not (out.mask & ~stream.mask).any()
        assert out.values.shape == stream.values.shape


@EVERY
def test_augmentation_of_nothing_is_nothing(name):
    nothing = pad([BUILDERS[name]().absent()] * 2)
    assert build(name).augment(nothing, torch.Generator()).values.shape == nothing.values.shape


def test_word_dropout_hides_about_one_word_in_ten():
    stream = batch("text", [500, 500])
    hidden = ~CompactText(DIM).augment(stream, torch.Generator().manual_seed(0)).mask
    assert hidden.float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_a_clip_is_varied_as_a_whole():
    frames = pad([draw("video", 1).repeat(4, 1, 1)])
    out = CompactVideo(DIM).augment(frames, torch.Generator().manual_seed(3)).values
    assert not torch.allclose(out[0, 0], frames.values[0, 0])
    assert all(torch.equal(out[0, 0], frame) for frame in out[0])
    assert 0 <= out.min() <= out.max() <= 255


# text


def test_a_word_is_hashed_with_its_character_ngrams():
    def bucket(piece):
        return zlib.crc32(piece.encode()) % 97 + 1

    assert word_pieces("hi", 97) == [bucket(p) for p in ("hi", "<hi", "hi>", "<hi>")]
    assert len(word_pieces("incomprehensible", 97)) == PIECES


def test_text_becomes_one_row_of_buckets_a_word_or_mark():
    prepared = CompactText(DIM, buckets=97).prepare("Don't  STOP!")
    assert prepared.shape == (3, PIECES)
    for row, word in zip(prepared.tolist(), ["don't", "stop", "!"], strict=True):
        pieces = word_pieces(word, 97)
        assert row == pieces + [0] * (PIECES - len(pieces))


@pytest.mark.parametrize("text", ["", "   \n\t"])
def test_text_without_words_has_length_zero(text):
    assert CompactText(DIM).prepare(text).shape == (0, PIECES)


def test_text_is_cut_at_its_longest_length():
    assert len(CompactText(DIM, max_length=4).prepare("one two three four five six")) == 4


def test_text_in_any_script_has_words():
    assert len(CompactText(DIM).prepare("я рад 嬉しい 😀")) == 4


def test_the_order_of_words_is_read():
    encoder = build("text")
    there, back = (encoder(pad([encoder.prepare(t)])).values[0] for t in ("dog bites man", "man bites dog"))
    assert not torch.allclose(there.sum(0), back.sum(0), atol=1e-3)


# audio


def noise(samples):
    return np.random.default_rng(0).normal(size=samples)


def tone(hertz, samples=8_000):
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)


def test_sound_becomes_one_frame_a_hop():
    window, hop = CompactAudio.WINDOW, CompactAudio.HOP
    for samples, frames in ((16_000, 1 + (16_000 - window) // hop), (window + hop - 1, 1), (window + hop, 2)):
        assert CompactAudio(DIM).prepare(noise(samples)).shape == (frames, SOUND)


def test_silence_is_one_finite_floor_under_every_sound():
    (floor,) = CompactAudio(DIM).prepare(np.zeros(600))[:, :64].unique()
    assert floor.isfinite()
    assert CompactAudio(DIM).prepare(noise(600))[:, :64].min() > floor


def test_silence_around_a_sound_is_left_out():
    silence = np.zeros(8_192)
    alone = CompactAudio(DIM).prepare(noise(8_192))
    framed = CompactAudio(DIM).prepare(np.concatenate([silence, noise(8_192), silence]))
    # frames that reach over an edge hear some of the sound
    assert len(alone) <= len(framed) <= len(alone) + 2


@pytest.mark.parametrize("samples", [1, 100, 512])
def test_a_sound_shorter_than_a_window_is_one_frame(samples):
    prepared = CompactAudio(DIM).prepare(np.ones(samples, np.float32))
    assert prepared.shape == (1, SOUND)
    assert prepared.isfinite().all()


def test_no_sound_is_length_zero():
    assert CompactAudio(DIM).prepare(np.zeros(0, np.float32)).shape == (0, SOUND)


@pytest.mark.parametrize("hertz", [200, 1_000, 4_000])
def test_a_tone_is_loudest_in_the_band_around_it(hertz):
    loudest = CompactAudio(DIM).prepare(tone(hertz))[5, :64].argmax().item()
    # centres lie evenly in mel between 50 Hz and 7.6 kHz, 64 of them and two edges
    low, high, mel = (2595 * math.log10(1 + f / 700) for f in (50, 7_600, hertz))
    assert loudest == pytest.approx((mel - low) / (high - low) * 65 - 1, abs=1)


@pytest.mark.parametrize("hertz", [100, 150, 220, 400])
def test_pitch_is_counted_in_octaves_from_150_hz(hertz):
    octaves, voicing, _ = CompactAudio(DIM).prepare(tone(hertz))[5:-5, 64:].T
    # lags are whole samples: at 400 Hz one of 40 is 1/28 of an octave
    assert octaves.tolist() == pytest.approx([math.log2(hertz / 150)] * len(octaves), abs=0.03)
    assert voicing.min() > 0.8


@pytest.mark.parametrize("hertz", [90, 180, 330])
def test_overtones_do_not_move_the_pitch_by_octaves(hertz):
    voice = sum(tone(hertz * n) / n for n in range(1, 9)) + 0.1 * noise(8_000)
    octaves = CompactAudio(DIM).prepare(voice)[5:-5, 64]
    assert octaves.tolist() == pytest.approx([math.log2(hertz / 150)] * len(octaves), abs=0.04)


def test_noise_has_no_pitch():
    octaves, voicing, _ = CompactAudio(DIM).prepare(noise(16_000))[:, 64:].T
    assert voicing.median() == 0
    assert not octaves[voicing == 0].any()


def test_twice_the_amplitude_is_four_times_the_energy_and_the_same_pitch():
    change = CompactAudio(DIM).prepare(2 * noise(2_000)) - CompactAudio(DIM).prepare(noise(2_000))
    expected = torch.full_like(change, math.log(4))
    expected[:, 64:66] = 0
    torch.testing.assert_close(change, expected, rtol=1e-2, atol=1e-2)


def test_every_mel_band_hears_something():
    filters = mel_filters(64, rate=16_000, window=512)
    assert (filters.sum(dim=1) > 0).all()
    assert filters.min() >= 0
    assert filters.max() <= 1


def test_audio_statistics_come_from_training_frames_and_leave_pitch_and_voicing():
    encoder = CompactAudio(DIM)
    encoder.fit([torch.zeros(1, SOUND), torch.full((3, SOUND), 4.0), torch.zeros(0, SOUND)])
    # frames 0, 4, 4, 4: mean 3; sum of squares 9 + 3 = 12 a band, over 4 * 64 - 1 for all bands, over 3 for loudness
    torch.testing.assert_close(encoder.mean, torch.tensor([3.0] * 64 + [0, 0, 3]))
    torch.testing.assert_close(encoder.scale, torch.tensor([math.sqrt(12 * 64 / 255)] * 64 + [1, 1, 2]))


@pytest.mark.parametrize("frames", [[], [torch.ones(1, SOUND)], [torch.ones(5, SOUND)]])
def test_audio_statistics_of_hardly_anything_are_usable(frames):
    encoder = CompactAudio(DIM)
    encoder.fit(frames)
    assert encoder.mean.isfinite().all()
    assert (encoder.scale > 0).all()


def test_audio_goes_down_to_an_eighth_of_its_frames():
    out = build("audio")(batch("audio", [100, 9, 8, 1]))
    assert out.mask.sum(dim=1).tolist() == [13, 2, 1, 1]


# video


def test_faces_become_small_grey_pictures():
    raw = np.zeros((2, 96, 96, 3), np.uint8)
    raw[0] = 255
    raw[1, ..., 0] = 200
    prepared = CompactVideo(DIM).prepare(raw)
    assert prepared.dtype == torch.uint8
    assert prepared.shape == (2, 48, 48)
    assert prepared[0].unique().tolist() == [255]
    assert prepared[1].unique().tolist() == [60]  # 0.299 * 200 = 59.8


def test_no_faces_are_length_zero():
    assert CompactVideo(DIM).prepare(np.zeros((0, 96, 96, 3), np.uint8)).shape == (0, 48, 48)


def test_a_frame_is_read_in_the_light_of_those_before_and_after():
    encoder, frames = build("video"), batch("video", [5])
    before = encoder(frames).values
    frames.values[0, 4] = draw("video", 1)[0]
    assert not torch.equal(before[0, 0], encoder(frames).values[0, 0])


def test_light_and_contrast_of_a_frame_are_no_emotion():
    encoder, frames = build("video"), batch("video", [3])
    darker = Stream(frames.values * 0.5 + 10, frames.mask)
    torch.testing.assert_close(encoder(darker).values, encoder(frames).values, rtol=1e-3, atol=1e-3)


def test_an_evenly_coloured_frame_is_finite():
    encoder = build("video")
    frames = Stream(torch.full((1, 2, 48, 48), 7, dtype=torch.uint8), torch.ones(1, 2).bool())
    assert encoder(frames).values.isfinite().all()


# features


def test_a_feature_vector_is_a_sequence_of_one():
    assert Features(3, DIM).prepare(np.array([1, 2, 3])).tolist() == [[1, 2, 3]]
    assert Features(2, DIM).prepare(np.array([[1.0, 2.0], [3.0, 4.0]])).shape == (2, 2)


def test_features_that_are_no_numbers_become_zero():
    assert Features(3, DIM).prepare(np.array([np.nan, np.inf, -np.inf])).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 2, 3)])
def test_features_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=r"this model reads vectors of width 3"):
        Features(3, DIM).prepare(np.zeros(shape))


def test_feature_statistics_come_from_training_rows_and_a_constant_column_stays_zero():
    encoder = Features(2, DIM)
    encoder.fit([torch.tensor([[1.0, 5.0]]), torch.zeros(0, 2), torch.tensor([[3.0, 5.0]])])
    assert encoder.mean.tolist() == [2, 5]
    assert encoder.scale.tolist() == pytest.approx([math.sqrt(2), 1])
    encoder.project.weight.data = torch.eye(DIM, 2)
    encoder.project.bias.data.zero_()
    read = encoder.eval()(pad([torch.tensor([[3.0, 5.0]])])).values[0, 0, :2]
    assert read.tolist() == pytest.approx([1 / math.sqrt(2), 0])


@pytest.mark.parametrize("rows", [[], [torch.zeros(0, 2)], [torch.ones(1, 2)]])
def test_feature_statistics_of_hardly_anything_are_usable(rows):
    encoder = Features(2, DIM)
    encoder.fit(rows)
    assert encoder.mean.isfinite().all()
    assert encoder.scale.tolist() == [1, 1]


# building, and a whole model


def test_the_configured_encoder_is_built():
    config = ModelConfig(audio_encoder="features", audio_width=12, encoder_dim=32, text_max_length=9)
    built = {m: encoders.build(m, config) for m in config.modalities}
    assert [type(e) for e in built.values()] == [CompactText, Features, CompactVideo]
    assert [e.dim for e in built.values()] == [32] * 3
    assert built["audio"].width == 12
    assert built["text"].max_length == 9


def test_features_of_unknown_width_cannot_be_built():
    with pytest.raises(ValueError, match="audio_width is not set"):
        encoders.build("audio", ModelConfig(audio_encoder="features"))


def test_a_change_of_preparation_changes_the_name_under_which_it_is_cached():
    assert CompactText(DIM, max_length=9).preparation != CompactText(DIM).preparation
    assert CompactAudio(DIM, rate=8_000).preparation != CompactAudio(DIM).preparation
    assert len({b().preparation for b in BUILDERS.values()}) == len(BUILDERS)


def test_the_compact_encoders_are_small():
    config = ModelConfig()
    built = [encoders.build(m, config) for m in config.modalities]
    assert sum(p.numel() for e in built for p in e.parameters()) < 10_000_000


@pytest.fixture
def model(small_config):
    return MultimodalEmotionModel(small_config(fusion_type="mult")).eval()


def raw_streams():
    text = torch.randint(1, 1_000, (6, PIECES))
    return {
        "text": pad([text[:4], text[:0], text[:6], text[:0]]),
        "audio": batch("audio", [20, 9, 0, 0]),
        "video": batch("video", [2, 4, 0, 0]),
    }


def test_a_model_of_raw_inputs_sees_no_junk_in_value_or_gradient(model):
    clean = raw_streams()
    dirty = {m: polluted(s, -1 if m == "text" else float("nan")) for m, s in clean.items()}

    def outcome(streams):
        model.zero_grad()
        logits = model(streams).logits
        logits.square().sum().backward()
        return [logits, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    for ours, expected in zip(outcome(dirty), outcome(clean), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_a_models_rows_read_alone_are_read_the_same(model):
    streams = raw_streams()
    together = model(streams).logits
    for i in range(4):
        alone = model({m: s.rows(torch.tensor([i])) for m, s in streams.items()}).logits
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_a_model_reads_every_subset_with_its_encoders_run_once(model):
    streams, runs = raw_streams(), []
    hook = model.encoders["audio"].register_forward_hook(lambda *_: runs.append(1))
    read = model.read_subsets(streams, subsets(streams))
    hook.remove()
    assert runs == [1]
    assert list(read) == ["text", "audio", "video", "text+audio", "text+video", "audio+video", "text+audio+video"]
    torch.testing.assert_close(read["text+video"], model(keep_only(streams, ("text", "video"))).logits)
    torch.testing.assert_close(read["text+audio+video"], model(streams).logits)


def test_a_model_augments_each_modality_and_keeps_its_labels(model):
    streams = raw_streams()
    varied = model.augment(Batch(tuple("abcd"), streams, torch.eye(4)), torch.Generator().manual_seed(0))
    assert varied.ids == tuple("abcd")
    assert varied.labels.equal(torch.eye(4))
    assert not torch.allclose(varied.streams["audio"].values, streams["audio"].values)


def test_a_training_step_in_half_precision_has_finite_gradients(model):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(raw_streams()).logits
    logits.float().square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.encoders["video"].lstm.lstm.weight_ih_l0.grad.any()


def test_a_model_fits_its_encoders_on_prepared_inputs(model):
    model.fit_inputs({"text": [], "audio": [torch.full((2, SOUND), 3.0)], "video": []})
    assert model.encoders["audio"].mean[:64].tolist() == [3.0] * 64
