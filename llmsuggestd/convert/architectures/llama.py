"""Llama and Qwen2: RMS norms, a gated feed-forward network, rotary positions, grouped queries.

The names and defaults of the configuration are those of transformers' `LlamaConfig` and
`Qwen2Config`. To rotate a head's channels, transformers pairs its first half with its second half.
llama.cpp does the same for Qwen2. For Llama, it pairs neighbours, so the rows of queries and keys
are reordered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from llmsuggestd.convert.config import Config
from llmsuggestd.convert.layout import Slot, Swap
from llmsuggestd.convert.model import Model, Names
from llmsuggestd.convert.recipe import Traits
from llmsuggestd.convert.rope import Rope, read_rope

SILU_NAMES = frozenset({"silu", "swish"})


@dataclass(frozen=True)
class Llama(Model):
    """The shape of a Llama, in tokens, channels and layers."""

    title = "Llama"
    classes = ("LlamaForCausalLM",)
    model_type = "llama"
    gguf = "llama"
    names = Names(
        "model.", "embed_tokens.weight", ("embed_tokens.", "layers.", "norm."), "lm_head.weight"
    )
    scalings: ClassVar[tuple[str, ...]] = ("linear", "llama3", "yarn")
    """The scalings of rotary positions that llama.cpp supports."""
    swaps: ClassVar[bool] = True
    """Whether the rows of queries and keys are reordered."""

    hidden: int
    heads: int
    cached_heads: int
    """The number of key-value heads. Several query heads share each of them."""
    head_dim: int
    feed_forward: int
    context: int
    rope: Rope
    norm_eps: float
    query_bias: bool
    """Whether queries, keys and values have biases."""
    output_bias: bool
    """Whether attention's output has a bias."""
    mlp_bias: bool
    tied: bool

    @property
    def traits(self) -> Traits:
        """The properties that determine the types of its tensors."""
        group = self.heads // self.cached_heads
        return Traits(self.layers, group, self._is_70b(), self.tied)

    def _is_70b(self) -> bool:
        """Whether llama.cpp treats it as a 70B."""
        return self.layers == 80 and self.cached_heads != self.heads

    @classmethod
    def read(cls, config: Config) -> Self:
        """Read a configuration."""
        heads, cached_heads, head_dim = cls._heads(config)
        config.activation("silu", SILU_NAMES, cls.title)
        context = cls._context(config)
        rope = read_rope(config, kinds=cls.scalings, context=context)
        if rope.rotary_fraction != 1:
            raise config.refusal(
                f"partial_rotary_factor {rope.rotary_fraction}; llama.cpp rotates all channels of a"
                f" {cls.title}"
            )
        query_bias, output_bias, mlp_bias = cls._biases(config)
        return cls(
            layers=config.layers(),
            vocab=config.tokens(),
            hidden=config.count("hidden_size"),
            heads=heads,
            cached_heads=cached_heads,
            head_dim=head_dim,
            feed_forward=config.count("intermediate_size"),
            context=context,
            rope=rope,
            norm_eps=config.number(config.raw.get("rms_norm_eps", 1e-6), "rms_norm_eps"),
            query_bias=query_bias,
            output_bias=output_bias,
            mlp_bias=mlp_bias,
            tied=config.flag("tie_word_embeddings"),
        )

    @classmethod
    def _heads(cls, config: Config) -> tuple[int, int, int]:
        """The number of query heads, that of key and value heads, and the channels per head."""
        hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
        cached = config.count("num_key_value_heads", heads)
        if config.raw.get("head_dim") is None and hidden % heads:
            raise config.refusal(f"hidden_size {hidden} is not a multiple of {heads} heads")
        if heads % cached:
            raise config.refusal(
                f"{heads} attention heads are not a multiple of {cached} num_key_value_heads"
            )
        head_dim = config.count("head_dim", hidden // heads)
        if head_dim % 2:
            raise config.refusal(f"heads of {head_dim} channels; rotary positions need pairs")
        return heads, cached, head_dim

    @classmethod
    def _biases(cls, config: Config) -> tuple[bool, bool, bool]:
        """Whether there are biases of queries, keys and values; attention's output; the MLP."""
        attention = config.flag("attention_bias")
        return attention, attention, config.flag("mlp_bias")

    @classmethod
    def _context(cls, config: Config) -> int:
        return config.count("max_position_embeddings", 2048)

    def metadata(self) -> dict[str, Any]:
        """The GGUF file's metadata."""
        return {
            "context_length": self.context,
            "embedding_length": self.hidden,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "head_count": self.heads,
            "head_count_kv": self.cached_heads,
            "key_length": self.head_dim,
            "value_length": self.head_dim,
            "vocab_size": self.vocab,
            "rope_dimension_count": self.head_dim,
            **self.rope.metadata(),
            "layer_norm_rms_eps": self.norm_eps,
        }

    def slots(self) -> list[Slot]:
        """The tensors of the GGUF file, in their order."""
        matrix = (self.vocab, self.hidden)
        factors = self.rope.factors(self.head_dim)
        scaled = [] if factors is None else [
            Slot("rope_freqs.weight", "", factors.shape, values=tuple(factors.tolist()))
        ]  # fmt: skip
        # Without an output matrix, llama.cpp uses the embedding. If the configuration ties them, a
        # stored output matrix is ignored, as in transformers.
        output = [] if self.tied else [Slot("output.weight", self.names.output, matrix)]
        return [
            *scaled,
            Slot("token_embd.weight", "model.embed_tokens.weight", matrix),
            *(slot for layer in range(self.layers) for slot in self._layer(layer)),
            Slot("output_norm.weight", "model.norm.weight", (self.hidden,)),
            *output,
        ]

    def _layer(self, layer: int) -> list[Slot]:
        ours, theirs = f"blk.{layer}", f"model.layers.{layer}"
        hidden, wide = self.hidden, self.feed_forward
        queries, cached = self.heads * self.head_dim, self.cached_heads * self.head_dim
        result = []
        for name, source, rows, columns, bias, heads in (
            ("attn_q", "self_attn.q_proj", queries, hidden, self.query_bias, self.heads),
            ("attn_k", "self_attn.k_proj", cached, hidden, self.query_bias, self.cached_heads),
            ("attn_v", "self_attn.v_proj", cached, hidden, self.query_bias, 0),
            ("attn_output", "self_attn.o_proj", hidden, queries, self.output_bias, 0),
            ("ffn_gate", "mlp.gate_proj", wide, hidden, self.mlp_bias, 0),
            ("ffn_up", "mlp.up_proj", wide, hidden, self.mlp_bias, 0),
            ("ffn_down", "mlp.down_proj", hidden, wide, self.mlp_bias, 0),
        ):
            swap = Swap(heads, 2, self.head_dim // 2, 1) if heads and self.swaps else None
            ends = {"weight": (rows, columns)} | ({"bias": (rows,)} if bias else {})
            for end, shape in ends.items():
                result.append(Slot(f"{ours}.{name}.{end}", f"{theirs}.{source}.{end}", shape, swap))
        return [
            Slot(f"{ours}.attn_norm.weight", f"{theirs}.input_layernorm.weight", (hidden,)),
            *result,
            Slot(f"{ours}.ffn_norm.weight", f"{theirs}.post_attention_layernorm.weight", (hidden,)),
        ]


@dataclass(frozen=True)
class Qwen2(Llama):
    """The shape of a Qwen2 or Qwen2.5, in tokens, channels and layers."""

    title = "Qwen2"
    classes = ("Qwen2ForCausalLM",)
    model_type = "qwen2"
    gguf = "qwen2"
    scalings: ClassVar[tuple[str, ...]] = ("linear", "yarn")
    swaps: ClassVar[bool] = False

    def _is_70b(self) -> bool:
        return self.layers == 80

    @classmethod
    def read(cls, config: Config) -> Self:
        """Read a configuration."""
        found = super().read(config)
        if found.heads * found.head_dim != found.hidden:
            raise config.refusal(
                f"{found.heads} heads of {found.head_dim} channels are not hidden_size"
                f" {found.hidden}, as llama.cpp's Qwen2 needs"
            )
        return found

    @classmethod
    def _biases(cls, config: Config) -> tuple[bool, bool, bool]:  # noqa: ARG003 - the same for all
        return True, False, False

    @classmethod
    def _context(cls, config: Config) -> int:
        context = config.count("max_position_embeddings", 32768)
        if config.flag("use_sliding_window"):  # llama.cpp does not support it for Qwen2
            context = min(context, config.count("sliding_window", 4096))
        return context
