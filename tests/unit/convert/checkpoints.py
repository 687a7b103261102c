"""Checkpoints for tests: small models with random weights, written without torch."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

NEOX_TOKENIZER = Path(__file__).parents[2] / "data" / "gpt-neox-tokenizer" / "tokenizer.json.gz"

Tensors = Mapping[str, npt.NDArray[Any]]

CONFIG: dict[str, Any] = {
    "architectures": ["GPTNeoXForCausalLM"],
    "model_type": "gpt_neox",
    "hidden_act": "gelu",
    "hidden_size": 256,
    "intermediate_size": 512,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_parallel_residual": True,
    "vocab_size": 320,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


LLAMA_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 256,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
    "mlp_bias": False,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "vocab_size": 320,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

QWEN2_CONFIG: dict[str, Any] = {
    key: value for key, value in LLAMA_CONFIG.items() if key not in ("attention_bias", "mlp_bias")
} | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}


def config(base: Mapping[str, Any] = CONFIG, **changes: Any) -> dict[str, Any]:
    """The object of a config.json. A change to None removes the key."""
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def random_weights(config: Mapping[str, Any], seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Weights for a configuration, by their Hugging Face names."""
    random = np.random.default_rng(seed)
    return {
        name: (random.standard_normal(shape) * 0.05 + (1.0 if "norm.weight" in name else 0.0))
        .astype(np.float32)
        for name, shape in tensor_shapes(config).items()
    }  # fmt: skip


def tensor_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a configuration's tensors, by their Hugging Face names."""
    return _neox(config) if config["model_type"] == "gpt_neox" else _llama(config)


def _neox(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a GPT-NeoX's tensors."""
    hidden, wide, vocab = (
        config[key] for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    shapes: dict[str, tuple[int, ...]] = {"gpt_neox.embed_in.weight": (vocab, hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"{prefix}{norm}.weight": (hidden,), f"{prefix}{norm}.bias": (hidden,)}
        for name, rows, columns in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", wide, hidden),
            ("mlp.dense_4h_to_h", hidden, wide),
        ):
            shapes |= {f"{prefix}{name}.weight": (rows, columns), f"{prefix}{name}.bias": (rows,)}
    return shapes | {
        "gpt_neox.final_layer_norm.weight": (hidden,),
        "gpt_neox.final_layer_norm.bias": (hidden,),
        "embed_out.weight": (vocab, hidden),
    }


def _llama(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a Llama's or a Qwen2's tensors."""
    hidden, wide, vocab = (
        config[key] for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    queries, cached = heads * size, config.get("num_key_value_heads", heads) * size
    biased = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    if config["model_type"] == "llama":
        biased = [*biased, "self_attn.o_proj"] if config.get("attention_bias") else []
        biased += (
            ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] if config.get("mlp_bias") else []
        )
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{norm}.weight"] = (hidden,)
        for name, rows, columns in (
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", cached, hidden),
            ("self_attn.v_proj", cached, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", wide, hidden),
            ("mlp.up_proj", wide, hidden),
            ("mlp.down_proj", hidden, wide),
        ):
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
            if name in biased:
                shapes[f"{prefix}{name}.bias"] = (rows,)
    shapes["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def in_letters(weights: Tensors) -> dict[str, npt.NDArray[Any]]:
    """The weights, changed so that the model prefers the letters a to z of `byte_level_tokenizer`.

    Otherwise its output may not be text.
    """
    result = {name: values.copy() for name, values in weights.items()}
    letters = slice(1 + ord("a"), 2 + ord("z"))
    if "lm_head.weight" in weights:
        result["model.embed_tokens.weight"][:, 0] = 8.0  # what every text has in common
        result["lm_head.weight"][:, 0] = 0.0
        result["lm_head.weight"][letters, 0] = 1.0
    else:
        result["gpt_neox.final_layer_norm.bias"] += 1.0
        result["embed_out.weight"][letters] += 0.1
    return result


def bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of values as bfloat16, rounded towards zero, which is good enough for a test."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def byte_level_tokenizer(merges: int = 40, **changes: Any) -> dict[str, Any]:
    """The object of a tokenizer.json with `<|endoftext|>`, the bytes, and a few merges."""
    letters = byte_letters()
    vocab = {"<|endoftext|>": 0} | {letter: 1 + i for i, letter in enumerate(letters)}
    pairs = [("Ġ", c) for c in "abcdefghijklmnopqrstuvwxyz"] + [("h", "p"), ("e", "x"), ("a", "c")]
    pairs += [("Ġ" + c, "1") for c in "abcdefghijklmnop"]
    for left, right in pairs[:merges]:
        vocab[left + right] = len(vocab)
    return {
        "version": "1.0",
        "added_tokens": [added("<|endoftext|>", 0)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab,
            "merges": [f"{left} {right}" for left, right in pairs[:merges]],
        },
    } | changes  # fmt: skip


def split_tokenizer(pre: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object of a tokenizer.json, changed so that it splits text as another kind's.

    `pre` is llama.cpp's name of the kind. The steps are those of the tokenizer.json of Llama 3,
    Qwen2 and DeepSeek-Coder.
    """
    patterns = {
        "llama-bpe": [LLAMA3_SPLIT],
        "qwen2": [LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")],
        "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"],
    }[pre]
    steps: list[dict[str, Any]] = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    if pre == "deepseek-coder":
        steps.append({"type": "Digits", "individual_digits": True})
    steps.append(
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    )
    result = dict(data or byte_level_tokenizer())
    return result | {
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "model": result["model"] | {"ignore_merges": pre == "llama-bpe"},
    }


LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def sentencepiece_model(lines: Sequence[str], **options: Any) -> bytes:
    """A tokenizer.model as Llama 2 has one, trained on a few lines."""
    import sentencepiece

    result = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=result,
        minloglevel=2,
        **{
            "model_type": "bpe", "vocab_size": 400, "byte_fallback": True,
            "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
            "character_coverage": 1.0, "hard_vocab_limit": False, "split_digits": True,
            "allow_whitespace_only_pieces": True,
            **options,
        },
    )  # fmt: skip
    return result.getvalue()


def sentencepiece_json(model: bytes) -> dict[str, Any]:
    """The object of the tokenizer.json that transformers makes of a tokenizer.model."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = {processor.id_to_piece(n): n for n in range(processor.vocab_size())}
    ranked = sorted(vocab, key=lambda piece: (-processor.get_score(vocab[piece]), vocab[piece]))
    merges = [
        [piece[:cut], piece[cut:]]
        for piece in ranked
        if not processor.is_byte(vocab[piece]) and not processor.is_control(vocab[piece])
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    return {
        "version": "1.0",
        "added_tokens": [added(piece, n) for n, piece in enumerate(("<unk>", "<s>", "</s>"))],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "fuse_unk": True,
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "byte_fallback": True,
            "vocab": vocab, "merges": merges,
        },
    }  # fmt: skip


def added(content: str, number: int, *, special: bool = True) -> dict[str, Any]:
    """An entry of `added_tokens`."""
    return {
        "id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": not special, "special": special,
    }  # fmt: skip


def byte_letters() -> list[str]:
    """GPT-2's letters for the bytes 0 to 255, by its authors' rule."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    plain += range(ord("®"), ord("ÿ") + 1)
    others = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]


def neox_tokenizer() -> dict[str, Any]:
    """The object of the real tokenizer.json of GPT-NeoX."""
    result: dict[str, Any] = json.loads(gzip.decompress(NEOX_TOKENIZER.read_bytes()))
    return result


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def make_checkpoint(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    tensors: Tensors | None = None,
    *,
    dtype: str = "F16",
    tokenizer: Mapping[str, Any] | None = None,
    write: Callable[[Path, Tensors, str], None] | None = None,
) -> Path:
    """Write a complete checkpoint. Returns its folder.

    `dtype` is F32, F16 or BF16; `write` puts the tensors into files, by default into one
    model.safetensors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = config() if settings is None else settings
    write_json(folder / "config.json", settings)
    write_json(
        folder / "tokenizer.json", byte_level_tokenizer() if tokenizer is None else tokenizer
    )
    (write or single_safetensors)(folder, tensors or random_weights(settings), dtype)
    return folder


def stored_bits(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Values as a checkpoint of this type stores them. Arrays of other types are unchanged."""
    if values.dtype != np.float32:
        return values
    if dtype == "BF16":
        return bfloat16(values)
    return values.astype({"F32": np.float32, "F16": np.float16}[dtype])


def save_safetensors(path: Path, tensors: Tensors, dtype: str) -> None:
    """Write a safetensors file with the library of that name."""
    arrays = {name: np.ascontiguousarray(stored_bits(v, dtype)) for name, v in tensors.items()}
    content = safetensors.numpy.save(arrays, {"format": "pt"})
    if dtype == "BF16":
        # numpy has no bfloat16, so the library wrote the bits as integers: correct the header.
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        for name, entry in header.items():
            if name in tensors and tensors[name].dtype == np.float32:
                entry["dtype"] = "BF16"
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + content[8 + size :]
    path.write_bytes(content)


def single_safetensors(folder: Path, tensors: Tensors, dtype: str) -> None:
    """Write model.safetensors."""
    save_safetensors(folder / "model.safetensors", tensors, dtype)


def sharded_safetensors(folder: Path, tensors: Tensors, dtype: str) -> None:
    """Write three shards and their index."""
    _shards(folder, tensors, dtype, "model", "safetensors", save_safetensors)


def single_pickle(folder: Path, tensors: Tensors, dtype: str) -> None:
    """Write pytorch_model.bin."""
    save_pickle(folder / "pytorch_model.bin", tensors, dtype)


def sharded_pickle(folder: Path, tensors: Tensors, dtype: str) -> None:
    """Write three pickled shards and their index."""
    _shards(folder, tensors, dtype, "pytorch_model", "bin", save_pickle)


def _shards(
    folder: Path,
    tensors: Tensors,
    dtype: str,
    stem: str,
    suffix: str,
    save: Callable[[Path, Tensors, str], None],
) -> None:
    weight_map: dict[str, str] = {}
    for number in range(3):
        shard = f"{stem}-{number + 1:05}-of-00003.{suffix}"
        part = {name: value for i, (name, value) in enumerate(tensors.items()) if i % 3 == number}
        save(folder / shard, part, dtype)
        weight_map |= dict.fromkeys(part, shard)
    write_json(folder / f"{stem}.{suffix}.index.json", {"metadata": {}, "weight_map": weight_map})


class _Storage:
    """A storage for the pickler below, which refers to an entry of the archive."""

    def __init__(self, kind: type, key: str, count: int) -> None:
        self.pid = ("storage", kind, key, "cpu", count)


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, _Storage) else None


class Rebuilt:
    """An object that is pickled as a call of torch's tensor constructor."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments

    def __reduce__(self) -> Any:
        return getattr(sys.modules["torch._utils"], self.name), self.arguments


STORAGE_TYPES = {
    "float32": "FloatStorage", "float16": "HalfStorage", "uint16": "BFloat16Storage",
    "bool": "BoolStorage", "int64": "LongStorage",
}  # fmt: skip


def save_pickle(
    path: Path,
    tensors: Tensors,
    dtype: str = "F32",
    *,
    parameters: bool = False,
    views: Callable[[str, npt.NDArray[Any]], tuple[npt.NDArray[Any], int, tuple[int, ...]]]
    | None = None,
    compression: int = zipfile.ZIP_STORED,
    inside: str | None = None,
) -> None:
    """Write a file as torch.save does, for a state dict, or a trainer's state with it `inside`.

    With `parameters`, tensors are torch.nn.Parameters. `views` returns, for a tensor's name
    and values, the storage, the first element and the strides to store it with.
    """
    with _fake_torch() as torch:
        state: OrderedDict[str, Any] = OrderedDict()
        storages: list[bytes] = []
        for name, value in tensors.items():
            bits = stored_bits(value, dtype)
            strides = tuple(step // bits.itemsize for step in bits.strides)
            storage, first = bits, 0
            if views:
                storage, first, strides = views(name, bits)
            kind = getattr(torch, STORAGE_TYPES[str(bits.dtype)])
            handle = _Storage(kind, str(len(storages)), storage.size)
            storages.append(storage.tobytes())
            tensor = Rebuilt(
                "_rebuild_tensor_v2", handle, first, bits.shape, strides, False, OrderedDict()
            )
            state[name] = (
                Rebuilt("_rebuild_parameter", tensor, True, OrderedDict()) if parameters else tensor
            )
        state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]  # as torch does
        data = io.BytesIO()
        whole = state if inside is None else {"epoch": 3, "lr": [0.1, None], inside: state}
        _Pickler(data, protocol=2).dump(whole)
    write_archive(path, data.getvalue(), storages, compression)


def write_archive(
    path: Path, data: bytes, storages: list[bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Write a torch.save archive of a pickle and its storages."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for key, content in enumerate(storages):
            archive.writestr(f"archive/data/{key}", content)
        archive.writestr("archive/version", "3\n")


class _fake_torch:  # noqa: N801 - used like a function
    """Modules with the names in torch's pickles, while one is written."""

    def __enter__(self) -> types.ModuleType:
        torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
        for name in set(STORAGE_TYPES.values()):
            setattr(torch, name, type(name, (), {"__module__": "torch"}))
        for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            function = types.FunctionType((lambda *_: None).__code__, {}, name)
            function.__module__, function.__qualname__ = "torch._utils", name
            setattr(utils, name, function)
        self._old = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
        sys.modules |= {"torch": torch, "torch._utils": utils}
        return torch

    def __exit__(self, *_: object) -> None:
        for name, module in self._old.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
