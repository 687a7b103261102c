"""The daemon: HTTP on a Unix socket and on localhost, in front of an engine process.

`server` owns the process's life (lock, listeners, discovery file, signals), `app` the routes and
who may use them, `schema` what requests and answers look like, `suggester` the queue and the
cache, `engine` the engine process and its crashes. Nothing here imports llama_cpp.
"""
