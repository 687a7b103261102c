"""The entry point of `llmsuggestd` and `python -m llmsuggestd`."""

import signal


def main() -> None:
    """Run a command, with the packages of our own environment."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:  # until something catches it, Ctrl-C ends the process without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from llmsuggestd.environment import forget_python_path

    forget_python_path()
    from llmsuggestd import cli

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
