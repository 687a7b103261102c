"""GPT-NeoX: Pythia and its fine-tunes, among them llmstep's model.

The names and defaults of the configuration are those of transformers' `GPTNeoXConfig`, in the
layouts of its versions 4 and 5. Hugging Face stores query, key and value of each head together, as
(head, 3, channel). llama.cpp expects all queries, then all keys, then all values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from llmsuggestd.convert.config import Config
from llmsuggestd.convert.layout import Slot, Swap
from llmsuggestd.convert.model import Model, Names
from llmsuggestd.convert.recipe import Traits
from llmsuggestd.convert.rope import Rope, read_rope
from llmsuggestd.formats import LLMSTEP

# llama.cpp computes every GPT-NeoX model with GELU's tanh form. Pythia was trained with the erf
# form. The difference is smaller than float16's rounding (docs/notes/conversion.md).
GELU_NAMES = frozenset(
    {"gelu", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate"}
)


@dataclass(frozen=True)
class NeoX(Model):
    """The shape of a GPT-NeoX, in tokens, channels and layers."""

    title = "GPT-NeoX"
    classes = ("GPTNeoXForCausalLM",)
    model_type = "gpt_neox"
    gguf = "gptneox"
    names = Names(
        "gpt_neox.", "embed_in.weight", ("embed_in.", "layers.", "final_layer_norm."),
        "embed_out.weight",
    )  # fmt: skip
    prompt_format = LLMSTEP

    hidden: int
    heads: int
    feed_forward: int
    context: int
    rope: Rope
    norm_eps: float
    parallel_residual: bool
    attention_bias: bool
    tied: bool

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.hidden // self.heads

    @property
    def rotary_dims(self) -> int:
        """Rotary channels of each head."""
        return int(self.head_dim * self.rope.rotary_fraction)

    @property
    def traits(self) -> Traits:
        """The properties that determine the types of its tensors."""
        return Traits(self.layers)

    @classmethod
    def read(cls, config: Config) -> Self:
        """Read a configuration."""
        heads, hidden = config.count("num_attention_heads"), config.count("hidden_size")
        if hidden % heads:
            raise config.refusal(f"hidden_size {hidden} is not a multiple of {heads} heads")
        config.activation("gelu", GELU_NAMES, cls.title)
        context = config.count("max_position_embeddings", 2048)
        rope = read_rope(
            config,
            kinds=["linear"],
            context=context,
            base_keys=["rope_theta", "rotary_emb_base"],
            fraction_keys=["partial_rotary_factor", "rotary_pct"],
            rotary_fraction=0.25,
        )
        found = cls(
            layers=config.layers(),
            vocab=config.tokens(),
            hidden=hidden,
            heads=heads,
            feed_forward=config.count("intermediate_size"),
            context=context,
            rope=rope,
            norm_eps=config.number(config.raw.get("layer_norm_eps", 1e-5), "layer_norm_eps"),
            parallel_residual=config.flag("use_parallel_residual", default=True),
            attention_bias=config.flag("attention_bias", default=True),
            tied=config.flag("tie_word_embeddings"),
        )
        if found.rotary_dims < 2 or found.rotary_dims % 2:
            raise config.refusal(
                f"{found.rotary_dims} rotary channels per head; llama.cpp needs pairs"
            )
        return found

    def metadata(self) -> dict[str, Any]:
        """The GGUF file's metadata."""
        return {
            "context_length": self.context,
            "embedding_length": self.hidden,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "head_count": self.heads,
            "rope_dimension_count": self.rotary_dims,
            **self.rope.metadata(),
            "parallel_residual": self.parallel_residual,
            "layer_norm_eps": self.norm_eps,
        }

    def slots(self) -> list[Slot]:
        """The tensors of the GGUF file, in their order."""
        hidden = self.hidden
        # llama.cpp's GPT-NeoX does not support tied embeddings, so the matrix is written twice. If
        # the configuration ties them, a stored output matrix is ignored, as in transformers.
        embedding = "gpt_neox.embed_in.weight"
        return [
            Slot("token_embd.weight", embedding, (self.vocab, hidden)),
            *(slot for layer in range(self.layers) for slot in self._layer(layer)),
            *_norm("output_norm", "gpt_neox.final_layer_norm", hidden),
            Slot(
                "output.weight",
                embedding if self.tied else "embed_out.weight",
                (self.vocab, hidden),
            ),
        ]

    def _layer(self, layer: int) -> list[Slot]:
        ours, theirs = f"blk.{layer}", f"gpt_neox.layers.{layer}"
        hidden, wide = self.hidden, self.feed_forward
        joint, dense = f"{theirs}.attention.query_key_value", f"{theirs}.attention.dense"
        up, down = f"{theirs}.mlp.dense_h_to_4h", f"{theirs}.mlp.dense_4h_to_h"
        swap, no_bias = Swap(1, self.heads, 3, self.head_dim), not self.attention_bias
        return [
            *_norm(f"{ours}.attn_norm", f"{theirs}.input_layernorm", hidden),
            Slot(f"{ours}.attn_qkv.weight", f"{joint}.weight", (3 * hidden, hidden), swap),
            Slot(f"{ours}.attn_qkv.bias", f"{joint}.bias", (3 * hidden,), swap, no_bias),
            Slot(f"{ours}.attn_output.weight", f"{dense}.weight", (hidden, hidden)),
            Slot(f"{ours}.attn_output.bias", f"{dense}.bias", (hidden,), optional=no_bias),
            *_norm(f"{ours}.ffn_norm", f"{theirs}.post_attention_layernorm", hidden),
            Slot(f"{ours}.ffn_up.weight", f"{up}.weight", (wide, hidden)),
            Slot(f"{ours}.ffn_up.bias", f"{up}.bias", (wide,)),
            Slot(f"{ours}.ffn_down.weight", f"{down}.weight", (hidden, wide)),
            Slot(f"{ours}.ffn_down.bias", f"{down}.bias", (hidden,)),
        ]


def _norm(ours: str, theirs: str, size: int) -> list[Slot]:
    return [Slot(f"{ours}.{part}", f"{theirs}.{part}", (size,)) for part in ("weight", "bias")]
