package authgrant

// #include <authgrant.h>
import "C"

// Allow permits what is forbidden in connection strings by default.
type Allow uint32

// Forbid forbids what is permitted by default.
type Forbid uint32

// Parts of the policy of a process; SECURITY.md says what each is for.
const (
	AllowSecretReferences   Allow = C.AUTHGRANT_ALLOW_SECRET_REFERENCES
	AllowPKCS11ModulePath   Allow = C.AUTHGRANT_ALLOW_PKCS11_MODULE_PATH
	AllowTokenCache         Allow = C.AUTHGRANT_ALLOW_TOKEN_CACHE
	ForbidHTTPGet                 = Forbid(C.AUTHGRANT_FORBID_HTTP_GET)
	ForbidInsecureTLS             = Forbid(C.AUTHGRANT_FORBID_INSECURE_TLS)
	ForbidLoopbackHTTP            = Forbid(C.AUTHGRANT_FORBID_LOOPBACK_HTTP)
	ForbidPrompt                  = Forbid(C.AUTHGRANT_FORBID_PROMPT)
	ForbidWeakKeyEncryption       = Forbid(C.AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION)
	ForbidSharedTokens            = Forbid(C.AUTHGRANT_FORBID_SHARED_TOKENS)
	ForbidFilePaths               = Forbid(C.AUTHGRANT_FORBID_FILE_PATHS)
	ForbidTLS12                   = Forbid(C.AUTHGRANT_FORBID_TLS12)
)

// SetPolicy sets the policy of the process for connection strings. It belongs to the application: call it before the first
// [Open]. Later it can only be tightened.
func SetPolicy(allow Allow, forbid Forbid) error {
	var failure *C.authgrant_error
	return newError(C.authgrant_set_policy(C.uint32_t(allow), C.uint32_t(forbid), &failure), failure)
}

// AllowDirectory permits file paths of connection strings below a directory, with [ForbidFilePaths].
func AllowDirectory(path string) error {
	text, err := newCString("path", path)
	if err != nil {
		return err
	}
	defer text.free()
	var failure *C.authgrant_error
	return newError(C.authgrant_allow_directory(text.text, &failure), failure)
}

// ClearCaches clears the caches of the process: tokens, opened keys and idle connections. Tokens that a [Connection] or the caller
// holds stay valid.
func ClearCaches() { C.authgrant_clear_caches() }
