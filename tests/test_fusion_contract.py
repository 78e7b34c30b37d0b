"""What every fusion promises, for one to four modalities; a new entry in FUSIONS is held to it by being added.

The utterances of `STREAMS` have all, some, one or none of the modalities, at unequal lengths.
"""

from functools import cache

import pytest
import torch
from safetensors.torch import load, save

from emobraid import fusion
from emobraid.fusion import FUSIONS
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, keep_only, present, subsets

DIM, CLASSES = 16, 5
LENGTHS = {
    "text": [4, 0, 2, 0, 6],
    "audio": [7, 3, 0, 0, 1],
    "video": [2, 5, 0, 0, 3],
    "motion": [0, 4, 1, 0, 2],
}
NAMES = tuple(LENGTHS)
BATCH = len(LENGTHS["text"])
JUNK = ([float("nan")], [float("inf"), -float("inf"), 1e9, -1e9])  # side by side, as often as fits
COUNTS = pytest.mark.parametrize("count", range(1, len(NAMES) + 1))
EVERY = pytest.mark.parametrize("name", FUSIONS)


def build(name, count, *, depth=None, seed=0):
    """A fusion in evaluation mode, one or two layers deep, none of whose weights is at its initial zero."""
    return _build(name, count, depth or 1 + count % 2, seed)


@cache
def _build(name, count, depth, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = fusion.build(name, NAMES[:count], DIM, CLASSES, depth=depth, heads=2, dropout=0.3)
        for weight in made.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    return made.eval()


@pytest.fixture
def streams(random_stream):
    return {m: random_stream(lengths, dim=DIM) for m, lengths in LENGTHS.items()}


def first(streams, count):
    return {m: streams[m] for m in NAMES[:count]}


def polluted(stream, junk):
    values = torch.tensor(junk).repeat(DIM)[:DIM].expand_as(stream.values)
    return Stream(torch.where(stream.mask[..., None], stream.values, values), stream.mask)


def padded(stream, steps, *, junk=0.0):
    """Masked steps appended."""
    values, mask = stream
    more = values.new_full((len(values), steps, values.shape[2]), junk)
    return Stream(torch.cat([values, more], 1), torch.cat([mask, mask.new_zeros(len(mask), steps)], 1))


def close(ours, expected):
    """As `assert_close`, but quick; NaN is close to nothing."""
    return torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def assert_same(ours, expected, *, rows=slice(None)):
    for field, value, wanted in zip(ours._fields, ours, expected, strict=True):
        assert (value is None) == (wanted is None), field
        assert value is None or close(value, wanted[rows]), field


def pulled(made, streams):
    """The reading, and the gradients of all of it with respect to every weight and every input."""
    inputs = {m: Stream(s.values.clone().requires_grad_(), s.mask) for m, s in streams.items()}
    made.zero_grad()
    read = made(inputs)
    outputs = [read.logits, read.features, read.embeddings, read.unimodal, read.weights, read.members]
    # not only squares: the gradient of a square is zero where the value is
    sum((out.square() + out).sum() for out in outputs if out is not None and out.requires_grad).backward()
    weights = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    return read, weights, {m: s.values.grad for m, s in inputs.items()}


def differing(ours, expected):
    """The names of gradients that are not the same, or not finite."""
    assert ours.keys() == expected.keys()
    if close(*(torch.cat([g.flatten() for g in side.values()]) for side in (ours, expected))):
        return []
    return [n for n, gradient in ours.items() if not close(gradient, expected[n])]


@EVERY
@COUNTS
def test_what_a_masked_position_holds_changes_no_output_and_no_gradient(name, count, streams):
    made, clean = build(name, count), first(streams, count)
    expected, expected_weights, _ = pulled(made, clean)
    for junk in JUNK:
        read, weights, inputs = pulled(made, {m: polluted(s, junk) for m, s in clean.items()})
        assert_same(read, expected)
        assert differing(weights, expected_weights) == []
        for m, gradient in inputs.items():
            assert gradient is None or not gradient[~clean[m].mask].any(), f"a masked position of {m} is pulled"


@EVERY
@COUNTS
def test_padding_changes_nothing(name, count, streams):
    made, short = build(name, count), first(streams, count)
    longer = {m: padded(s, 1 + 2 * i, junk=float("nan")) for i, (m, s) in enumerate(short.items())}
    assert_same(made(longer), made(short))


@EVERY
@COUNTS
def test_batch_mates_and_what_they_lack_do_not_matter(name, count, random_stream):
    made, rows = build(name, count), 2**count
    # every pattern of missing modalities, at unequal lengths
    lengths = [[(1 + (3 * i + 5 * j) % 7) * (i >> j & 1) for i in range(rows)] for j in range(count)]
    batch = {m: random_stream(lengths[j], dim=DIM) for j, m in enumerate(NAMES[:count])}
    together = made(batch)
    for i in range(rows):
        assert_same(made({m: s.rows(torch.tensor([i])) for m, s in batch.items()}), together, rows=slice(i, i + 1))


@EVERY
@pytest.mark.parametrize("count", [1, 3])
def test_rows_in_another_order_give_the_same_in_that_order(name, count, streams):
    made, batch, order = build(name, count), first(streams, count), torch.tensor([3, 1, 4, 0, 2])
    assert_same(made({m: s.rows(order) for m, s in batch.items()}), made(batch), rows=order)


@EVERY
@COUNTS
def test_every_subset_of_modalities_can_be_read(name, count, random_stream):
    made, full = build(name, count), {m: random_stream([3, 5], dim=DIM) for m in NAMES[:count]}
    logits = []
    for kept in subsets(full):
        masked = keep_only(full, kept)
        read = made(masked)
        logits.append(read.logits.detach())
        assert read.present.tolist() == [[m in kept for m in full]] * 2
        if len(kept) == 1:
            # a missing modality is a sequence of length zero
            gone = {m: s if m in kept else Stream(s.values[:, :0], s.mask[:, :0]) for m, s in full.items()}
            assert_same(made(gone), read)
    if len(logits) > 1:
        assert torch.pdist(torch.stack([rows[0] for rows in logits])).min() > 1e-3, "two subsets are read alike"


@EVERY
@COUNTS
@pytest.mark.parametrize("steps", [0, 3])
def test_gradients_are_finite_with_everything_missing(name, count, steps):
    made = build(name, count)
    nothing = {
        m: Stream(torch.full((2, steps, DIM), float("nan")), torch.zeros(2, steps, dtype=torch.bool))
        for m in NAMES[:count]
    }
    read, weights, inputs = pulled(made, nothing)
    assert close(read.logits[0], read.logits[1])
    assert not read.present.any()
    assert not read.embeddings.any()
    assert any(g.any() for g in weights.values())
    assert all(g.isfinite().all() for g in weights.values())
    assert not any(g is not None and g.any() for g in inputs.values())


@EVERY
@COUNTS
def test_every_weight_learns_where_everything_is_there(name, count, random_stream):
    made = build(name, count)
    _, weights, inputs = pulled(made, {m: random_stream([3, 5], dim=DIM) for m in NAMES[:count]})
    assert weights.keys() == dict(made.named_parameters()).keys()
    assert all(g.isfinite().all() for g in weights.values())
    assert all(g.any() for g in inputs.values())


@EVERY
@pytest.mark.parametrize("count", [1, 3])
def test_saved_and_loaded_it_reads_the_same(name, count, streams):
    made, other, batch = build(name, count), build(name, count, seed=1), first(streams, count)
    expected = made(batch)
    assert not close(other(batch).logits, expected.logits)
    other.load_state_dict(load(save(made.state_dict())))
    for value, wanted in zip(other(batch), expected, strict=True):
        assert value is wanted is None or value.equal(wanted)


@EVERY
@pytest.mark.parametrize("count", [2, 4])
def test_the_order_of_the_streams_does_not_matter(name, count, streams):
    made, batch = build(name, count), first(streams, count)
    assert_same(made(dict(reversed(batch.items()))), made(batch))


@EVERY
@pytest.mark.parametrize("count", [1, 3])
def test_a_masked_step_in_the_middle_is_not_read(name, count, random_stream):
    made, batch = build(name, count), {m: random_stream([5, 4], dim=DIM) for m in NAMES[:count]}
    for s in batch.values():
        s.mask[:, 1:3] = False
    assert_same(made({m: polluted(s, JUNK[0]) for m, s in batch.items()}), made(batch))


# mult, and hierarchical through it, give every step its place in time, which a hole keeps
@pytest.mark.parametrize("name", [n for n in FUSIONS if n not in ("mult", "hierarchical")])
@COUNTS
def test_a_hole_is_as_if_the_step_had_never_been_there(name, count, random_stream):
    made, batch = build(name, count), {m: random_stream([6, 6], dim=DIM) for m in NAMES[:count]}
    kept = torch.tensor([False, True, False, True, True, True])
    holed = {m: Stream(s.values, s.mask & kept) for m, s in batch.items()}
    closed = {m: Stream(s.values[:, kept], s.mask[:, kept]) for m, s in batch.items()}
    assert_same(made(holed), made(closed))


@EVERY
@pytest.mark.parametrize(("count", "depth"), [(1, 3), (1, 2), (2, 1), (3, 2), (4, 1)])
def test_what_comes_out_has_the_promised_shapes(name, count, depth, streams):
    read = build(name, count, depth=depth)(first(streams, count))
    assert read.logits.shape == (BATCH, CLASSES)
    assert read.features.shape == (BATCH, DIM)
    assert read.embeddings.shape == (BATCH, count, DIM)
    assert read.present.shape == (BATCH, count)
    assert read.unimodal is None or read.unimodal.shape == (BATCH, count, CLASSES)
    assert read.weights is None or read.weights.shape == (BATCH, count)
    assert (read.members is None) == (name != "hierarchical")


@EVERY
@COUNTS
def test_a_missing_modality_has_no_summary_no_opinion_and_no_weight(name, count, streams):
    batch = first(streams, count)
    read, there = build(name, count)(batch), present(batch)
    assert read.present.equal(there)
    for by_modality in (read.embeddings, read.unimodal):
        if by_modality is not None:
            assert not by_modality[~there].any()
            assert by_modality[there].any(dim=-1).all()
    if read.weights is not None:
        assert not read.weights[~there].any()
        assert (read.weights[there] > 0).all()
        torch.testing.assert_close(read.weights.sum(dim=1), there.any(dim=1).float())


@EVERY
def test_half_precision_reads_nearly_the_same(name, streams):
    made, batch = build(name, 3), first(streams, 3)
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(batch).logits
    # bfloat16 keeps 8 bits: some 0.4 % a step
    torch.testing.assert_close(rough.float(), made(batch).logits, rtol=0.05, atol=0.1)


@EVERY
def test_inside_a_model_raw_junk_changes_neither_logits_nor_gradients(name, small_config, random_stream):
    config = small_config(
        fusion_type=name, **{f"{m}_encoder": "features" for m in NAMES[:3]}, **{f"{m}_width": DIM for m in NAMES[:3]}
    )
    model = MultimodalEmotionModel(config).eval()
    clean = {m: random_stream(LENGTHS[m], dim=DIM) for m in NAMES[:3]}

    def outcome(streams):
        model.zero_grad()
        logits = model(streams).logits
        logits.square().sum().backward()
        return [logits, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    dirty = outcome({m: polluted(s, JUNK[0]) for m, s in clean.items()})
    assert all(close(ours, expected) for ours, expected in zip(dirty, outcome(clean), strict=True))


def test_the_seven_fusions_are_there():
    assert list(FUSIONS) == ["early", "late", "mult", "graph", "contrastive", "adaptive", "hierarchical"]


def test_an_unknown_fusion_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown fusion 'tensor', known: early, late, mult"):
        fusion.build("tensor", ("text",), DIM, CLASSES, depth=1, heads=2, dropout=0.0)


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="16 must be a multiple of the number of heads, 3"):
        fusion.build("mult", ("text",), DIM, CLASSES, depth=1, heads=3, dropout=0.0)
