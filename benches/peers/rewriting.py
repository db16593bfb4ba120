#!/usr/bin/env python3
"""Encoder-decoders beside CTranslate2 and Transformers, on random weights with the real shapes of
opus-mt (58,101 entries) and t5-small (32,128): 32 tokens read, 32 forced, same threads, one run.

    ~/.cache/glossa/py/bin/pip install -r training/requirements.txt -r benches/peers/requirements.txt
    ~/.cache/glossa/py/bin/python benches/peers/rewriting.py --glossa target/release/glossa
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer, T5Config, T5ForConditionalGeneration

TOKENS = 32


def pieces(folder, name, size, **ids):
    text = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"] * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_prefix=str(folder / name), vocab_size=size, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2, **ids)
    (folder / f"{name}.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))


def opus(folder):
    vocab = 58_101
    spm = pieces(folder, "source", 60, bos_id=-1, eos_id=0, unk_id=1)
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    words = [spm.id_to_piece(i) for i in range(spm.get_piece_size())]
    words += [f"w{i}" for i in range(vocab - 1 - len(words))] + ["<pad>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    config = MarianConfig(
        vocab_size=vocab, decoder_vocab_size=vocab, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, activation_function="swish",
        scale_embedding=True, max_position_embeddings=512, pad_token_id=vocab - 1, eos_token_id=0, forced_eos_token_id=None,
        decoder_start_token_id=vocab - 1, bos_token_id=0, share_encoder_decoder_embeddings=True)
    MarianMTModel(config).eval().save_pretrained(folder)
    MarianTokenizer(*(str(folder / n) for n in ("source.spm", "target.spm", "vocab.json"))).save_pretrained(folder)
    return words


def t5(folder):
    spm = pieces(folder, "spiece", 60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    config = T5Config(
        vocab_size=32_128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_decoder_layers=6, num_heads=8,
        feed_forward_proj="relu", decoder_start_token_id=0)
    T5ForConditionalGeneration(config).eval().save_pretrained(folder)
    from transformers import T5Tokenizer

    T5Tokenizer(str(folder / "spiece.model"), extra_ids=100, legacy=False).save_pretrained(folder)
    return [spm.id_to_piece(i) for i in range(spm.get_piece_size())]


def median(run, seconds):
    run()
    times = []
    begun = time.time()
    while len(times) < 3 or time.time() - begun < seconds:
        start = time.time()
        run()
        times.append(time.time() - start)
    return sorted(times)[len(times) // 2]


def ours(args, folder, task, extra=()):
    command = [args.glossa, "bench", task, "--model", str(folder), "--threads", str(args.threads), "--json",
               "--batches", ",".join(map(str, args.batches)), "--beams", ",".join(map(str, args.beams)),
               "--tokens", str(TOKENS), "--seconds", str(args.seconds), "--device", "cpu", *extra]
    cells = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["cells"]
    return {(c["beams"], c["batch"]): c["tokens_per_second"] for c in cells}


def ctranslate2(args, folder, words, kind):
    import ctranslate2 as ct

    out = folder / f"ct2-{kind}"
    if not (out / "model.bin").exists():
        ct.converters.TransformersConverter(str(folder)).convert(str(out), quantization=kind, force=True)
    model = ct.Translator(str(out), device="cpu", intra_threads=args.threads, inter_threads=1, compute_type=kind)
    source = [words[5 + (i * 7) % (len(words) - 10)] for i in range(TOKENS - 1)] + ["</s>"]
    result = {}
    for beams in args.beams:
        for batch in args.batches:
            run = lambda: model.translate_batch([source] * batch, beam_size=beams, min_decoding_length=TOKENS,
                                                max_decoding_length=TOKENS, max_batch_size=0)
            result[beams, batch] = batch * TOKENS / median(run, args.seconds)
    return result


def transformers(args, folder, kind):
    model = (MarianMTModel if kind == "opus" else T5ForConditionalGeneration).from_pretrained(folder).eval()
    result = {}
    for beams in args.beams:
        for batch in args.batches:
            ids = torch.randint(5, 1000, (batch, TOKENS))
            with torch.inference_mode():
                run = lambda: model.generate(ids, attention_mask=torch.ones_like(ids), num_beams=beams, do_sample=False,
                                             min_new_tokens=TOKENS, max_new_tokens=TOKENS)
                result[beams, batch] = batch * TOKENS / median(run, args.seconds)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--glossa", default="target/release/glossa")
    parser.add_argument("--work", default=str(Path.home() / ".cache/glossa/rewriting"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--beams", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--shapes", nargs="*", default=["opus", "t5"])
    parser.add_argument("--only", nargs="*", default=["ours", "ct2", "ct2-int8", "transformers"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for shape in args.shapes:
        folder = Path(args.work) / shape
        folder.mkdir(parents=True, exist_ok=True)
        names = folder / "words.json"
        if not names.exists():
            torch.manual_seed(1)
            names.write_text(json.dumps((opus if shape == "opus" else t5)(folder)))
        words = json.loads(names.read_text())
        task = "translate" if shape == "opus" else "summarize"
        runs = {
            "ours": lambda: {"Glossa f32": ours(args, folder, task), "Glossa int8": ours(args, folder, task, ["--precision", "int8"])},
            "ct2": lambda: {"CTranslate2 f32": ctranslate2(args, folder, words, "float32")},
            "ct2-int8": lambda: {"CTranslate2 int8": ctranslate2(args, folder, words, "int8")},
            "transformers": lambda: {"Transformers": transformers(args, folder, shape)},
        }
        columns = {}
        for name in args.only:
            columns |= runs[name]()
            print(name, "done", file=sys.stderr)
        print(f"\n{shape}, tokens/s, {args.threads} threads\n")
        print("| beams | batch | " + " | ".join(columns) + " |")
        print("|---|---|" + "---|" * len(columns))
        for beams in args.beams:
            for batch in args.batches:
                print(f"| {beams} | {batch} | " + " | ".join(f"{c[beams, batch]:.0f}" for c in columns.values()) + " |")


if __name__ == "__main__":
    main()
