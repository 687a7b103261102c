"""The part of the package that is compiled; all else is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("llmsuggestd/engine/kernels")

setup(
    ext_modules=[
        Extension(
            "llmsuggestd.engine.kernels._backend",
            [str(source) for source in sorted(KERNELS.glob("*.cpp"))],
            depends=[str(header) for header in sorted(KERNELS.glob("*.h"))],
            language="c++",
            extra_compile_args=[
                "-O3",
                "-std=c++17",
                "-fopenmp",
                "-fvisibility=hidden",
                # a product and a sum are one operation, with one rounding, only where they say so
                "-ffp-contract=off",
                # GCC 12 finds them in its own <immintrin.h>
                "-Wno-uninitialized",
                "-Wno-maybe-uninitialized",
            ],
            extra_link_args=["-fopenmp"],
            # Where it cannot be compiled (MSVC, or a Clang without OpenMP), llama.cpp's own kernels
            # do the work.
            optional=True,
        )
    ]
)
