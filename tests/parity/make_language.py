#!/usr/bin/env python3
"""Makes tests/fixtures/language.json: what the original libraries say about the shipped chat model and
about chat templates.

- `tokens`: ids of 200 strings by llama.cpp, from the shipped file
- `families`: ids of 60 strings by llama.cpp, from the tiny models that make_decoders.py made
- `greedy`: 32 greedy tokens after some prompts by `transformers` in float32, on the dequantized file
- `templates`: conversations rendered by `transformers`' own Jinja environment, from templates that use
  the idioms of public models' templates (ours, written for this test)

    pip install -r training/requirements.txt gguf accelerate llama-cpp-python
    python3 tests/parity/make_language.py
"""

import importlib.util
import json
from pathlib import Path

import torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf"

TEMPLATES = {
    "turn tags": "{% for m in messages %}{{ '<|' + m['role'] + '|>' + '\n' + m['content'] + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "header ids": """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "01 Jan 2026" %}
{%- endif %}
{{- "<|start|>system<|end|>\n\n" }}
{{- "Today: " + date_string + "\n" }}
{{- system_message }}
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '<|end|>\n\n' + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\n\n' }}
{%- endif %}
""",
    "thinking": """{%- set ns = namespace(last=messages|length - 1, tools=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and message.content is string and not (message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- if not ns.tools %}{%- set ns.tools = true %}{%- set ns.last = index %}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\n' + content.strip() + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
last={{ ns.last }}""",
    "alternating": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first = messages[0]['content'] + '\n\n' -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set first = "" -%}
    {%- set rest = messages -%}
{%- endif -%}
{%- for message in rest -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must alternate") }}
    {%- endif -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (first if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}{{ item['text'] | trim }}{%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\n' }}
{%- endif -%}
""",
    "idioms": """{% macro say(m, n=1) %}[{{ n }}:{{ m.content | upper }}]{% endmacro %}
{% for m in messages if m.role != 'system' %}
  {{ say(m, loop.index) }}{{ loop.last and 'END' or '' }} {{ m | tojson }}
{% else %}
none
{% endfor %}
{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ "%s!" | format("x") if false else 'ok' }} {{ {'a': [1, none, true]} | tojson }} {{ ' a b '.strip().replace('a', 'c').title() }}
{% set x = ['p', 'q'] + ['r'] %}{{ x[-1] }}{{ x | first }}{{ 7 // 2 }}{{ 2 ** 3 }}{{ 'q' in x }}{% break %}""".replace("{% break %}", ""),
}

CONVERSATIONS = [
    [["user", "Hi there"]],
    [["system", "  Be kind.  "], ["user", "What's <b>2 & 2</b>?"], ["assistant", "<think>\nhm\n</think>\n\nFour."], ["user", " Sure? é🙂 "]],
    [["assistant", "I begin"], ["user", "No"]],
]

PROMPTS = ["How does a battery work?", "What is 2 + 2?", "Write one sentence about dogs.", "How do planes fly?"]


def main():
    spec = importlib.util.spec_from_file_location("language", ROOT / "benches/peers/language.py")
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    llama = Llama(str(MODEL), vocab_only=True, verbose=False)
    tokens = [{"text": t, "ids": llama.tokenize(t.encode(), add_bos=False, special=True)} for t in peers.strings()]

    tokenizer = AutoTokenizer.from_pretrained(MODEL.parent, gguf_file=MODEL.name)
    model = AutoModelForCausalLM.from_pretrained(MODEL.parent, gguf_file=MODEL.name, dtype=torch.float32).eval()
    greedy = []
    for prompt in PROMPTS:
        ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=32, do_sample=False, pad_token_id=2)[0, ids.shape[1]:].tolist()
        greedy.append({"prompt": prompt, "prompt_ids": ids[0].tolist(), "ids": out[: out.index(2)] if 2 in out else out})

    templates = []
    for name, source in TEMPLATES.items():
        compiled = _compile_jinja_template(source)
        for turns in CONVERSATIONS:
            messages = [{"role": r, "content": c} for r, c in turns]
            try:
                text = compiled.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
            except Exception as error:  # what a template refuses, ours must refuse
                text = None
                print(name, "refuses:", error)
            templates.append({"name": name, "source": source, "turns": turns, "text": text})
    families = {}
    for family in ("llama", "qwen2", "phi3", "gemma3", "smollm3"):
        tiny = Llama(str(ROOT / f"tests/fixtures/decoder-{family}/model.gguf"), vocab_only=True, verbose=False)
        families[family] = [
            {"text": t, "ids": tiny.tokenize(t.encode(), add_bos=False, special=True)} for t in peers.strings()[:60]
        ]
    out = {"tokens": tokens, "families": families, "greedy": greedy, "templates": templates}
    path = ROOT / "tests/fixtures/language.json"
    path.write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    print(path, path.stat().st_size // 1000, "kB")


main()
