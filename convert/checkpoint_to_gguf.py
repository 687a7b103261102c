"""Convert a checkpoint to a 4-bit GGUF file: `llmsuggestd convert` as a script.

    python convert/checkpoint_to_gguf.py CHECKPOINT [--quant Q4_K_M] [--output FILE]

Needs llmsuggestd installed; the converter itself is llmsuggestd/convert/.
"""

from llmsuggestd.cli import main
from llmsuggestd.cli.convert import command

if __name__ == "__main__":
    main(command, "checkpoint_to_gguf.py")
