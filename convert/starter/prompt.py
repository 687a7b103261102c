"""The prompt: the text after which the model writes a step."""

from llmsuggestd.formats import LLMSTEP


def prompt(goal: str) -> str:
    return LLMSTEP.text(goal)
