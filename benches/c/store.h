/* The key of a PKCS#12 file or, by its first bytes, a JKS file, opened with OpenSSL alone; the integrity is checked. */
#ifndef STORE_H
#define STORE_H

#include <openssl/evp.h>

EVP_PKEY *key_of_store(const char *path, const char *password);

#endif
