"""Makes a model's folder for a rehearsal where there is no other: configuration, tokenizer, chat template; no weights.

    python3 -m swe_rl_training.rehearsal.model FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

BEGIN, END, OPEN, CLOSE = "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"

TEMPLATE = """
{%- if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% elif message.content %}
{%- for part in message.content %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in message.tool_calls or [] %}<tool_call>{"name": {{ call.function.name | tojson }}, "arguments":
{{- ' ' }}{{ call.function.arguments | tojson if call.function.arguments is mapping else call.function.arguments }}}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

CONFIGURATION = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}

VOCABULARY = 4000


def write_model(folder: Path) -> PreTrainedTokenizerFast:
    """A model's folder as verl reads it before it has a GPU."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END, OPEN, CLOSE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sources = sorted(Path(json.__file__).parent.parent.glob("*.py"))[:60]
    tokenizer.train([str(source) for source in sources], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=TEMPLATE
    )
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)
    size = {"vocab_size": len(fast), "eos_token_id": fast.eos_token_id}
    (folder / "config.json").write_text(json.dumps({**CONFIGURATION, **size}))
    return fast


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m swe_rl_training.rehearsal.model",
        description="Makes a model's folder for a rehearsal: configuration, tokenizer, chat template; no weights.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where; may be there already")
    folder: Path = parser.parse_args(arguments).folder
    try:
        write_model(folder)
    except OSError as error:
        print(f"model: {folder} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"model: {folder} is there, without weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
