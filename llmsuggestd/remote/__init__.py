"""Remote models: the engine is a server with OpenAI's `/v1/completions`.

`address.py` checks where goals may be sent. `failures.py` lists the ways in which a server can
fail. `server.py` makes the HTTP requests, `completions.py` parses and ranks the answers,
`tokens.py` and `beams.py` search step by step, and `model.py` has the model that the daemon serves.
Goals are sent only after the user has added a remote model and has chosen it.
"""
