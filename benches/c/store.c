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

static uint32_t read_be(const unsigned char *at, int bytes) {
    uint32_t value = 0;

    for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
    return value;
}

/* As Sun's KeyProtector does it: key XOR a chain of SHA-1 over password and what came before, from a salt on. */
static EVP_PKEY *decrypt_jks_key(const unsigned char *sealed, long length, const unsigned char *password, size_t of) {
    X509_SIG *info = d2i_X509_SIG(NULL, &sealed, length);
    const ASN1_OCTET_STRING *content;
    const unsigned char *bytes;
    unsigned char *plain, digest[20], block[256];
    size_t size;
    EVP_PKEY *key;

    if (info == NULL) die("not a key of a JKS");
    X509_SIG_get0(info, NULL, &content);
    bytes = ASN1_STRING_get0_data(content);
    size = (size_t)ASN1_STRING_length(content) - 40;
    plain = malloc(size);
    memcpy(digest, bytes, 20);
    memcpy(block, password, of);
    for (size_t at = 0; at < size; at += 20) {
        memcpy(block + of, digest, 20);
        SHA1(block, of + 20, digest);
        for (size_t i = 0; i < 20 && at + i < size; i++) plain[at + i] = bytes[20 + at + i] ^ digest[i];
    }
    const unsigned char *der = plain;
    PKCS8_PRIV_KEY_INFO *inner = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)size);
    key = inner == NULL ? NULL : EVP_PKCS82PKEY(inner);
    PKCS8_PRIV_KEY_INFO_free(inner);
    X509_SIG_free(info);
    free(plain);
    return key;
}

/* The first entry, which has to be a key. */
static EVP_PKEY *load_jks_key(const unsigned char *bytes, size_t length, const char *password) {
    static const char salt[] = "Mighty Aphrodite";
    unsigned char wide[200], digest[20];
    size_t of = 2 * strlen(password), at = 12;
    SHA_CTX context;

    for (size_t i = 0; i < of; i++) wide[i] = i % 2 == 0 ? 0 : (unsigned char)password[i / 2];
    SHA1_Init(&context);
    SHA1_Update(&context, wide, of);
    SHA1_Update(&context, salt, sizeof salt - 1);
    SHA1_Update(&context, bytes, length - 20);
    SHA1_Final(digest, &context);
    if (memcmp(digest, bytes + length - 20, 20) != 0) die("the password does not open the JKS");
    if (read_be(bytes + at, 4) != 1) die("the first entry of the JKS is not a key");
    at += 4;
    at += 2 + read_be(bytes + at, 2) + 8;
    return decrypt_jks_key(bytes + at + 4, (long)read_be(bytes + at, 4), wide, of);
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
    if (key == NULL) die("the store has no key");
    return key;
}
