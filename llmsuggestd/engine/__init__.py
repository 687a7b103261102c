"""The engine: one loaded model in a separate process, which is asked over a pair of pipes.

The engine's process runs `__main__`. Its parent imports `served_model` and its dependencies, but no
module that imports llama_cpp or numpy.
"""
