#!/usr/bin/env python3
"""Glossa's chat model beside `transformers` in float32 (the truth) and llama.cpp (the peer): the same
file, ids, threads; speed interleaved in one run.

    pip install -r training/requirements.txt -r benches/peers/requirements.txt gguf accelerate
    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON ..." pip install --no-binary llama-cpp-python llama-cpp-python
    cargo build --release --bin glossa --example logits
    python3 benches/peers/language.py --threads 2 > /tmp/language.md

Checks: token ids of 200 strings, KL divergence and agreement of the likeliest token on 1,024 tokens,
perplexity, greedy text of 20 prompts; then prefill and decode.
"""

import argparse
import gzip
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT.parent / "shared/data/squad/dev.jsonl.gz"
MODEL = ROOT / "models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf"
VOCAB = 49152

PROMPTS = [
    "How does a battery work?", "What is the capital of France?", "Write a haiku about rain.",
    "Explain gravity to a child.", "Name three fruits.", "What is 2 + 2?", "Who wrote Hamlet?",
    "Why is the sky blue?", "Translate 'good morning' to French.", "Tell me a joke.",
    "What is photosynthesis?", "Give me a recipe for soup.", "What does a fuse do?",
    "How far is the moon?", "Write one sentence about dogs.", "What is a neural network?",
    "List the days of the week.", "What is the largest ocean?", "How do planes fly?", "Say hello in Spanish.",
]


def strings():
    """200 strings: code, emoji, scripts, spaces, special tokens."""
    seeds = [
        "The quick brown fox jumps over the lazy dog.", "def f(x):\n    return x ** 2  # square\n",
        "for (int i = 0; i < n; ++i) { a[i] += b[i]; }", "{\"key\": [1, 2.5, null, true]}", "<p class='x'>Ünïcode &amp; more</p>",
        "🙂", "👩‍👩‍👧‍👦 family", "🇫🇷🇩🇪 flags 🏳️‍🌈", "日本語のテキストです。", "中文文本,没有空格", "한국어 문장입니다", "Привет, мир!",
        "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "ภาษาไทย", "Ελληνικά", "naïve café résumé", "e\u0301 combining", "ﬁ ligature ½ ² ™",
        "  leading", "trailing  ", "a  b   c    d", "\ttab\tseparated", "line\nbreak\r\nwindows\n\n\nthree", " ", "\n", "x" * 60, "aaaa bbbb " * 8,
        "1234567890", "3.14159 and 2,718", "2026-11-24T08:45:39Z", "0xDEADBEEF 1e-10", "don't can't I'll we've they're",
        "DON'T SHOUT", "snake_case camelCase PascalCase kebab-case", "https://example.org/a?b=c&d=%20e#f", "user@example.com",
        "C:\\Windows\\System32", "$100, 20% off!", "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "<repo_name>x<file_sep>",
        "<|im_start|", "\u200b zero width \u200d", "\u00a0non-breaking\u3000ideographic", "…—–“quotes”‘’", "I ❤️ NY", "∑∫√∞ ≠ ≤", "\x07bell",
    ]
    out = list(seeds)
    for i, a in enumerate(seeds):
        out.append(a + seeds[(7 * i + 3) % len(seeds)])
        out.append(f"{i} {a} {i * 37}")
        out.append(a.upper() if i % 2 else " " + a.strip() + "\n ")
    return out[:200]


def passages(count):
    seen, out = set(), []
    with gzip.open(DATA, "rt") as lines:
        for line in lines:
            text = json.loads(line)["context"]
            if text not in seen:
                seen.add(text)
                out.append(text)
            if len(out) == count:
                return out
    return out


def softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--speed-only", action="store_true")
    args = parser.parse_args()
    glossa = [str(ROOT / "target/release/glossa"), "--threads", str(args.threads), "--device", "cpu"]
    import llama_cpp

    llama = llama_cpp.Llama(args.model, n_ctx=2048, n_threads=args.threads, n_threads_batch=args.threads, n_batch=512,
                            verbose=False, logits_all=False)
    if not args.speed_only:
        quality(args, glossa, llama_cpp)
    speed(args, glossa, llama)


def quality(args, glossa, llama_cpp):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(args.threads)
    folder, name = os.path.split(args.model)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    truth = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    peer = llama_cpp.Llama(args.model, n_ctx=2048, n_threads=args.threads, verbose=False, logits_all=True)

    texts = strings()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as f:
        f.writelines(json.dumps({"text": t}) + "\n" for t in texts)
    out = subprocess.run(glossa + ["tokenize", "--model", args.model, "--json", "--input", f.name], capture_output=True, text=True, check=True)
    ours = [json.loads(line)["ids"] for line in out.stdout.splitlines()]
    theirs = [tokenizer(t, add_special_tokens=False).input_ids for t in texts]
    llamas = [peer.tokenize(t.encode(), add_bos=False, special=True) for t in texts]
    same = sum(a == b for a, b in zip(ours, theirs))
    same_llama = sum(a == b for a, b in zip(ours, llamas))
    for t, a, b, c in zip(texts, ours, theirs, llamas):
        if a != b or a != c:
            print(f"<!-- {t!r}: ours {a} transformers {b} llama.cpp {c} -->")
    print(f"| token ids of {len(texts)} strings equal to transformers' | {same} |")
    print(f"| token ids of {len(texts)} strings equal to llama.cpp's | {same_llama} |")

    ids = [tokenizer(t, add_special_tokens=False).input_ids[:128] for t in passages(24)]
    ids = [i for i in ids if len(i) == 128][:8]
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as f:
        json.dump(ids, f)
    subprocess.run([str(ROOT / "target/release/examples/logits"), args.model, f.name, f.name + ".f32"], check=True)
    raw = np.fromfile(f.name + ".f32", dtype=np.float32).reshape(len(ids), 128, -1)
    kl, kl_llama, agree, agree_llama = [], [], [], []
    for row, i in zip(raw, ids):
        with torch.no_grad():
            want = softmax(truth(torch.tensor([i])).logits[0].numpy())
        peer.reset()
        peer.eval(i)
        got = {"ours": softmax(row), "llama": softmax(np.array(peer.scores[: len(i)]))}
        for key, divergence, agreement in (("ours", kl, agree), ("llama", kl_llama, agree_llama)):
            divergence.append((np.exp(want) * (want - got[key])).sum(-1).mean())
            agreement.append((want.argmax(-1) == got[key].argmax(-1)).mean())
    print(f"| mean KL from float32, {len(ids) * 128} tokens | ours {np.mean(kl):.2e}, llama.cpp {np.mean(kl_llama):.2e} |")
    print(f"| likeliest token agrees with float32 | ours {np.mean(agree):.2%}, llama.cpp {np.mean(agree_llama):.2%} |")

    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as f:
        f.write("\n".join(passages(30)))
    out = subprocess.run(glossa + ["eval", "perplexity", "--model", args.model, "--data", f.name, "--json"], capture_output=True, text=True, check=True)
    ours = json.loads(out.stdout)
    all_ids = tokenizer(Path(f.name).read_text(), add_special_tokens=False).input_ids
    nll = []
    for at in range(0, len(all_ids), 512):
        window = torch.tensor([all_ids[at : at + 512]])
        if window.shape[1] < 2:
            continue
        with torch.no_grad():
            logp = torch.log_softmax(truth(window).logits[0, :-1], -1)
        nll.extend((-logp[torch.arange(window.shape[1] - 1), window[0, 1:]]).tolist())
    want = math.exp(sum(nll) / len(nll))
    print(f"| perplexity, {len(nll)} tokens | ours {ours['perplexity']:.4f} ({ours['scored']} scored), transformers {want:.4f}: {ours['perplexity'] / want - 1:+.4%} |")

    equal = 0
    for prompt in PROMPTS:
        run = glossa + ["run", "chat", "--model", args.model, "--json", "--temperature", "0", "--max-tokens", "32", prompt]
        ours = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)["output"]["token_ids"]
        chat = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt")
        with torch.no_grad():
            text = truth.generate(chat, max_new_tokens=32, do_sample=False, pad_token_id=2)[0, chat.shape[1]:].tolist()
        text = text[: text.index(2)] if 2 in text else text
        equal += ours == text
    print(f"| greedy text of 32 tokens equal to float32's, {len(PROMPTS)} prompts | {equal} |")


def speed(args, glossa, llama):
    def prefill(n):
        ids = [(1000 + t * 7919) % VOCAB for t in range(n)]
        llama.reset()
        begun = time.perf_counter()
        llama.eval(ids)
        return n / (time.perf_counter() - begun)

    def decode():
        prefill(128)
        begun = time.perf_counter()
        for i in range(128):
            llama.eval([1000 + i])
        return 128 / (time.perf_counter() - begun)

    rows = {"prefill 128": ([], []), "prefill 512": ([], []), "decode 128": ([], [])}
    prefill(64)
    for _ in range(args.rounds):
        out = subprocess.run(glossa + ["bench", "chat", "--model", args.model, "--json", "--seconds", "1.5"], capture_output=True, text=True, check=True)
        b = json.loads(out.stdout)
        ours = {f"prefill {r['tokens']}": r["tokens_per_second"] for r in b["prefill"]}
        ours["decode 128"] = b["decode"]["tokens_per_second"]
        peer = {f"prefill {n}": statistics.median(prefill(n) for _ in range(3)) for n in (128, 512)}
        peer["decode 128"] = statistics.median(decode() for _ in range(3))
        for key, (a, c) in rows.items():
            a.append(ours[key])
            c.append(peer[key])
    print("\n| tokens/s | Glossa | llama.cpp | ratio |\n|---|---|---|---|")
    for key, (a, c) in rows.items():
        a, c = statistics.median(a), statistics.median(c)
        print(f"| {key} | {a:.0f} | {c:.0f} | {a / c:.2f} |")
    print(f"\nTTFT {b['ttft_ms']['p50']:.0f} ms (128 tokens), peak memory {b['peak_memory_bytes'] / 1e6:.0f} MB, {b['device']}")


if __name__ == "__main__":
    main()
