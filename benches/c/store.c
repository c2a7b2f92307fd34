#include "store.h"

#include "bench.h"

#include <openssl/pkcs12.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STORE_LEN = 1 << 20 };

static uint32_t read_be(const unsigned char *bytes, int count) {
    uint32_t value = 0;

    for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

/* Algorithm of Sun's KeyProtector: the key is XORed with a chain of SHA-1 digests over the password and the previous digest,
   starting with a salt. */
static EVP_PKEY *decrypt_jks_key(const unsigned char *encrypted, long length, const unsigned char *password, size_t password_length) {
    X509_SIG *info = d2i_X509_SIG(NULL, &encrypted, length);
    const ASN1_OCTET_STRING *content;
    const unsigned char *bytes;
    unsigned char *plain, digest[20], block[256];
    size_t size;
    EVP_PKEY *key;

    if (info == NULL) die("invalid key entry in the JKS");
    X509_SIG_get0(info, NULL, &content);
    bytes = ASN1_STRING_get0_data(content);
    size = (size_t)ASN1_STRING_length(content) - 40;
    plain = malloc(size);
    memcpy(digest, bytes, 20);
    memcpy(block, password, password_length);
    for (size_t start = 0; start < size; start += 20) {
        memcpy(block + password_length, digest, 20);
        SHA1(block, password_length + 20, digest);
        for (size_t i = 0; i < 20 && start + i < size; i++) plain[start + i] = bytes[20 + start + i] ^ digest[i];
    }
    const unsigned char *der = plain;
    PKCS8_PRIV_KEY_INFO *inner = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)size);
    key = inner == NULL ? NULL : EVP_PKCS82PKEY(inner);
    PKCS8_PRIV_KEY_INFO_free(inner);
    X509_SIG_free(info);
    free(plain);
    return key;
}

/* Loads the first entry, which must be a key. */
static EVP_PKEY *load_jks_key(const unsigned char *bytes, size_t length, const char *password) {
    static const char salt[] = "Mighty Aphrodite";
    unsigned char wide[200], digest[20];
    size_t wide_length = 2 * strlen(password), offset = 12;
    SHA_CTX context;

    for (size_t i = 0; i < wide_length; i++) wide[i] = i % 2 == 0 ? 0 : (unsigned char)password[i / 2];
    SHA1_Init(&context);
    SHA1_Update(&context, wide, wide_length);
    SHA1_Update(&context, salt, sizeof salt - 1);
    SHA1_Update(&context, bytes, length - 20);
    SHA1_Final(digest, &context);
    if (memcmp(digest, bytes + length - 20, 20) != 0) die("wrong password of the JKS");
    if (read_be(bytes + offset, 4) != 1) die("the first entry of the JKS is not a key");
    offset += 4;
    offset += 2 + read_be(bytes + offset, 2) + 8;
    return decrypt_jks_key(bytes + offset + 4, (long)read_be(bytes + offset, 4), wide, wide_length);
}

static EVP_PKEY *load_pkcs12_key(const unsigned char *bytes, size_t length, const char *password) {
    PKCS12 *store = d2i_PKCS12(NULL, &bytes, (long)length);
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;

    if (store != NULL) PKCS12_parse(store, password, &key, &certificate, NULL);
    X509_free(certificate);
    PKCS12_free(store);
    return key;
}

EVP_PKEY *load_store_key(const char *path, const char *password) {
    unsigned char *bytes = malloc(MAX_STORE_LEN);
    FILE *file = fopen(path, "rb");
    size_t length;
    EVP_PKEY *key;

    if (file == NULL) die(path);
    length = fread(bytes, 1, MAX_STORE_LEN, file);
    fclose(file);
    key = read_be(bytes, 4) == 0xfeedfeed ? load_jks_key(bytes, length, password) : load_pkcs12_key(bytes, length, password);
    free(bytes);
    if (key == NULL) die("the store contains no key");
    return key;
}
