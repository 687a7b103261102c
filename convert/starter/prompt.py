"""The text a model reads before it says a step."""


def prompt(goal: str) -> str:
    return f"[GOAL]{goal}[PROOFSTEP]"
