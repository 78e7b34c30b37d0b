"""Each fusion is true to its idea: its arithmetic redone by hand or by a slow loop with the very same weights."""

import math

import pytest
import torch
import torch.nn.functional as F

from emobraid import fusion
from emobraid.fusion.graph import GraphAttention, relation_table, stretches
from emobraid.fusion.hierarchical import MEMBERS
from emobraid.fusion.mult import DropAdd, norm
from emobraid.layers import positions
from emobraid.stream import Stream

DIM, CLASSES, HEADS = 16, 5, 2
NAMES = ("text", "audio", "video")
LENGTHS = {"text": [4, 0, 2, 0], "audio": [7, 3, 0, 0], "video": [2, 5, 0, 0]}


def build(name, *, depth=2, modalities=NAMES):
    """In evaluation mode, with no weight left at its initial zero."""
    made = fusion.build(name, modalities, DIM, CLASSES, depth=depth, heads=HEADS, dropout=0.3)
    for weight in made.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return made.eval()


@pytest.fixture(autouse=True)
def _values_only():
    with torch.no_grad():
        yield


@pytest.fixture
def streams(random_stream):
    return {m: random_stream(lengths, dim=DIM) for m, lengths in LENGTHS.items()}


@pytest.fixture
def full(random_stream):
    """Two utterances with everything."""
    return {m: random_stream([3, 5], dim=DIM) for m in NAMES}


def changed(streams, name):
    """Another content for one modality."""
    return {m: Stream(torch.randn_like(s.values), s.mask) if m == name else s for m, s in streams.items()}


def read_out(made, streams):
    """(B, M, D): what graph and mult concatenate after modalities have heard each other."""
    caught = []
    reader = made.readout if hasattr(made, "readout") else made.mix
    handle = reader.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    made(streams)
    handle.remove()
    return caught[0].unflatten(1, (-1, DIM))


# early


def test_early_is_an_mlp_on_the_concatenated_summaries_with_a_learned_vector_for_what_is_missing(streams):
    made = build("early", depth=1)
    read = made(streams)
    pooled = [made.summaries.pools[m](streams[m])[0] for m in NAMES]
    for row in range(4):
        parts = [pooled[i][row] if LENGTHS[m][row] else made.absent[i] for i, m in enumerate(NAMES)]
        torch.testing.assert_close(made.head(made.mlp(torch.cat(parts))), read.logits[row])


def test_early_tells_a_missing_modality_from_a_zero_one(streams):
    made = build("early")
    zero = {**streams, "text": Stream(torch.zeros_like(streams["text"].values), streams["text"].mask)}
    gone = {**streams, "text": Stream(streams["text"].values, torch.zeros_like(streams["text"].mask))}
    assert not torch.allclose(made(zero).logits[0], made(gone).logits[0], atol=1e-3)


# late


def test_late_is_a_prior_plus_each_modalitys_own_logits_times_its_trust(streams):
    made = build("late")
    read = made(streams)
    for row in range(4):
        logits, trusts = made.prior.clone(), []
        for i, m in enumerate(NAMES):
            trust = math.log1p(math.exp(made.trust[i])) if LENGTHS[m][row] else 0.0
            own = made.heads.heads[m](made.summaries.pools[m](streams[m])[0][row])
            if LENGTHS[m][row]:
                torch.testing.assert_close(read.unimodal[row, i], own)
            logits = logits + trust * own
            trusts.append(trust)
        torch.testing.assert_close(read.logits[row], logits)
        assert read.weights[row].tolist() == pytest.approx([t / max(sum(trusts), 1e-6) for t in trusts], abs=1e-6)


def test_late_says_its_prior_with_everything_missing(streams):
    made = build("late")
    torch.testing.assert_close(made(streams).logits[3], made.prior)


def test_late_lets_each_modality_decide_alone(full):
    made = build("late")
    before, after = made(full).unimodal, made(changed(full, "audio")).unimodal
    torch.testing.assert_close(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)


# adaptive


def test_adaptive_gates_depend_on_the_input_of_every_modality(full):
    made = build("adaptive")
    before = made(full).weights
    assert not torch.allclose(before[0], before[1], atol=1e-4)
    for m in NAMES:
        assert not torch.allclose(before, made(changed(full, m)).weights, atol=1e-4)


def test_adaptive_is_a_softmax_of_gates_over_present_voices_feature_by_feature(streams):
    made = build("adaptive", depth=1)
    read = made(streams)
    pooled = [made.summaries.pools[m](streams[m])[0] for m in NAMES]
    for row in range(4):
        there = [i for i, m in enumerate(NAMES) if LENGTHS[m][row]]
        seen = torch.cat([pooled[i][row] if i in there else made.absent[i] for i in range(3)])
        scores = made.gate(seen).view(3, DIM)
        features = torch.zeros(DIM)
        for d in range(DIM):
            total = sum(math.exp(scores[i, d]) for i in there)
            for i in there:
                voice = made.voices[i](pooled[i][row])[d]
                features[d] += len(there) * math.exp(scores[i, d]) / total * voice
        torch.testing.assert_close(read.features[row], features, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(read.logits[row], made.head(features), rtol=1e-4, atol=1e-5)


# contrastive


def test_contrastive_embeddings_lie_on_the_unit_sphere(streams):
    read = build("contrastive")(streams)
    lengths = read.embeddings.norm(dim=-1)
    torch.testing.assert_close(lengths, read.present.float())


def test_contrastive_reads_the_sum_of_what_is_there(streams):
    made = build("contrastive", depth=1)
    read = made(streams)
    for row in range(4):
        centre = torch.zeros(DIM)
        for i, m in enumerate(NAMES):
            if LENGTHS[m][row]:
                centre += F.normalize(made.into_space[i](made.summaries.pools[m](streams[m])[0][row]), dim=0)
        torch.testing.assert_close(read.logits[row], made.head(centre * math.sqrt(DIM)), rtol=1e-4, atol=1e-5)


def test_contrastive_places_each_modality_by_itself(full):
    made = build("contrastive")
    before, after = made(full).embeddings, made(changed(full, "text")).embeddings
    torch.testing.assert_close(before[:, 1:], after[:, 1:])


# graph


def test_relations_of_two_modalities_with_one_stretch_each():
    # nodes: A's whole, A's stretch, B's whole, B's stretch; four relations a pair (target, source) of modalities:
    # 0 when either is a whole, 1 before, 2 same time, 3 after; pairs AA 0, AB 4, BA 8, BB 12
    assert relation_table(2, 1).tolist() == [
        [0, 0, 4, 4],
        [0, 2, 4, 6],
        [8, 8, 12, 12],
        [8, 10, 12, 14],
    ]


def test_relations_tell_before_from_after():
    # one modality, two stretches; a row is the target that looks
    assert relation_table(1, 2).tolist() == [[0, 0, 0], [0, 2, 3], [0, 1, 2]]


def test_every_relation_has_an_embedding():
    made = build("graph")
    assert int(made.relations.max()) < made.layers[0].relation.num_embeddings


def test_stretches_are_means_over_equal_parts_of_what_is_real():
    values = torch.tensor([[1.0, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0], [1, 0, 3, 0, 5, 7], [0, 0, 0, 0, 0, 0]])[..., None]
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()
    means, filled = stretches(Stream(values.masked_fill(~mask[..., None], float("nan")), mask), 2)
    # three of three real steps: positions 0, 1 of 3 fall into the first half, 2 into the second
    assert means[..., 0].tolist() == [[2, 5], [7.5, 9], [2, 6], [0, 0]]
    assert filled.tolist() == [[True, True], [True, True], [True, True], [False, False]]


def test_an_utterance_shorter_than_its_stretches_leaves_some_empty():
    means, filled = stretches(Stream(torch.tensor([[[3.0], [5.0]]]), torch.ones(1, 2, dtype=torch.bool)), 4)
    assert filled.tolist() == [[True, False, True, False]]
    assert means.flatten().tolist() == [3, 0, 5, 0]


def test_a_graph_layer_is_gatv2_along_every_edge_between_present_nodes():
    layer = GraphAttention(8, 2, relations=8)
    nodes, there, relations = torch.randn(3, 4, 8), torch.rand(3, 4) > 0.3, torch.randint(8, (4, 4))
    there[2] = False
    messages = layer(nodes, there, relations)
    for b in range(3):
        for i in range(4):
            heard = torch.zeros(8)
            for h in range(2):
                part, scores = slice(4 * h, 4 * h + 4), {}
                for j in there[b].nonzero().flatten().tolist():
                    edge = layer.target(nodes[b, i]) + layer.source(nodes[b, j]) + layer.relation(relations[i, j])
                    scores[j] = math.exp(layer.score[h] @ F.leaky_relu(edge, 0.2)[part])
                for j, score in scores.items():
                    heard[part] += score / sum(scores.values()) * layer.source(nodes[b, j])[part]
            torch.testing.assert_close(messages[b, i], layer.out(heard), rtol=1e-4, atol=1e-5)


def test_graph_messages_pass_between_modalities_and_along_time(full):
    made = build("graph", depth=1)
    before, after = read_out(made, full), read_out(made, changed(full, "audio"))
    assert not torch.allclose(before[:, 0], after[:, 0], atol=1e-4)
    # the same steps in another order have the same whole, but other stretches
    turned = {**full, "text": Stream(full["text"].values.flip(1)[:, -3:], full["text"].mask[:, :3])}
    alone = {**full, "text": Stream(full["text"].values[:, :3], full["text"].mask[:, :3])}
    assert not torch.allclose(made(turned).logits[1], made(alone).logits[1], atol=1e-5)


def test_graph_has_no_stretches_of_a_single_position(random_stream):
    made = build("graph", depth=1)
    one = {m: random_stream([1, 4], dim=DIM) for m in NAMES}
    _, there, _ = made._nodes(one)
    assert there[0].tolist() == [[True, False, False, False, False]] * 3
    assert there[1].all()


@pytest.mark.parametrize("name", ["graph", "mult"])
def test_what_is_aligned_is_each_modality_before_it_hears_the_others(name, full):
    made = build(name)
    before, after = made(full).embeddings, made(changed(full, "text")).embeddings
    torch.testing.assert_close(before[:, 1:], after[:, 1:])
    assert not torch.allclose(before[:, 0], after[:, 0], atol=1e-4)


def test_mult_aligns_plain_means_over_what_is_real(streams):
    embeddings = build("mult")(streams).embeddings
    for i, m in enumerate(NAMES):
        for row, length in enumerate(LENGTHS[m]):
            expected = streams[m].values[row, :length].mean(dim=0) if length else torch.zeros(DIM)
            torch.testing.assert_close(embeddings[row, i], expected)


# mult


def _attend(query, key, value):
    """(T, D) over (S, D), head by head; zero without sources."""
    if not len(key):
        return torch.zeros_like(query)
    heads = zip(*(x.chunk(HEADS, dim=-1) for x in (query, key, value)), strict=True)
    return torch.cat([((q @ k.T) / math.sqrt(q.shape[-1])).softmax(-1) @ v for q, k, v in heads], dim=-1)


def _normed(x):
    """What a map without bias reads: its bias comes from the shift."""
    return F.layer_norm(x, (DIM,)) + DIM**-0.5


def _after(after, lane, x, seen):
    """The rest of a transformer layer with the weights of one lane."""
    x = x + seen @ after.out.weight[lane] + after.out.bias[lane, 0]
    wide = F.relu(_normed(x) @ after.widen.weight[lane])
    return x + wide @ after.narrow.weight[lane] + after.narrow.bias[lane, 0]


def _slow_mult(made, tokens):
    """One utterance, tokens by modality (T_m, D) -> logits: a loop over targets, sources and layers."""
    tokens = {m: x + positions(len(x), DIM, like=x) for m, x in tokens.items()}
    pooled = []
    for target, start in tokens.items():
        reread, module = [], made.targets[target]
        for lane, source in enumerate(s for s in tokens if s != target):
            x = start
            key_values = (_normed(tokens[source]) @ module.key_values[lane].weight.T).split(DIM, dim=1)
            for layer, cross in enumerate(module.cross):
                key, value = key_values[2 * layer : 2 * layer + 2]
                x = _after(cross.after, lane, x, _attend(_normed(x) @ cross.query.weight[lane], key, value))
            reread.append(x)
        x = module.join(torch.cat(reread or [start], dim=-1))
        for own in module.own:
            x = _after(own.after, 0, x, _attend(*(_normed(x) @ own.query_key_value.weight[0]).split(DIM, dim=1)))
        x, pool = module.norm(x), made.summaries.pools[target]
        pooled.append(pool.score(x).flatten().softmax(0) @ x)
    return made.head(made.mix(torch.cat(pooled)))


@pytest.mark.parametrize("modalities", [NAMES[:1], NAMES[:2], NAMES], ids=len)
@pytest.mark.parametrize("depth", [1, 2])
def test_mult_equals_a_plain_loop_over_utterances_and_directed_pairs(modalities, depth, streams):
    made = build("mult", depth=depth, modalities=modalities)
    logits = made({m: streams[m] for m in modalities}).logits
    for row in range(4):
        alone = {m: streams[m].values[row, : LENGTHS[m][row]] for m in modalities}
        torch.testing.assert_close(logits[row], _slow_mult(made, alone), rtol=1e-5, atol=1e-5)


def test_mult_rereads_every_modality_by_every_other(full):
    made = build("mult", depth=1)
    before = read_out(made, full)
    for m in NAMES:
        assert not any(torch.allclose(b, a, atol=1e-4) for b, a in zip(
            before.unbind(1), read_out(made, changed(full, m)).unbind(1), strict=True
        ))  # fmt: skip


def test_mult_gives_each_directed_pair_its_own_weights(full):
    made = build("mult", depth=1)
    before = read_out(made, full)
    pairs = 0
    for index, target in enumerate(NAMES):
        for lane in range(2):
            block = made.targets[target].cross[0]
            for module in (block.query, block.after.narrow):
                kept = module.weight[lane].clone()
                module.weight[lane] += 0.5
                after = read_out(made, full)
                module.weight[lane] = kept
                moved = [not torch.allclose(before[:, i], after[:, i], atol=1e-5) for i in range(3)]
                assert moved == [i == index for i in range(3)]
            pairs += 1
    assert pairs == 6


def test_a_shift_common_to_normed_features_is_a_bias():
    x, weight = torch.randn(7, DIM), torch.randn(DIM, 3)
    shifted = norm(x) @ weight
    torch.testing.assert_close(shifted, F.layer_norm(x, (DIM,)) @ weight + weight.sum(dim=0) / DIM**0.5)
    # and the weights hold any bias without changing the rest of the map
    bias = torch.tensor([1.0, -2.0, 3.0])
    moved = weight + (bias - weight.sum(dim=0) / DIM**0.5) / DIM**0.5
    torch.testing.assert_close(norm(x) @ moved, F.layer_norm(x, (DIM,)) @ weight + bias)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_mult_drops_its_share_and_keeps_the_mean(rate):
    layer, start, added = DropAdd(rate), torch.randn(3, 1001, 7), torch.ones(3, 1001, 7)
    for counted in (layer(start, added.clone()) - start, layer(torch.zeros(()), added.clone())):
        dropped = counted.abs() < 1e-5
        assert dropped.float().mean().item() == pytest.approx(rate, abs=0.015)
        # 26 of 256 for 0.1: the rest makes up for exactly that
        scale = 256 / (256 - round(256 * rate))
        torch.testing.assert_close(counted[~dropped], torch.full_like(counted[~dropped], scale), atol=1e-4, rtol=0)
    torch.testing.assert_close(layer.eval()(start, added), start + 1)


def test_what_mult_drops_passes_no_gradient_and_comes_from_the_seed():
    def gradients():
        torch.manual_seed(5)
        with torch.enable_grad():
            x, y = torch.zeros(40, 4, requires_grad=True), torch.ones(40, 4, requires_grad=True)
            out = DropAdd(0.25)(x, y * 1.0)
            return out, *torch.autograd.grad(out.sum(), (x, y))

    out, to_x, to_y = gradients()
    assert (to_x == 1).all()
    torch.testing.assert_close(to_y, out.detach())
    assert 0 < (to_y == 0).sum() < 160
    torch.testing.assert_close(gradients()[0], out)


def test_mult_reads_the_order_of_steps(full):
    made = build("mult")
    turned = {**full, "text": Stream(full["text"].values.flip(1), full["text"].mask)}
    assert not torch.allclose(made(full).logits[1], made(turned).logits[1], atol=1e-4)


# hierarchical


def test_hierarchical_returns_the_logits_of_its_members_in_their_order(streams):
    made = build("hierarchical")
    read = made(streams)
    assert list(MEMBERS) == ["early", "late", "mult", "graph", "contrastive", "adaptive"]
    for i, name in enumerate(MEMBERS):
        torch.testing.assert_close(read.members[:, i], made.members[name](streams).logits)


def test_hierarchical_is_a_gated_mean_of_its_members_and_a_correction(streams):
    made, seen = build("hierarchical"), []
    hook = made.gate.register_forward_hook(lambda module, inputs, out: seen.append(out.squeeze(-1)))
    read = made(streams)
    hook.remove()
    gate = seen[0].softmax(dim=1)
    torch.testing.assert_close(gate.sum(dim=1), torch.ones(4))
    assert (gate > 0).all()
    for row in range(4):
        mean = sum(gate[row, f] * read.members[row, f] for f in range(len(MEMBERS)))
        torch.testing.assert_close(read.logits[row], mean + made.correct(read.features[row]), rtol=1e-4, atol=1e-5)
    # the gate chooses by sample
    assert not torch.allclose(gate[0], gate[1], atol=1e-4)


def test_hierarchical_hears_every_member(streams):
    made = build("hierarchical")
    before = made(streams).logits
    for name in MEMBERS:
        head = made.members[name].head if name != "late" else made.members[name].heads.heads["text"]
        last = head if isinstance(head, torch.nn.Linear) else head[-1]
        kept = last.bias.clone()
        last.bias[0] += 1.0
        assert not torch.allclose(before[0], made(streams).logits[0], atol=1e-3), name
        last.bias.copy_(kept)
