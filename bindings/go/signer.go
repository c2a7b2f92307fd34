package authgrant

/*
#include <authgrant.h>

extern int32_t authgrantGoSign(uint8_t *message, size_t length, uint8_t *signature, size_t capacity,
                               size_t *signature_length, uintptr_t handle);

static int32_t sign(const uint8_t *message, size_t length, uint8_t *signature, size_t capacity, size_t *signature_length,
                    void *context)
{
    return authgrantGoSign((uint8_t *)message, length, signature, capacity, signature_length, (uintptr_t)context);
}

static authgrant_status set_signer(authgrant_connection *connection, const char *algorithm, uintptr_t handle, authgrant_error **error)
{
    return authgrant_set_signer(connection, algorithm, algorithm == NULL ? NULL : sign, (void *)handle, error);
}
*/
import "C"

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"strings"
)

// signer signs JWTs with a key of Go.
type signer struct {
	crypto.Signer
	options crypto.SignerOpts
}

// SetSigner makes signer sign the JWTs of later calls instead of a key store, for keys in a hardware module or a key service. Nil
// restores the key store. signer must be safe for use by several goroutines.
//
// algorithm is the JWT algorithm, such as "PS256". If it is empty, the key decides: RS256, ES256, ES384 or EdDSA. If signer fails,
// the error of the call contains its error.
func (c *Connection) SetSigner(algorithm string, key crypto.Signer) error {
	if key == nil {
		return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
			return C.set_signer(handle, nil, 0, failure)
		})
	}
	if algorithm == "" {
		algorithm = defaultAlgorithm(key.Public())
	}
	options, err := signerOptions(algorithm)
	if err != nil {
		return err
	}
	name, err := newCString("algorithm", algorithm)
	if err != nil {
		return err
	}
	defer name.free()
	c.core.callbacks.signer.Store(&signer{key, options})
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.set_signer(handle, name.text, C.uintptr_t(c.core.context), failure)
	})
}

// defaultAlgorithm returns the JWT algorithm of a key; "" if there is none.
func defaultAlgorithm(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RS256"
	case *ecdsa.PublicKey:
		return map[string]string{"P-256": "ES256", "P-384": "ES384"}[key.Curve.Params().Name]
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// signerOptions returns hash and padding of a JWT algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
func signerOptions(algorithm string) (crypto.SignerOpts, error) {
	name := strings.ToUpper(algorithm)
	if name == "EDDSA" {
		return crypto.Hash(0), nil
	}
	hashes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	if len(name) == 5 && hashes[name[2:]] != 0 {
		hash := hashes[name[2:]]
		switch name[:2] {
		case "PS":
			return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}, nil
		case "RS", "ES":
			return hash, nil
		}
	}
	return nil, argumentError("the algorithm of the signer is unknown; expected RS256, PS256, ES256 or another of their kind, or EdDSA")
}

// sign signs the signing input of a JWT. ECDSA signatures are in DER, which the library converts.
func (s *signer) sign(message []byte) ([]byte, error) {
	hash := s.options.HashFunc()
	if hash == 0 {
		return s.Sign(rand.Reader, message, s.options)
	}
	digest := hash.New()
	digest.Write(message)
	return s.Sign(rand.Reader, digest.Sum(nil), s.options)
}
