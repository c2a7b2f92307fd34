"""The declarations of the package against include/authgrant.h."""

import ctypes
import pathlib
import re
import subprocess

import pytest

import authgrant
from authgrant import _library
from authgrant._errors import CLASSES

HEADER = pathlib.Path(__file__).parents[3] / "include" / "authgrant.h"
TEXT = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
CONSTANTS = {name: int(value) for name, value in re.findall(r"#define AUTHGRANT_(\w+) (\d+)", TEXT)}

# Functions that the public modules do not use.
NOT_WRAPPED = {"open", "open_wide", "authorize", "get_token", "to_wide", "from_wide", "copy_token", "take_warnings", "token_length", "status_name"}

C_TYPES = {
    "authgrant_status": "c_int32",
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "size_t": "c_size_t",
    "ptrdiff_t": "c_ssize_t",
    "void": None,
    "const char *": "c_char_p",
    "const char *const *": "LP_c_char_p",
    "size_t *": "LP_c_size_t",
    "const authgrant_open_options *": "LP_OpenOptions",
    "const authgrant_call_options *": "LP_CallOptions",
    "authgrant_open_url_fn": _library.OPEN_URL.__name__,
    "authgrant_refresh_token_fn": _library.REFRESH_TOKEN.__name__,
    "authgrant_audit_fn": _library.AUDIT.__name__,
    "authgrant_log_fn": _library.LOG.__name__,
    "authgrant_sign_fn": _library.SIGN.__name__,
    "const authgrant_token_store *": "LP_TokenStoreFunctions",
    "uint64_t": "c_size_t",  # the same type on this machine, with one name
    "int32_t *": "LP_c_int32",
    "int64_t *": "LP_c_int64",
}
CALLBACKS = {
    "open_url_fn": _library.OPEN_URL,
    "refresh_token_fn": _library.REFRESH_TOKEN,
    "audit_fn": _library.AUDIT,
    "log_fn": _library.LOG,
    "sign_fn": _library.SIGN,
    "store_get_fn": _library.STORE_GET,
    "store_lease_fn": _library.STORE_LEASE,
    "store_put_fn": _library.STORE_PUT,
    "store_release_fn": _library.STORE_RELEASE,
}
STRUCTS = {
    "authgrant_call_options": _library.CallOptions,
    "authgrant_open_options": _library.OpenOptions,
    "authgrant_token_store": _library.TokenStoreFunctions,
}


def without_name(parameter):
    """The type of a parameter declaration."""
    return re.sub(r"\w+$", "", parameter.strip()).strip()


def expected_type(c_type):
    """The name of the ctypes type for a type of C."""
    c_type = " ".join(c_type.split())
    if c_type in C_TYPES:
        return C_TYPES[c_type]
    if c_type.endswith("**"):
        return "LP_c_void_p"
    if c_type == "uint8_t *" or c_type == "const uint8_t *":
        return "LP_c_ubyte"
    assert c_type.endswith("*"), f"no ctypes type for {c_type!r}"
    return "c_void_p"


def type_name(ctypes_type):
    # c_size_t and c_int64 are other names of these types on this machine.
    same = {
        "c_ulong": "c_size_t",
        "c_long": "c_int64",
        "c_int": "c_int32",
        "c_uint": "c_uint32",
        "LP_c_ulong": "LP_c_size_t",
        "LP_c_int": "LP_c_int32",
        "LP_c_long": "LP_c_int64",
    }
    return None if ctypes_type is None else same.get(ctypes_type.__name__, ctypes_type.__name__)


def functions_of_header():
    """Name without prefix: the names of the ctypes types of result and arguments."""
    found = re.findall(r"^([a-z][a-z0-9_ ]*?[ *]+)authgrant_(\w+)\(([^)]*)\);", TEXT, flags=re.MULTILINE)
    for result, name, arguments in found:
        parameters = [] if arguments.strip() in ("", "void") else arguments.split(",")
        yield name, [expected_type(result.strip()), *(expected_type(without_name(one)) for one in parameters)]


def test_every_function_of_header_is_declared_with_its_types():
    declared = {name: [type_name(one) for one in types] for name, types in _library.FUNCTIONS.items()}
    # ptrdiff_t has the type of int64_t.
    expected = {name: ["c_int64" if one == "c_ssize_t" else one for one in types] for name, types in functions_of_header()}
    assert len(expected) > 50
    assert declared == expected


def test_every_function_is_used_or_listed():
    sources = "".join(path.read_text(encoding="utf-8") for path in pathlib.Path(authgrant.__file__).parent.glob("*.py"))
    used = {name for name in _library.FUNCTIONS if re.search(rf'library\.{name}\b|untyped\("{name}"\)', sources)}
    assert used == set(_library.FUNCTIONS) - NOT_WRAPPED


def test_callback_types_match_header():
    for name, kind in CALLBACKS.items():
        result, arguments = re.search(rf"typedef (\w+) \(\*authgrant_{name}\)\(([^)]*)\);", TEXT).groups()
        expected = [expected_type(result), *(expected_type(without_name(one)) for one in arguments.split(","))]
        assert [type_name(kind._restype_), *map(type_name, kind._argtypes_)] == expected


@pytest.mark.parametrize("name", STRUCTS)
def test_struct_layout_matches_compiler(name, tmp_path):
    members = [member for member, _ in STRUCTS[name]._fields_]
    lines = [f'printf("{member} %zu\\n", offsetof({name}, {member}));' for member in members]
    probe = tmp_path / "probe.c"
    probe.write_text(
        "#include <authgrant.h>\n#include <stdio.h>\nint main(void) {\n"
        + "\n".join(lines) + f'\nprintf("sizeof %zu\\n", sizeof({name}));\nreturn 0; }}\n'
    )
    subprocess.run(["cc", f"-I{HEADER.parent}", str(probe), "-o", str(tmp_path / "probe")], check=True)
    output = subprocess.run([str(tmp_path / "probe")], check=True, capture_output=True, text=True).stdout.split()
    actual = {member: getattr(STRUCTS[name], member).offset for member in members}
    actual["sizeof"] = ctypes.sizeof(STRUCTS[name])
    assert actual == {member: int(value) for member, value in zip(output[::2], output[1::2])}
    declared = re.search(rf"typedef struct {name} \{{(.*?)\}}", TEXT, flags=re.DOTALL).group(1)
    assert re.findall(r"(\w+);", declared) == members


def test_every_struct_of_header_is_declared():
    assert re.findall(r"typedef struct (\w+) \{", TEXT) == list(STRUCTS)


def test_constants_match_header():
    assert CONSTANTS["NO_PROMPT"] == _library.NO_PROMPT and CONSTANTS["NO_NETWORK"] == _library.NO_NETWORK
    assert CONSTANTS["AS_GIVEN"] == _library.AS_GIVEN
    assert CONSTANTS["WITH_SECRETS"] == _library.WITH_SECRETS and CONSTANTS["WITH_TOKENS"] == _library.WITH_TOKENS
    for flags in (authgrant.Allow, authgrant.Forbid):
        prefix = flags.__name__.upper() + "_"
        expected = {name[len(prefix):]: value for name, value in CONSTANTS.items() if name.startswith(prefix)}
        assert {name: int(flag) for name, flag in flags.__members__.items()} == expected
    version = tuple(map(int, authgrant.version().split(".")))
    assert version[0] * 10000 + version[1] * 100 + version[2] == CONSTANTS["VERSION_NUMBER"]


def test_every_status_has_class():
    others = r"NO_|WITH_|AS_|ALLOW_|FORBID_|VERSION_|OK$"
    statuses = {name: value for name, value in CONSTANTS.items() if not re.match(others, name)}
    assert len(statuses) == len(CLASSES)
    for name, value in statuses.items():
        kind = CLASSES[value]
        assert kind.__name__.lower().replace("error", "") == name.lower().replace("_", "").replace("error", "")
        assert getattr(authgrant, kind.__name__) is kind
        assert _library.library.status_name(value).decode() == f"AUTHGRANT_{name}"
