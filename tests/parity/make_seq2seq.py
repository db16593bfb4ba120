#!/usr/bin/env python3
"""Makes tests/fixtures/seq2seq-*: tiny random T5 and Marian checkpoints, and what `transformers` gives.

    pip install -r training/requirements.txt
    python3 tests/parity/make_seq2seq.py

Each folder is as it would lie on the hub (Marian: source.spm, target.spm, vocab.json; T5: spiece.model
or tokenizer.json). expected.json has ids of texts, encoder states, logits of a forced target, and the
ids and scores of several searches.
"""

import json
import shutil

import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer, T5Config, T5ForConditionalGeneration, T5Tokenizer

from make_fixtures import OUT

ENGLISH = [
    "The train leaves at half past seven.", "Good morning, everyone!", "We have time for a coffee.",
    "He said: \"I don't know.\"", "Where is the   nearest station?", "A naïve café owner paid 12,50 €.",
    "It rained all day long and nobody came to see the old house by the river.", "Yes.", "the cat sat on the mat",
    "She bought three books, two pens and a map of the town.", "Why did you not call me yesterday evening?",
]
FRENCH = [
    "Le train part à sept heures et demie.", "Bonjour tout le monde !", "Nous avons le temps de prendre un café.",
    "Il a dit : « Je ne sais pas. »", "Où est la gare la plus proche ?", "Le patron du café a payé 12,50 €.",
    "Il a plu toute la journée et personne n'est venu voir la vieille maison.", "Oui.", "le chat est sur le tapis",
    "Elle a acheté trois livres, deux stylos et un plan de la ville.", "Pourquoi ne m'as-tu pas appelé hier soir ?",
]
STRANGE = ["  spaces   around  ", "emoji 🙂 and 中文", "ﬁne ½ ＡＢＣ", "tab\tand\nline", "\u201cquoted\u201d", "x" * 60]

SEARCHES = {
    "greedy": dict(num_beams=1),
    "beam4": dict(num_beams=4, num_return_sequences=4),
    "early": dict(num_beams=4, early_stopping=True, length_penalty=0.6),
    "never": dict(num_beams=3, early_stopping="never", length_penalty=1.4),
    "rules": dict(num_beams=4, no_repeat_ngram_size=2, min_new_tokens=6, length_penalty=2.0),
}


def spm(folder, name, texts, size, **ids):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 3), model_prefix=str(folder / name), vocab_size=size, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2, **(ids or dict(bos_id=-1, eos_id=0, unk_id=1)))
    (folder / f"{name}.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))


def marian_tokenizer(folder, separate):
    source = spm(folder, "source", ENGLISH, 90)
    target = spm(folder, "target", FRENCH, 100)
    for name in ("source", "target"):
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
    pieces = lambda model: [model.id_to_piece(i) for i in range(model.get_piece_size())]
    special = ["</s>", "<unk>"]
    write = lambda name, words: (folder / name).write_text(
        json.dumps({w: i for i, w in enumerate(words)}, ensure_ascii=False), encoding="utf-8")
    if separate:
        # `generate` wants both of one size.
        filled = lambda words: words + [f"<fill{i}>" for i in range(110 - len(words))] + ["<pad>"]
        words, others = filled(pieces(source)), filled(pieces(target))
        write("vocab.json", words)
        write("target_vocab.json", others)
        tokenizer = MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"),
                                    target_vocab_file=str(folder / "target_vocab.json"), separate_vocabs=True)
        return tokenizer, len(words), len(others)
    # Some of the source's pieces are not in the vocabulary: they are unknown words.
    words = special + [">>fra<<"] + sorted((set(pieces(source)[:-6]) | set(pieces(target))) - set(special)) + ["<pad>"]
    write("vocab.json", words)
    return MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")), len(words), len(words)


def marian(folder, separate, **options):
    tokenizer, vocab, target = marian_tokenizer(folder, separate)
    config = MarianConfig(
        vocab_size=vocab, decoder_vocab_size=target, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=40, max_position_embeddings=80, scale_embedding=True,
        pad_token_id=vocab - 1, eos_token_id=0, forced_eos_token_id=0, decoder_start_token_id=vocab - 1, bos_token_id=0,
        share_encoder_decoder_embeddings=not separate, tie_word_embeddings=not separate, **options)
    if separate:
        config.decoder_start_token_id = 0
    model = MarianMTModel._from_config(config, attn_implementation="eager")
    return tokenizer, model, [[vocab - 1]]


def t5(folder, piece, **options):
    model = spm(folder, "spiece", ENGLISH + FRENCH, 120, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = T5Tokenizer(str(folder / "spiece.model"), extra_ids=10, legacy=False)
    if not piece:
        from transformers import T5TokenizerFast
        tokenizer = T5TokenizerFast(str(folder / "spiece.model"), extra_ids=10)
        tokenizer.save_pretrained(folder)
        (folder / "spiece.model").unlink()
    config = T5Config(
        vocab_size=model.get_piece_size() + 10, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=0, **options)
    return tokenizer, T5ForConditionalGeneration(config), None


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "embed_positions" in name:
                continue
            scale = 1.0 if "layer_norm" in name and name.endswith("weight") else 0.0
            size = 0.1 if p.dim() == 1 else 0.3 if p.shape[0] > 60 or hasattr(model, "encoder") else 0.5
            p.copy_(scale + size * torch.randn(p.shape, generator=generator))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.3 * torch.randn(model.final_logits_bias.shape, generator=generator))
            model.final_logits_bias[0, 0] += 3.5 if model.config.activation_function == "swish" else 6  # some texts end by themselves
    return model.eval()


def expected(tokenizer, model, bad):
    cases = []
    for text in ENGLISH:
        ids = tokenizer(text, return_tensors="pt").input_ids
        start = torch.tensor([[model.config.decoder_start_token_id]])
        forced = torch.cat([start, torch.randint(3, 60, (1, 12), generator=torch.Generator().manual_seed(len(text)))], 1)
        with torch.no_grad():
            states = model.get_encoder()(ids).last_hidden_state[0]
            out = model(input_ids=ids, decoder_input_ids=forced, output_attentions=True)
            layers = out.cross_attentions[len(out.cross_attentions) // 2:]
            looks = torch.stack([l[0].mean(0) for l in layers]).mean(0)
            searches = {}
            for name, options in SEARCHES.items():
                done = model.generate(ids, max_new_tokens=24, bad_words_ids=bad, output_scores=True, return_dict_in_generate=True, **options)
                rows = [[t for t in row[1:]] for row in done.sequences.tolist()]
                end = model.config.eos_token_id
                cut = [row[: row.index(end) + 1] if end in row else row for row in rows]
                scores = done.sequences_scores.tolist() if "beam" in str(type(done)).lower() else []
                searches[name] = {"ids": cut, "scores": [round(s, 5) for s in scores], "texts": [tokenizer.decode(r, skip_special_tokens=True) for r in cut]}
        cases.append({
            "text": text, "ids": ids[0].tolist(), "forced": forced[0].tolist(), "searches": searches,
            "states": [round(x, 6) for x in states.flatten()[:64].tolist()], "state_sum": round(states.abs().sum().item(), 3),
            "logits": [round(x, 6) for x in torch.cat([out.logits[0, 0, :20], out.logits[0, -1, :20]]).tolist()],
            "look": [round(x, 6) for x in looks[-1].tolist()],
        })
    return {"cases": cases, "ids": [[t, tokenizer(t).input_ids] for t in STRANGE + FRENCH]}


def make(name, build, seed, binary=False):
    folder = OUT / f"seq2seq-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    tokenizer, model, bad = build(folder)
    model = randomize(model, seed)
    answers = expected(tokenizer, model, bad)
    (folder / "expected.json").write_text(json.dumps(answers, ensure_ascii=False) + "\n", encoding="utf-8")
    model.config.to_json_file(folder / "config.json")
    if binary:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    print(name, {k: v["ids"][0][:8] for k, v in answers["cases"][0]["searches"].items()}, [round(s, 2) for s in answers["cases"][0]["searches"]["beam4"]["scores"]])


def gpt2_beams():
    """Beam searches of the tiny GPT-2 that make_decoders.py made."""
    from transformers import GPT2LMHeadModel

    folder = OUT / "decoder-gpt2"
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    cases = []
    for case in json.loads((folder / "expected.json").read_text()):
        ids = torch.tensor([case["ids"]])
        if ids.shape[1] > 100:
            continue
        row = {"prompt": case["ids"]}
        for name, options in {"two": dict(num_beams=2), "four": dict(num_beams=4, no_repeat_ngram_size=3, early_stopping=True)}.items():
            done = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False, pad_token_id=0,
                                  eos_token_id=int(case["greedy"][3]), **options)
            row[name] = done[0, ids.shape[1]:].tolist()
        row["end"] = int(case["greedy"][3])
        row["two"], row["four"] = ([t for i, t in enumerate(r) if row["end"] not in r[:i]] for r in (row["two"], row["four"]))
        cases.append(row)
    (folder / "beams.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    gpt2_beams()
    make("marian", lambda f: marian(f, False, activation_function="swish"), 1)
    make("marian-separate", lambda f: marian(f, True, activation_function="relu"), 2, binary=True)
    make("t5", lambda f: t5(f, True, feed_forward_proj="relu", tie_word_embeddings=True), 3)
    make("t5-gated", lambda f: t5(f, False, feed_forward_proj="gated-gelu", tie_word_embeddings=False), 4)
