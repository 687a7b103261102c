"""The compiled part of the package; the rest is in pyproject.toml."""

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
                # only an explicit fused multiply-add may round once, so all builds agree
                "-ffp-contract=off",
                # GCC 12 warns about its own <immintrin.h>
                "-Wno-uninitialized",
                "-Wno-maybe-uninitialized",
            ],
            extra_link_args=["-fopenmp"],
            # If it cannot be compiled (MSVC, or a Clang without OpenMP), llama.cpp's own kernels
            # are used.
            optional=True,
        )
    ]
)
