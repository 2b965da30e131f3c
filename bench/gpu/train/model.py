"""Writes a small model of random weights, with a tokenizer made on the spot and a chat template like Qwen's.

    python3 model.py FOLDER [--kind dense|moe] [--seed 1]

A Qwen3 of 4 layers in bfloat16, dense or with 8 experts (shapes.json). Nothing is downloaded. Needs torch,
transformers, tokenizers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

SHAPES = json.loads(Path(__file__).with_name("shapes.json").read_text())
"""`config.json` of each kind, without the tokenizer's part."""

PAD, BEGIN, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

TEMPLATE = """
{%- set has_system = messages and messages[0].role == 'system' %}
{%- if tools or has_system %}<|im_start|>system
{% if has_system %}{{ messages[0].content }}
{% endif %}
{%- if tools %}# Tools

You may call functions. Their signatures:
<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools>

For each call answer with a JSON object within <tool_call></tool_call> tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>
{%- endif %}<|im_end|>
{% endif %}
{%- for message in (messages[1:] if has_system else messages) %}
{%- if message.role == 'tool' %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- set function = call.function or call %}
{%- set arguments = function.arguments %}
<tool_call>
{"name": {{ function.name | tojson }}, "arguments": {{ arguments if arguments is string else arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

def main() -> None:
    parser = argparse.ArgumentParser(prog="model.py", description="Writes a small model of random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=SHAPES, default="dense", help="default dense; moe as Qwen3-30B-A3B")
    parser.add_argument("--seed", type=int, default=1, help="of the weights; default 1")
    options = parser.parse_args()
    shape = SHAPES[options.kind]
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(options.folder, shape["vocab_size"], shape["max_position_embeddings"])
    parameters = write_model(options.folder, tokenizer, shape, options.seed)
    print(f"{options.folder}: {parameters / 1e6:.1f} million parameters, {len(tokenizer)} tokens")


def write_tokenizer(folder: Path, tokens: int, window: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE over a few files of Python's own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens,
        special_tokens=[PAD, BEGIN, END, *MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sources = sorted(Path(json.__file__).parent.parent.glob("*.py"))[:20]
    tokenizer.train([str(source) for source in sources], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, chat_template=TEMPLATE
    )
    fast.model_max_length = window
    fast.save_pretrained(folder)
    return fast


def write_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast, shape: dict[str, Any], seed: int
) -> int:
    """How many parameters it has."""
    config = AutoConfig.for_model(
        **shape,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
