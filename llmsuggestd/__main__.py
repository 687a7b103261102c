"""The command line: what the program `llmsuggestd` and `python -m llmsuggestd` run."""

from llmsuggestd.environment import forget_python_path


def main() -> None:
    """Run a command, with the packages of our own environment."""
    forget_python_path()
    from llmsuggestd import cli

    cli.main()


if __name__ == "__main__":
    main()
