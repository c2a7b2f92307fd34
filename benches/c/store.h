/* Loads the key of a PKCS#12 or JKS file, detected by its first bytes, with OpenSSL only. Verifies the integrity. */
#ifndef STORE_H
#define STORE_H

#include <openssl/evp.h>

EVP_PKEY *load_store_key(const char *path, const char *password);

#endif
