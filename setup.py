"""The native scanner, which pyproject.toml can't declare. Where it can't be built, the pure one is used."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "qps_service.scanning._scan",
            ["qps_service/scanning/c/module.c"],
            depends=sorted(glob("qps_service/scanning/c/**/*.h", recursive=True)),
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O3", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
