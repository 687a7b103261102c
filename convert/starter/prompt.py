"""The prompt: the text after which the model writes a step."""


def prompt(goal: str) -> str:
    return f"[GOAL]{goal}[PROOFSTEP]"
