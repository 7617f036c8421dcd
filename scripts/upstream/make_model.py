"""Writes a llama model with random weights as a GGUF file.

What it says means nothing. It exists so that a real inference server has something to run
without a download: how long a token takes depends on the size of the weights, not on what
they hold.

usage: make_model.py OUT WIDTH LAYERS FEED_FORWARD CONTEXT

512 8 1408 16384 makes about 100 MB and some tens of tokens a second on one core: slow enough
that a cancel arrives while there is something left to cancel.
"""

import argparse
import os

import gguf
import numpy as np

HEAD_WIDTH = 64
SEED = 7  # The same file on every machine.

# Two-letter pieces, and a few of several bytes, so that a chunk boundary can fall beside a
# character which is not ASCII.
SYLLABLES = ["ka", "lo", "mi", "ne", "ru", "so", "ta", "vi", "zu", "é", "ö", "日", "本", "🙂"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?:{}[]\"'-_<>|/\n"
WORD_START = "\u2581"  # SentencePiece's mark for a space before a piece.

CALL = "<tool_call>"

# As the templates of models that call tools have it: the tools in front, calls marked, and an exception where the messages
# are not in order. The server reads off it how a call looks, and that it has to parse the arguments of calls.
CHAT_TEMPLATE = """\
{%- for tool in tools or [] -%}
tool: {{ tool | tojson }}
{% endfor -%}
{%- for m in messages -%}
{%- set before = messages[loop.index0 - 1] if loop.index0 else none -%}
{%- if m.role == 'system' and before and before.role != 'system' -%}
{{ raise_exception('a system message stands after another') }}
{%- elif m.role == 'tool' and not (before and (before.role == 'tool' or before.tool_calls)) -%}
{{ raise_exception('a tool message answers no call') }}
{%- elif m.role != 'tool' and before and before.tool_calls -%}
{{ raise_exception('a call has no answer') }}
{%- endif -%}
{{ m.role }}: {{ m.content or '' }}
{%- for call in m.tool_calls or [] %}
<tool_call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</tool_call>
{%- endfor %}
{% endfor -%}
{%- if add_generation_prompt %}assistant:{% endif -%}
"""


class Vocabulary:
    """Tokens in the order of their ids: specials, one per byte, words, padding."""

    def __init__(self):
        self.tokens, self.types, self.scores = [], [], []

        self.add(b"<unk>", gguf.TokenType.UNKNOWN)
        self.add(b"<s>", gguf.TokenType.CONTROL)
        self.add(b"</s>", gguf.TokenType.CONTROL)
        # With every byte a token, any prompt can be tokenized.
        for byte in range(256):
            self.add(b"<0x%02X>" % byte, gguf.TokenType.BYTE)
        # What begins a call, as one token: a test that wants a call has it preferred.
        self.add(CALL.encode(), gguf.TokenType.USER_DEFINED)
        self.first_word = len(self.tokens)

        pairs = [first + second for first in SYLLABLES for second in SYLLABLES]
        words = [WORD_START, *CHARACTERS, *(WORD_START + pair for pair in pairs), *pairs]
        for rank, word in enumerate(dict.fromkeys(words), start=1):
            # Scores decide which merge the tokenizer prefers; they only have to differ.
            self.add(word.encode(), gguf.TokenType.NORMAL, score=-float(rank))

        # Rows of the weights in multiples of 32, as llama.cpp's kernels like them.
        while len(self.tokens) % 32:
            self.add(b"[PAD%d]" % len(self.tokens), gguf.TokenType.UNUSED, score=-1e4)

    def add(self, token, kind, score=0.0):
        self.tokens.append(token)
        self.types.append(int(kind))
        self.scores.append(score)

    def __len__(self):
        return len(self.tokens)


def write_model(path, width, layers, feed_forward, context):
    vocabulary = Vocabulary()
    random = np.random.default_rng(SEED)
    heads = max(width // HEAD_WIDTH, 1)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    def layer_weights(rows, columns):
        # Scaled by the fan-in, or activations grow layer by layer until they overflow.
        return normal(rows, columns) * np.float32(0.5 / np.sqrt(columns))

    model = gguf.GGUFWriter(path, "llama")
    model.add_name("random")
    model.add_vocab_size(len(vocabulary))
    model.add_context_length(context)
    model.add_embedding_length(width)
    model.add_block_count(layers)
    model.add_feed_forward_length(feed_forward)
    model.add_head_count(heads)
    model.add_head_count_kv(heads)
    model.add_rope_dimension_count(width // heads)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_file_type(gguf.LlamaFileType.ALL_F32)

    model.add_tokenizer_model("llama")
    model.add_token_list(vocabulary.tokens)
    model.add_token_types(vocabulary.types)
    model.add_token_scores(vocabulary.scores)
    model.add_unk_token_id(0)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_add_bos_token(True)
    model.add_chat_template(CHAT_TEMPLATE)

    # Specials and bare bytes never win: the model does not end by itself, and its text is
    # valid UTF-8. Only max_tokens, the context or a cancel ends a reply.
    output = normal(len(vocabulary), width)
    output[: vocabulary.first_word] = 0

    ones = np.ones(width, np.float32)
    model.add_tensor("token_embd.weight", normal(len(vocabulary), width))
    model.add_tensor("output_norm.weight", ones)
    model.add_tensor("output.weight", output)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.add_tensor(block + "attn_norm.weight", ones)
        model.add_tensor(block + "ffn_norm.weight", ones)
        for projection in ("attn_q", "attn_k", "attn_v", "attn_output"):
            model.add_tensor(f"{block}{projection}.weight", layer_weights(width, width))
        model.add_tensor(block + "ffn_gate.weight", layer_weights(feed_forward, width))
        model.add_tensor(block + "ffn_up.weight", layer_weights(feed_forward, width))
        model.add_tensor(block + "ffn_down.weight", layer_weights(width, feed_forward))

    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out")
    for name in ("width", "layers", "feed_forward", "context"):
        arguments.add_argument(name, type=int)
    given = arguments.parse_args()

    # A half-written file under the final name would be taken for a model by the next run.
    unfinished = given.out + ".part"
    write_model(unfinished, given.width, given.layers, given.feed_forward, given.context)
    os.replace(unfinished, given.out)


if __name__ == "__main__":
    main()
