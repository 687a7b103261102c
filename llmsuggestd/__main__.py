"""`python -m llmsuggestd`: the command line without the console script."""

from llmsuggestd.cli import main

main()
