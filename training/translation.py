"""English → French from scratch: a small Marian transformer on the Tatoeba pairs of data/translation
and on pairs of our own (phrases.py).

Multi30k's lines are skipped (CC BY-NC-SA: measured on, never trained on).
prepare: the SentencePiece model (joint), and all pairs as ids in one file (for a GPU machine that has neither data).
train:   the weights, on a GPU (or a CPU, slowly), for so many seconds: the rate follows the clock.
export:  a folder in Hugging Face's Marian format, layer matrices as ggml's Q5_1, the embedding as Q8_0.
"""

import argparse
import gzip
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SEED = 20261127
VOCABULARY = 8000
PAD = VOCABULARY - 1
WIDTH, INNER, HEADS, ENCODER, DECODER = 320, 1024, 5, 6, 2
WIDEST = 64  # tokens of either side
OWN = 24_000  # pairs of phrases.py in each of the variants below
VARIANTS = 4
ROUNDED_FROM = 0.7


def pairs(path, corpus):
    """(English, French) lines of one corpus."""
    opened = gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else open(path, encoding="utf-8")
    with opened as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    return [(row[1], row[2]) for row in rows if row[0] == corpus]


def pieces(data, work):
    """One SentencePiece unigram model over both languages, trained once."""
    import sentencepiece

    from phrases import pairs as own

    model = work / "joint.model"
    if not model.exists():
        rows = pairs(data / "translation/en-fr/train.tsv.gz", "tatoeba") + own(random.Random(SEED), OWN)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(side for pair in rows for side in pair), model_prefix=str(work / "joint"),
            vocab_size=VOCABULARY - 1, character_coverage=1.0, bos_id=-1, eos_id=0, unk_id=1, num_threads=1, minloglevel=1,
        )
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def as_typed(pair, rng):
    """Now and then as people type: no full stop on either side, or a small first letter too, or another apostrophe."""
    english, french = pair
    luck = rng.random()
    if luck < 0.12 and english.endswith(".") and french.endswith("."):
        english, french = english[:-1], french[:-1].rstrip()
        if luck < 0.06 and not english.startswith("I"):
            english = english[:1].lower() + english[1:]
    if rng.random() < 0.1:
        english = english.replace("'", "’")
    return english, french.replace("’", "'")


def prepare(args):
    """All pairs as ids: `pairs.npz` with VARIANTS ways to type each."""
    from phrases import pairs as own

    data, work = Path(args.data), Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    spm = pieces(data, work)
    real = pairs(data / "translation/en-fr/train.tsv.gz", "tatoeba")
    out = {}
    for variant in range(VARIANTS):
        rng = random.Random(f"{SEED} {variant}")
        rows = [as_typed(p, rng) for p in real + own(rng, OWN)]
        for side, name in ((0, "source"), (1, "target")):
            ids = [spm.encode(r[side])[: WIDEST - 1] + [0] for r in rows]
            out[f"{name}{variant}"] = np.concatenate([np.array(i, dtype=np.uint16) for i in ids])
            out[f"{name}_lengths{variant}"] = np.array([len(i) for i in ids], dtype=np.uint8)
    dev = pairs(data / "translation/en-fr/dev.tsv", "tatoeba")
    out["dev"] = np.frombuffer(json.dumps([[spm.encode(e) + [0], f] for e, f in dev]).encode(), dtype=np.uint8)
    np.savez_compressed(work / "pairs.npz", **out)
    print({k: v.shape for k, v in out.items()}, (work / "pairs.npz").stat().st_size)


class Transformer(torch.nn.Module):
    """Marian's: sinusoids, layer norm after each sublayer, swish. Matrices of one shape lie in one tensor."""

    def __init__(self, dropout):
        super().__init__()
        blocks, squares = ENCODER + DECODER, 4 * ENCODER + 8 * DECODER
        norms = 2 * ENCODER + 3 * DECODER
        scaled = lambda *shape: torch.nn.Parameter(torch.randn(*shape) * shape[-1] ** -0.5)
        self.emb = torch.nn.Parameter(torch.randn(VOCABULARY, WIDTH) * WIDTH ** -0.5)
        self.square, self.square_b = scaled(squares, WIDTH, WIDTH), torch.nn.Parameter(torch.zeros(squares, WIDTH))
        self.up, self.up_b = scaled(blocks, INNER, WIDTH), torch.nn.Parameter(torch.zeros(blocks, INNER))
        self.down, self.down_b = scaled(blocks, WIDTH, INNER), torch.nn.Parameter(torch.zeros(blocks, WIDTH))
        self.norm, self.norm_b = torch.nn.Parameter(torch.ones(norms, WIDTH)), torch.nn.Parameter(torch.zeros(norms, WIDTH))
        self.bias = torch.nn.Parameter(torch.zeros(VOCABULARY))
        self.dropout = dropout
        at = torch.arange(512)[:, None] / 10000 ** (2 * (torch.arange(WIDTH // 2)) / WIDTH)[None]
        self.register_buffer("positions", torch.cat([at.sin(), at.cos()], 1), persistent=False)

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training)

    def joined(self, x, add, n):
        return F.layer_norm((x + self.drop(add)).float(), (WIDTH,), self.norm[n], self.norm_b[n], 1e-5).bfloat16()

    def attention(self, x, memory, mask, causal, n, w):
        split = lambda t: t.view(t.shape[0], t.shape[1], HEADS, -1).transpose(1, 2)
        q = F.linear(x, w["square"][n], w["square_b"][n])
        k = F.linear(memory, w["square"][n + 1], w["square_b"][n + 1])
        v = F.linear(memory, w["square"][n + 2], w["square_b"][n + 2])
        out = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask, is_causal=causal)
        return F.linear(out.transpose(1, 2).reshape(x.shape), w["square"][n + 3], w["square_b"][n + 3])

    def forward_block(self, x, n, norm, w):
        inner = self.drop(F.silu(F.linear(x, w["up"][n], w["up_b"][n])))
        return self.joined(x, F.linear(inner, w["down"][n], w["down_b"][n]), norm)

    def embed(self, ids, w):
        x = F.embedding(ids, w["emb"]).float() * WIDTH ** 0.5 + self.positions[: ids.shape[1]]
        return self.drop(x).bfloat16()

    def encode(self, source, w):
        mask = (source != PAD)[:, None, None, :]
        x = self.embed(source, w)
        for layer in range(ENCODER):
            x = self.joined(x, self.attention(x, x, mask, False, 4 * layer, w), 2 * layer)
            x = self.forward_block(x, layer, 2 * layer + 1, w)
        return x, mask

    def decode(self, memory, mask, shifted, w):
        x = self.embed(shifted, w)
        for layer in range(DECODER):
            n, norm = 4 * ENCODER + 8 * layer, 2 * ENCODER + 3 * layer
            x = self.joined(x, self.attention(x, x, None, True, n, w), norm)
            x = self.joined(x, self.attention(x, memory, mask, False, n + 4, w), norm + 1)
            x = self.forward_block(x, ENCODER + layer, norm + 2, w)
        return x

    def working(self, rounded):
        """What a step computes with: bfloat16, after the rounding of the shipped file where that is on."""
        w = {n: getattr(self, n) for n in ("emb", "square", "square_b", "up", "up_b", "down", "down_b", "bias")}
        if rounded:
            for name in ("square", "up", "down"):
                w[name] = w[name] + (five_bits(w[name].detach()) - w[name].detach())
        return {n: t.bfloat16() for n, t in w.items()}


def five_bits(weight):
    """The matrix as Q5_1 will give it back (encoder.py has the same)."""
    from encoder import five_bits as rounded

    return rounded(weight)


def losses(model, source, target, divergence, rounded):
    """Cross entropy with label smoothing; with R-Drop (Liang et al. 2021, arXiv:2106.14448) where `divergence` is over 0:
    every pair twice, and the two distributions drawn together."""
    if divergence:
        source, target = torch.cat([source, source]), torch.cat([target, target])
    w = model.working(rounded)
    memory, mask = model.encode(source, w)
    shifted = torch.cat([torch.full_like(target[:, :1], PAD), target[:, :-1]], 1)
    hidden = model.decode(memory, mask, shifted, w)
    kept = target != PAD
    logits = F.linear(hidden[kept], w["emb"], w["bias"])
    said = F.log_softmax(logits.float(), -1)
    truth = target[kept]
    loss = F.nll_loss(said, truth) * 0.9 - said.mean() * 0.1
    if divergence:
        a, b = said.chunk(2)
        loss = loss + divergence * 0.25 * ((a.exp() - b.exp()) * (a - b)).sum(-1).mean()
    return loss


@torch.no_grad()
def translate(model, sources):
    """Greedy, all at once."""
    model.eval()
    w = model.working(True)
    longest = max(map(len, sources))
    source = torch.tensor([s + [PAD] * (longest - len(s)) for s in sources], device=model.emb.device)
    memory, mask = model.encode(source, w)
    said = torch.full((len(sources), 1), PAD, device=source.device)
    over = torch.zeros(len(sources), dtype=torch.bool, device=source.device)
    for _ in range(70):
        logits = F.linear(model.decode(memory, mask, said, w)[:, -1], w["emb"], w["bias"]).float()
        logits[:, PAD] = -math.inf
        following = torch.where(over, torch.zeros_like(said[:, 0]), logits.argmax(-1))
        said = torch.cat([said, following[:, None]], 1)
        over |= following == 0
        if bool(over.all()):
            break
    model.train()
    return [[t for t in row if t not in (0, PAD)] for row in said.tolist()]


class Data:
    """All pairs on the device, padded; batches of like length."""

    def __init__(self, path, device):
        file = np.load(path)
        self.sets, self.rng, self.device = [], np.random.default_rng(SEED), device
        for variant in range(sum(name.startswith("source_lengths") for name in file)):
            sides = []
            for name in ("source", "target"):
                lengths = file[f"{name}_lengths{variant}"].astype(np.int64)
                flat, out = file[f"{name}{variant}"].astype(np.int16), np.full((len(lengths), WIDEST), PAD, dtype=np.int16)
                out[np.arange(WIDEST)[None] < lengths[:, None]] = flat
                sides += [torch.from_numpy(out).to(device), lengths]
            self.sets.append(sides)
        self.dev = json.loads(bytes(file["dev"]))

    def epoch(self, n, tokens):
        source, source_lengths, target, target_lengths = self.sets[n % len(self.sets)]
        longest = np.maximum(source_lengths, target_lengths) + self.rng.uniform(0, 0.9, len(source_lengths))
        order, batches, at = np.argsort(longest, kind="stable"), [], 0
        while at < len(order):
            count = max(8, int(tokens // longest[order[min(at + 64, len(order) - 1)]]))
            batches.append(order[at : at + count])
            at += count
        self.rng.shuffle(batches)
        for rows in batches:
            index = torch.from_numpy(rows).to(self.device)
            yield (source[index, : int(source_lengths[rows].max())].long(), target[index, : int(target_lengths[rows].max())].long())


def orthogonal(g):
    """Newton-Schulz, as in Muon (Jordan et al. 2024); `g` [matrices, rows, columns]."""
    turned = g.shape[1] > g.shape[2]
    x = (g.transpose(1, 2) if turned else g).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.transpose(1, 2) if turned else x


class Muon:
    def __init__(self, params, decay):
        self.params, self.decay, self.momentum = params, decay, [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self, rate):
        for p, m in zip(self.params, self.momentum):
            m.lerp_(p.grad, 0.05)
            step = orthogonal(p.grad.lerp(m, 0.95))
            p.mul_(1 - rate * self.decay).add_(step.to(p.dtype), alpha=-rate * max(1, p.shape[1] / p.shape[2]) ** 0.5)


def rate_at(share, warm=0.03, cool=0.75):
    return share / warm if share < warm else min(1.0, (1 - share) / cool)


def train(args):
    work = Path(args.work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(SEED + args.seed)
    data, model = Data(work / "pairs.npz", device), Transformer(args.dropout).to(device)
    matrices = [model.square, model.up, model.down]
    rest = [p for p in model.parameters() if all(p is not m for m in matrices)]
    muon = Muon(matrices, args.decay) if args.muon else None
    adam = torch.optim.AdamW(rest + ([] if muon else matrices), lr=1.0, betas=(0.9, 0.98), weight_decay=0.0, fused=device == "cuda")
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(data.sets[0][1]):,} pairs, {args.seconds} s", flush=True)
    started, step, epoch, looked, running = time.time(), 0, 0, 0.0, 0.0
    over = False
    while not over:
        for source, target in data.epoch(epoch, args.tokens):
            share = (time.time() - started) / args.seconds
            if share >= 1:
                over = True
                break
            rate = rate_at(share)
            loss = losses(model, source, target, args.divergence, share > ROUNDED_FROM)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            adam.param_groups[0]["lr"] = args.adam * rate
            adam.step()
            if muon:
                muon.step(args.muon * rate)
            for p in model.parameters():
                p.grad = None
            step += 1
            if step % 200 == 0:
                print(f"{time.time() - started:.0f} s step {step} epoch {epoch} loss {loss.item():.4f}", flush=True)
                if not math.isfinite(loss.item()):
                    raise SystemExit("the loss is no number")
            if share - looked > 0.12:
                looked = share
                report(model, data, work, args, f"{time.time() - started:.0f} s")
        epoch += 1
    report(model, data, work, args, f"end, {step} steps, {epoch} epochs")
    state = {n: p.detach().float().cpu() for n, p in model.named_parameters()}
    torch.save(state, work / f"{args.name}.pt")
    out = Path(args.out or work)
    weigh(state, out / f"{args.name}.safetensors")
    print("done", flush=True)


def report(model, data, work, args, when):
    """BLEU of greedy translations of dev, decoded by SentencePiece."""
    import sacrebleu
    import sentencepiece

    spm = sentencepiece.SentencePieceProcessor(model_file=str(work / "joint.model"))
    dev = data.dev[: args.dev]
    said = [spm.decode(row) for row in translate(model, [d[0] for d in dev])]
    score = sacrebleu.corpus_bleu(said, [[d[1] for d in dev]]).score
    print(f"{args.name} {when}: BLEU {score:.2f} greedy, rounded weights, n = {len(dev)}", flush=True)


def weigh(state, path):
    """The weights under Marian's names, rounded."""
    from safetensors.torch import save_file

    from encoder import q5_1
    from vocabulary import q8_0

    out = {"model.shared.weight.q8_0": q8_0(state["emb"]), "final_logits_bias": state["bias"].half()[None]}
    square = iter(range(len(state["square"])))
    norm = iter(range(len(state["norm"])))

    def matrix(name, weight, bias):
        out[f"{name}.weight.q5_1"], out[f"{name}.bias"] = q5_1(weight), bias.half()

    def attention(name):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            n = next(square)
            matrix(f"{name}.{part}", state["square"][n], state["square_b"][n])
        layer_norm(f"{name}_layer_norm")

    def layer_norm(name):
        n = next(norm)
        out[f"{name}.weight"], out[f"{name}.bias"] = state["norm"][n].half(), state["norm_b"][n].half()

    for n in range(ENCODER + DECODER):
        stack = f"model.encoder.layers.{n}" if n < ENCODER else f"model.decoder.layers.{n - ENCODER}"
        attention(f"{stack}.self_attn")
        if n >= ENCODER:
            attention(f"{stack}.encoder_attn")
        matrix(f"{stack}.fc1", state["up"][n], state["up_b"][n])
        matrix(f"{stack}.fc2", state["down"][n], state["down_b"][n])
        layer_norm(f"{stack}.final_layer_norm")
    save_file({n: t.contiguous() for n, t in out.items()}, path, metadata={"format": "pt"})


def export(args):
    from encoder import entry

    work, out = Path(args.work), Path(args.models) / "translate-en-fr"
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.safetensors").write_bytes((work / f"{args.name}.safetensors").read_bytes())
    config = {
        "vocab_size": VOCABULARY, "max_position_embeddings": 512, "d_model": WIDTH,
        "encoder_ffn_dim": INNER, "encoder_layers": ENCODER, "encoder_attention_heads": HEADS,
        "decoder_ffn_dim": INNER, "decoder_layers": DECODER, "decoder_attention_heads": HEADS,
        "activation_function": "swish", "scale_embedding": True, "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True, "bos_token_id": 0, "pad_token_id": PAD, "eos_token_id": 0,
        "decoder_start_token_id": PAD, "forced_eos_token_id": 0, "model_type": "marian",
        "architectures": ["MarianMTModel"], "num_beams": 4, "bad_words_ids": [[PAD]],
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    import sentencepiece

    spm = sentencepiece.SentencePieceProcessor(model_file=str(work / "joint.model"))
    words = {spm.id_to_piece(i): i for i in range(spm.get_piece_size())} | {"<pad>": PAD}
    (out / "vocab.json").write_text(json.dumps(words, ensure_ascii=False) + "\n", encoding="utf-8")
    # One model over both languages, under the two names that Marian's folders have.
    for name in ("source.spm", "target.spm"):
        (out / name).write_bytes((work / "joint.model").read_bytes())
    for path in out.iterdir():
        path.chmod(0o644)
    manifest = json.loads((Path(__file__).parent / "translation.manifest.json").read_text())
    manifest["files"] = [entry(out, n) for n in ("config.json", "model.safetensors", "source.spm", "target.spm", "vocab.json")]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["prepare", "train", "export"])
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--work", required=True)
    parser.add_argument("--models", default="models")
    parser.add_argument("--out", help="where train leaves NAME.safetensors (default: --work)")
    parser.add_argument("--name", default="model")
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--tokens", type=int, default=12_000, help="of the longer side in a batch")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--divergence", type=float, default=3.0, help="R-Drop's weight; 0: none")
    parser.add_argument("--muon", type=float, default=0.012, help="rate for the layers' matrices; 0: Adam for all")
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--adam", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dev", type=int, default=1496, help="how many dev sentences each look takes")
    args = parser.parse_args()
    {"prepare": prepare, "train": train, "export": export}[args.what](args)
