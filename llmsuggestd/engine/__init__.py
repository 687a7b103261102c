"""The engine: one loaded model in a process of its own, asked over a pair of pipes.

`__main__` is that process; `llama` wraps llama.cpp, `search` chooses tokens, `prompt` builds the
text the model was trained on, `protocol` is the language spoken on the pipes. Only `llama` imports
llama_cpp, and only the engine's process imports `llama`.
"""
