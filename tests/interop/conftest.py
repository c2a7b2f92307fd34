"""Makes the ctypes binding of tests/bindings/python importable."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "bindings" / "python"))
