"""Makes the fixtures of bindings/python/tests importable, and has the fixtures of several servers."""

import os
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[2] / "bindings" / "python" / "tests"))

from authgrant_ctypes import Library  # noqa: E402
from fixtures import make_openssl_pkcs12  # noqa: E402


@pytest.fixture(scope="module")
def library():
    """The library at the path AUTHGRANT_LIBRARY."""
    return Library(os.environ["AUTHGRANT_LIBRARY"])


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """The path of a PKCS#12 file with a signing key, and that of its certificate."""
    return make_openssl_pkcs12(tmp_path_factory.mktemp("stores"), "signer")
