#!/usr/bin/env python3
"""Glossa and llama.cpp's own server under 1 and 8 clients, in turn, round by round: tokens written per second.

    crowd.py --glossa target/release/glossa --server llama-server --model models/smollm2-135m/FILE.gguf

Both get the same file, two threads, prompts of 128 words (about as many tokens, every one another), answers of 128 tokens,
temperature 0.8, top-k 40. The server has a slot for each client and continues past the end of a turn, as Glossa's
`generate` seldom ends within 128 tokens; what is counted is tokens within the window, by the clock. Standard library only.
"""
import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import threading
import time

WORDS = """the of and to in a is that for it was on with he be as by at his have from they we had this not are but or one
you were all her she there would their him been has when who will more no if""".split()


def client(port, until, answer, seed, counts):
    draw = random.Random(seed)
    while time.time() < until:
        body = {
            "prompt": " ".join(draw.choice(WORDS) for _ in range(128)),
            "n_predict": answer, "ignore_eos": True, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.0,
            "seed": draw.randrange(1 << 30), "stream": True, "cache_prompt": False,
        }
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        link.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        for line in link.getresponse():
            if line.startswith(b"data: ") and time.time() < until:
                counts.append(1)
        link.close()


def server_rate(port, clients, seconds, answer):
    counts, until = [], time.time() + seconds
    threads = [threading.Thread(target=client, args=(port, until, answer, 1000 * clients + i, counts)) for i in range(clients)]
    begun = time.time()
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, until - time.time()))
    rate = len(counts) / (time.time() - begun)
    for thread in threads:
        thread.join()
    return rate


def glossa_rates(binary, model, clients, seconds, answer):
    out = subprocess.run(
        [binary, "bench", "crowd", "--only-load", "--json", "--threads", "2", "--seconds", str(seconds), "--model", model,
         "--answer-tokens", str(answer), "--clients", ",".join(map(str, clients))],
        check=True, capture_output=True, text=True).stdout
    return [load["tokens_per_second"] for load in json.loads(out)["loads"]]


def main():
    ask = argparse.ArgumentParser()
    for name in ["--glossa", "--server", "--model"]:
        ask.add_argument(name, required=True)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=float, default=15)
    ask.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    ask.add_argument("--port", type=int, default=8765)
    args = ask.parse_args()
    slots, answer = max(args.clients), 128
    command = [args.server, "-m", args.model, "-t", "2", "-tb", "2", "-np", str(slots), "-c", str(slots * 512),
               "--port", str(args.port), "--no-webui"]
    rows = {"glossa": [], "llama.cpp": []}
    for _ in range(args.rounds):
        rows["glossa"].append(glossa_rates(args.glossa, args.model, args.clients, args.seconds, answer))
        # Not beside Glossa: a server that waits may spin.
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(120):
                try:
                    link = http.client.HTTPConnection("127.0.0.1", args.port, timeout=1)
                    link.request("GET", "/health")
                    if link.getresponse().status == 200:
                        break
                except OSError:
                    pass
                time.sleep(0.25)
            server_rate(args.port, 1, 2, 16)
            rows["llama.cpp"].append([server_rate(args.port, n, args.seconds, answer) for n in args.clients])
        finally:
            server.terminate()
            server.wait()
        print(json.dumps({k: v[-1] for k, v in rows.items()}), file=sys.stderr)
    print("| clients | Glossa tokens/s | llama.cpp tokens/s | ratio |\n|---|---|---|---|")
    for at, clients in enumerate(args.clients):
        ours, theirs = (statistics.median(r[at] for r in rows[k]) for k in ("glossa", "llama.cpp"))
        print(f"| {clients} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
