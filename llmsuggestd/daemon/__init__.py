"""The daemon: HTTP on a Unix socket and on localhost, in front of an engine process.

`server` runs the process, `access` decides who may ask, `api` and `compat` declare the calls,
`schema` their requests and answers, `daemon` is the object on which they act, and `suggester` the
queue. docs/architecture.md lists the other modules. None imports llama_cpp.
"""
