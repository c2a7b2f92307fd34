"""Creates key files that the other tools cannot create: PBMAC1 (RFC 9579), MAC with another password than the keys, BER, JSON.

Modifies stores created by openssl, with the digests of Python. Run by generate.sh in the directory of the corpus. Prints the
lines of the list.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import subprocess

PASSWORD = b"changeit"


def element(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*parts):
    return element(0x30, *parts)


def oid(text):
    first, second, *rest = map(int, text.split("."))
    body = bytes([first * 40 + second])
    for number in rest:
        part = [number & 0x7F]
        while number := number >> 7:
            part.insert(0, 0x80 | (number & 0x7F))
        body += bytes(part)
    return element(6, body)


def number(value):
    return element(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def read(data):
    """Returns tag, body and the remaining bytes."""
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + length], data[start + length :]


def store(*options, password="changeit"):
    command = ["openssl", "pkcs12", "-export", "-inkey", "rsa.key", "-in", "rsa.crt", "-name", "rsa", "-nomac"]
    return subprocess.run([*command, "-passout", f"pass:{password}", *options], check=True, capture_output=True).stdout


def parts(pfx):
    """Returns the ContentInfo of a store, and the bytes that the MAC covers."""
    version_and_rest = read(pfx)[1]
    info = read(version_and_rest)[2]
    fields = read(info)[1]
    tagged = read(fields)[2]
    return info, read(read(tagged)[1])[1]


def with_mac(pfx, mac):
    info, _ = parts(pfx)
    return sequence(number(3), info, mac)


HMACS = {"sha1": 7, "sha224": 8, "sha256": 9, "sha384": 10, "sha512": 11}


def hmac_oid(name):
    return sequence(oid(f"1.2.840.113549.2.{HMACS[name]}"), element(5))


def pbmac1(pfx, prf, digest, length, password=PASSWORD):
    salt = b"saltsalt"
    key = hashlib.pbkdf2_hmac(prf, password, salt, 2048, length)
    prf_oid = [] if prf == "sha1" else [hmac_oid(prf)]
    kdf = sequence(
        oid("1.2.840.113549.1.5.12"), sequence(element(4, salt), number(2048), number(length), *prf_oid)
    )
    algorithm = sequence(oid("1.2.840.113549.1.5.14"), sequence(kdf, hmac_oid(digest)))
    found = hmac.new(key, parts(pfx)[1], digest).digest()
    return with_mac(pfx, sequence(sequence(algorithm, element(4, found)), element(4, b"unused"), number(1)))


def pkcs12_mac(pfx, password):
    """MAC of RFC 7292 appendix B with SHA-256 and a single block."""
    salt = b"saltsalt"
    wide = password.encode("utf-16-be") + b"\0\0"
    fill = lambda text: (text * 64)[: -(-len(text) // 64) * 64]
    key = hashlib.sha256(b"\3" * 64 + fill(salt) + fill(wide)).digest()
    for _ in range(2047):
        key = hashlib.sha256(key).digest()
    found = hmac.new(key, parts(pfx)[1], "sha256").digest()
    algorithm = sequence(oid("2.16.840.1.101.3.4.2.1"), element(5))
    return with_mac(pfx, sequence(sequence(algorithm, element(4, found)), element(4, salt), number(2048)))


def write(name, content, scheme, mac, kind, password="changeit", key_password="-", tool="RFC 9579"):
    with open(name, "wb") as file:
        file.write(content)
    print(name, "rsa", tool, "PKCS12", scheme, mac, kind, "-", password, key_password, "opens", sep="\t")


plain = store()
for prf, digest, length in [("sha256", "sha256", 32), ("sha512", "sha512", 64), ("sha256", "sha512", 64), ("sha1", "sha256", 20)]:
    name = f"r-pbmac1-{prf}-{digest}.p12"
    write(name, pbmac1(plain, prf, digest, length), "AES-256-CBC", f"PBMAC1 {prf}, {digest}", "ascii")
write(
    "r-pbmac1-utf8.p12",
    pbmac1(store(password="pässw€rd"), "sha256", "sha256", 32, "pässw€rd".encode()),
    "AES-256-CBC",
    "PBMAC1 sha256",
    "UTF-8",
    "pässw€rd",
)
for scheme in ["AES-256-CBC", "PBE-SHA1-3DES"]:
    content = pkcs12_mac(store("-legacy", "-keypbe", scheme, "-certpbe", scheme), "of-the-mac")
    write(f"r-twopass-{scheme}.p12", content, scheme, "sha256", "two", "of-the-mac", "changeit", "openssl -twopass")


def bomb(name, scheme, digest, kdf):
    """Writes an encrypted PKCS#8 whose key derivation exceeds the limit. Its content is never decrypted."""
    aes = sequence(oid("2.16.840.1.101.3.4.1.42"), element(4, bytes(16)))
    algorithm = sequence(oid("1.2.840.113549.1.5.13"), sequence(kdf, aes))
    with open(name, "wb") as file:
        file.write(sequence(algorithm, element(4, bytes(64))))
    print(name, "rsa", "Python", "PKCS8 DER", scheme, digest, "ascii", "-", "changeit", "-", "KEY_STORE_ERROR", sep="\t")


# Two million iterations are within the limit, but a key of 32 bytes needs two blocks of this digest (28 bytes, and the slowest).
slow = sequence(oid("2.16.840.1.101.3.4.2.13"), element(5))
pbkdf2 = sequence(oid("1.2.840.113549.1.5.12"), sequence(element(4, b"saltsalt"), number(2000000), slow))
bomb("p8-bomb-slow.der", "AES-256-CBC", "HMAC-SHA3-224, 2,000,000 iterations", pbkdf2)
for name, numbers in [("large", [131072, 8, 1]), ("wide", [2, 1, 999999])]:
    scrypt = sequence(oid("1.3.6.1.4.1.11591.4.11"), sequence(element(4, b"salt"), *map(number, numbers)))
    bomb(f"p8-bomb-{name}.der", "AES-256-CBC", "scrypt, 128 MiB, " + name, scrypt)


def indefinite(data):
    """Re-encodes DER as BER with indefinite lengths and constructed strings."""
    found = b""
    while data:
        tag, body, data = read(data)
        if tag & 0x20:
            found += bytes([tag, 0x80]) + indefinite(body) + b"\0\0"
        elif tag in (4, 0x80) and len(body) > 64:
            pieces = [element(4, body[at : at + 100]) for at in range(0, len(body), 100)]
            found += bytes([tag | 0x20, 0x80]) + b"".join(pieces) + b"\0\0"
        else:
            found += element(tag, body)
    return found


write("r-ber.p12", indefinite(pkcs12_mac(plain, "changeit")), "AES-256-CBC, BER", "sha256", "ascii", tool="openssl")


def windows_names():
    """Returns a store with the names that Windows writes: a GUID for the key, and the user's name for the certificate alone. The
    commands of OpenSSL give both the same name, its library does not."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    for name in ["BIO_new_file", "PEM_read_bio_PrivateKey", "PEM_read_bio_X509", "PKCS12_add_cert", "PKCS12_add_key", "PKCS12_add_safes"]:
        getattr(crypto, name).restype = ctypes.c_void_p
    pointer, aes = ctypes.c_void_p, 427
    pem = lambda read, file: pointer(read(pointer(crypto.BIO_new_file(file, b"r")), None, None, None))
    key, certificate = pem(crypto.PEM_read_bio_PrivateKey, b"p256.key"), pem(crypto.PEM_read_bio_X509, b"p256.crt")
    crypto.X509_alias_set1(certificate, b"My Signer", -1)
    certificates, keys, safes = pointer(), pointer(), pointer()
    certificate_bag = pointer(crypto.PKCS12_add_cert(ctypes.byref(certificates), certificate))
    key_bag = pointer(crypto.PKCS12_add_key(ctypes.byref(keys), key, 0, 2048, aes, PASSWORD))
    for bag in [certificate_bag, key_bag]:
        crypto.PKCS12_add_localkeyid(bag, b"\1\0\0\0", 4)
    crypto.PKCS12_add_friendlyname_utf8(key_bag, b"{0E8F6A52-7C1D-4A9B-8F1E-3D2C1B0A9F8E}", -1)
    crypto.PKCS12_add_safe(ctypes.byref(safes), certificates, aes, 2048, PASSWORD)
    crypto.PKCS12_add_safe(ctypes.byref(safes), keys, -1, 0, None)
    pfx = pointer(crypto.PKCS12_add_safes(safes, 0))
    crypto.PKCS12_set_mac(pfx, PASSWORD, -1, None, 0, 2048, None)
    content = ctypes.create_string_buffer(crypto.i2d_PKCS12(pfx, None))
    crypto.i2d_PKCS12(pfx, ctypes.byref(pointer(ctypes.addressof(content))))
    return content.raw


with open("r-windows-names.p12", "wb") as file:
    file.write(windows_names())
names = ["my signer", "{0e8f6a52-7c1d-4a9b-8f1e-3d2c1b0a9f8e}"]
for name, kind in zip(names, ["certificate", "key"]):
    container = f"PKCS12 by the name of the {kind}"
    print("r-windows-names.p12", "p256", "openssl", container, "AES-256-CBC", "sha1", "ascii", name, "changeit", "-", "opens", sep="\t")


def unpadded(number):
    return base64.urlsafe_b64encode(number).rstrip(b"=").decode()


def der(*command):
    return subprocess.run(["openssl", *command], check=True, capture_output=True).stdout


def rsa_jwk():
    body, numbers = read(der("rsa", "-in", "rsa.key", "-traditional", "-outform", "DER"))[1], []
    while body:
        _, value, body = read(body)
        numbers.append(unpadded(value.lstrip(b"\0")))
    return {"kty": "RSA", "kid": "rsa", **dict(zip(["n", "e", "d", "p", "q", "dp", "dq", "qi"], numbers[1:]))}


def ec_jwk(name, curve, length):
    rest = read(read(der("ec", "-in", f"{name}.key", "-outform", "DER"))[1])[2]
    public = der("pkey", "-in", f"{name}.key", "-pubout", "-outform", "DER")
    x, y = public[-2 * length : -length], public[-length:]
    return {"kty": "EC", "kid": name, "crv": curve, "d": unpadded(read(rest)[1]), "x": unpadded(x), "y": unpadded(y)}


def ed_jwk():
    private, public = (der("pkey", "-in", "ed25519.key", *more, "-outform", "DER")[-32:] for more in ([], ["-pubout"]))
    return {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "d": unpadded(private), "x": unpadded(public)}


def write_json(name, content, key, container, password="-", alias="-"):
    with open(name, "w") as file:
        json.dump(content, file, indent=1)
    print(name, key, "Python", container, "none" if password == "-" else "AES-256-CBC", "-", "none", alias, password, "-", "opens", sep="\t")


def text(name):
    with open(name) as file:
        return file.read()


keys = [(rsa_jwk(), "rsa"), (ec_jwk("p256", "P-256", 32), "p256"), (ec_jwk("p384", "P-384", 48), "p384"), (ed_jwk(), "ed25519")]
for key, name in keys:
    write_json(f"j-{name}.jwk", key, name, "JWK")
write_json("j-rsa-ned.jwk", {name: keys[0][0][name] for name in ["kty", "n", "e", "d"]}, "rsa", "JWK with n, e and d alone")
write_json("j-set.jwks", {"keys": [key for key, _ in keys]}, "p384", "JWKS", alias="p384")
google = {"type": "service_account", "private_key_id": "1a2b", "private_key": text("rsa.key"), "client_email": "a@example.com"}
write_json("j-google.json", google, "rsa", "Google service account")
encrypted = der("pkcs8", "-topk8", "-in", "rsa.key", "-passout", "pass:changeit").decode()
app = {"clientID": "x", "clientSecret": "y", "appAuth": {"publicKeyID": "k", "privateKey": encrypted, "passphrase": "changeit"}}
write_json("j-box.json", {"boxAppSettings": app, "enterpriseID": "1"}, "rsa", "Box configuration")
