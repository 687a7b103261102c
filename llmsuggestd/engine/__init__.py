"""The engine: one loaded model in a process of its own, asked over a pair of pipes.

The engine's process runs `__main__`. Its parent imports `served_model` and what that needs, never
a module that imports llama_cpp or numpy.
"""
