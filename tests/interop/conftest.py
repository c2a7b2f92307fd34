"""The ctypes wrapper is shared with tests/bindings/python."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "ffi" / "python"))
