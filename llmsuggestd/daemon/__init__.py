"""The daemon: HTTP on a Unix socket and on localhost, in front of an engine process.

`server` owns the process's life, `access` says who may ask, `api` and `compat` declare the calls,
`schema` what they take and answer, `state` what they act on; `suggester` is the queue, `engine` the
engine process and its crashes. docs/architecture.md lists the others. Nothing imports llama_cpp.
"""
