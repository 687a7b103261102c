"""Models whose engine is a server elsewhere, one with OpenAI's `/v1/completions`.

`address.py` says where goals may be sent, and `failures.py` in which ways a server can fail.
`server.py` makes the HTTP requests, `completions.py` reads and ranks the answers, and `model.py`
has the model that the daemon serves. Nothing is sent unless the user has added such a model and
chosen it.
"""
