"""The process in which a target is fuzzed: `python -m tests.fuzz.engine TARGET PROGRAM`, then arguments of libFuzzer.

PROGRAM is what starts this process again with other arguments, which libFuzzer does to choose inputs.
Only `stream_app` is instrumented, so it must not be imported before.
"""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Fuzzes until a limit that the arguments set."""
    name, program, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["stream_app"]):
        from tests.fuzz.targets import target

        module = target(name)
        if hasattr(module, "prepare"):
            module.prepare()
    atheris.Setup([program, *arguments], module.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
