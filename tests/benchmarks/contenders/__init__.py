"""The contenders of `engine.py`: ways to get suggestions from a language model on a CPU.

Each is a class that says how it is run. `TABLE` lists them. `__main__.py` runs one of them in a
process of its own.
"""

from __future__ import annotations

from typing import Final

from tests.benchmarks.contenders.contender import Contender
from tests.benchmarks.contenders.ctranslate import CTranslate2
from tests.benchmarks.contenders.ik_llama_cpp import IkAvx2, IkNative
from tests.benchmarks.contenders.llama_cpp import Completions, Server
from tests.benchmarks.contenders.openvino import OpenVino
from tests.benchmarks.contenders.ours import LlamaKernels, Ours
from tests.benchmarks.contenders.transformers_ import Transformers
from tests.benchmarks.contenders.vllm_ import Vllm

TABLE: Final[dict[str, type[Contender]]] = {
    "ours": Ours,
    "openvino": OpenVino,
    "ik-native": IkNative,
    "ik": IkAvx2,
    "llama-kernels": LlamaKernels,
    "server": Server,
    "ctranslate2": CTranslate2,
    "completions": Completions,
    "vllm": Vllm,
    "transformers": Transformers,
}
"""The contenders by name, in the order in which they take turns."""
