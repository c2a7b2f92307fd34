/*
 * authgrant: turns an ODBC-style connection string into the OAuth access token that a driver sends.
 *
 * Results and errors. A function that can fail returns an authgrant_status (0 is success), writes
 * its result through an out-parameter and takes `authgrant_error **error` last. `error` may be
 * NULL. Otherwise `*error` is always written: NULL on success, on failure an error to be released
 * with authgrant_error_free(). Its previous content is never read. On failure every other
 * out-parameter is set to NULL or 0, except the needed size with AUTHGRANT_BUFFER_TOO_SMALL.
 * NULL where an object is required is AUTHGRANT_INVALID_ARGUMENT. Getters given NULL or a bad index
 * return NULL or 0. An internal error of the library returns AUTHGRANT_INTERNAL; it prints nothing
 * and affects no other object.
 *
 * Ownership. The receiver releases an object with the _free function of its type, and a connection
 * with authgrant_close(). These functions accept NULL. Tokens, cancel tokens, headers and errors
 * outlive their connection. Strings read from an object belong to that object, which is immutable.
 * A string returned as `char **` is released with authgrant_string_free(), which overwrites it
 * first.
 *
 * Text is UTF-8 and NUL-terminated. Invalid UTF-8, an embedded NUL, and CR or LF in a header value
 * are errors. A length counts bytes or units; -1 and ODBC's SQL_NTS (-3) mean NUL-terminated text.
 *
 * Threads. Every function is thread-safe, also on one connection. Only authgrant_close() must be
 * the last call on its connection, and a _free function the last use of its object. A call in
 * progress finishes with the options it started with. A forked child may use its copies of
 * connections; it shares nothing with its parent.
 *
 * Callbacks (`authgrant_..._fn`) run on the thread of the call, with no lock held, possibly on
 * several threads at once. They must return normally. Inside a callback only getters, _free
 * functions, authgrant_cancel_token_cancel() and authgrant_cancel_token_reset() may be called:
 * other functions return AUTHGRANT_INVALID_ARGUMENT (HY010), and authgrant_close() and
 * authgrant_clear_caches() do nothing.
 *
 * Process-wide functions (authgrant_set_policy(), authgrant_allow_directory(),
 * authgrant_set_audit(), authgrant_set_token_store() and authgrant_clear_caches()) belong to the
 * application, not to one of several drivers in it.
 *
 * Compatibility. Numbers never change, and new ones are appended; an unknown number in an argument
 * is an error. Public structs start with their size. The heading of a section has the stability of
 * its functions: a stable function keeps its name, signature and meaning until the number in the
 * SONAME rises; an experimental function may change in any version before 1.0.
 *
 * Written by cbindgen from src/ffi; do not edit.
 */

#ifndef AUTHGRANT_H
#define AUTHGRANT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- constants */

/**
 * The version of this header as one number: 10203 for 1.2.3.
 */
#define AUTHGRANT_VERSION_NUMBER 100

/**
 * Success (SQLSTATE 00000).
 */
#define AUTHGRANT_OK 0

/**
 * An argument is NULL, not valid UTF-8, UTF-16 or UTF-32, or has unknown flags (HY009); a length or
 * size is invalid (HY090); the function was called from inside a callback (HY010).
 */
#define AUTHGRANT_INVALID_ARGUMENT 1

/**
 * The connection string violates the grammar; the message has the offset (HY000).
 */
#define AUTHGRANT_INVALID_CONNECTION_STRING 2

/**
 * An option is unknown, has an invalid value, conflicts with another option or is not allowed by
 * the policy; a model file is not JSON (HY024).
 */
#define AUTHGRANT_INVALID_OPTION 3

/**
 * Required options are missing (28000). The chain has one error per missing option; see
 * authgrant_error_next().
 */
#define AUTHGRANT_MISSING_OPTION 4

/**
 * The DSN is unknown and there is no [Default], or the FILEDSN is missing or unreadable (IM002).
 */
#define AUTHGRANT_DATA_SOURCE_NOT_FOUND 5

/**
 * The key store is missing, unreadable, not a regular file, too large, malformed, of an unknown
 * kind or encrypted with an unsupported cipher; the signer callback failed (28000).
 */
#define AUTHGRANT_KEY_STORE_ERROR 6

/**
 * The key store or the key cannot be decrypted: the password is wrong or missing, or the file was
 * altered (28000).
 */
#define AUTHGRANT_KEY_PASSWORD 7

/**
 * The alias is missing or is not a private key, or there are several keys and no alias is set; the
 * message lists the aliases (28000).
 */
#define AUTHGRANT_KEY_NOT_FOUND 8

/**
 * The key cannot be used with the algorithm, or is too short (28000).
 */
#define AUTHGRANT_KEY_UNSUITABLE 9

/**
 * Name resolution, connection or proxy failed (08001). Retryable.
 */
#define AUTHGRANT_NETWORK 10

/**
 * The TLS handshake or the certificate check failed; the message has the check and the host
 * (08001).
 */
#define AUTHGRANT_TLS 11

/**
 * The deadline of the call passed (HYT00), or the timeout of one request, WSTimeout (HYT01).
 * Retryable.
 */
#define AUTHGRANT_TIMEOUT 12

/**
 * The call was cancelled by authgrant_cancel() or by its cancel token (HY008).
 */
#define AUTHGRANT_CANCELLED 13

/**
 * The authorization server rejected the request with an OAuth error that has no status of its own,
 * such as invalid_grant or invalid_client (28000); see authgrant_error_oauth_error().
 */
#define AUTHGRANT_DENIED 14

/**
 * A user must log in, for the first time or because the session ended, or a user or an
 * administrator must consent first (28000); see authgrant_error_consent_url().
 */
#define AUTHGRANT_CONSENT_REQUIRED 15

/**
 * The server is rate limiting requests: HTTP 429, or 503 with Retry-After, beyond the deadline
 * (08004); see authgrant_error_retry_after(). Retryable.
 */
#define AUTHGRANT_THROTTLED 16

/**
 * The server failed: HTTP 5xx, temporarily_unavailable or server_error (08004). Retryable.
 */
#define AUTHGRANT_SERVER_ERROR 17

/**
 * The response is not an OAuth response: HTML, a redirect, HTTP 4xx without an OAuth error, too
 * large, truncated, without access_token or with an unsupported token type (HY000).
 */
#define AUTHGRANT_BAD_RESPONSE 18

/**
 * The token has expired and cannot be renewed (08006).
 */
#define AUTHGRANT_TOKEN_EXPIRED 19

/**
 * The authentication method is not supported, or it has headers but no token; consent has no URL,
 * and the message has the steps (HYC00).
 */
#define AUTHGRANT_UNSUPPORTED 20

/**
 * A size taken from external input is too large (HY001).
 */
#define AUTHGRANT_OUT_OF_MEMORY 21

/**
 * An internal error, which is a bug of the library; the message has the source file and line
 * (HY000).
 */
#define AUTHGRANT_INTERNAL 22

/**
 * The buffer of the caller is too small; the needed size was written (HY090).
 */
#define AUTHGRANT_BUFFER_TOO_SMALL 23

/**
 * No token is cached, and AUTHGRANT_NO_NETWORK is set (HY000).
 */
#define AUTHGRANT_NOT_CACHED 24

/**
 * Flag of authgrant_call_options: do not open a browser.
 */
#define AUTHGRANT_NO_PROMPT 1

/**
 * Flag of authgrant_call_options: return only a token that is cached or can be created without
 * network access; otherwise fail with AUTHGRANT_NOT_CACHED.
 */
#define AUTHGRANT_NO_NETWORK 2

/**
 * Flag of authgrant_completed_string(): include the secrets of the options.
 */
#define AUTHGRANT_WITH_SECRETS 1

/**
 * Flag of authgrant_completed_string(): include the currently cached tokens.
 */
#define AUTHGRANT_WITH_TOKENS 2

/**
 * Flag of authgrant_completed_string(): the connection string as it was given, with what was
 * changed since. Not together with AUTHGRANT_WITH_SECRETS.
 */
#define AUTHGRANT_AS_GIVEN 4

/**
 * Permission of authgrant_set_policy(): secrets as `env:NAME` and `file:PATH`, and
 * ClientAssertionFile, in a connection string and in a FILEDSN that it names by path. Without it
 * they are accepted only from authgrant_set_option(), from odbc.ini and from the FILEDSNs of the
 * machine.
 */
#define AUTHGRANT_ALLOW_SECRET_REFERENCES 1

/**
 * Permission of authgrant_set_policy(): a PKCS#11 module that a connection string or a FILEDSN
 * names by path (module-path). A module is code that runs in this process. authgrant_set_option()
 * and odbc.ini may always name one. No effect if the library is built without PKCS#11.
 */
#define AUTHGRANT_ALLOW_PKCS11_MODULE_PATH 2

/**
 * Permission of authgrant_set_policy(): TokenCache and the options that begin with TokenCache in a
 * connection string and in a FILEDSN that it names by path. They name folders and servers. Without
 * it they are accepted only from authgrant_set_option(), from odbc.ini and from the FILEDSNs of the
 * machine.
 */
#define AUTHGRANT_ALLOW_TOKEN_CACHE 4

/**
 * Restriction of authgrant_set_policy(): no token requests by GET. A TokenURI without a method is
 * requested by POST.
 */
#define AUTHGRANT_FORBID_HTTP_GET 1

/**
 * Restriction of authgrant_set_policy(): no ValidateServerCertificate=0.
 */
#define AUTHGRANT_FORBID_INSECURE_TLS 2

/**
 * Restriction of authgrant_set_policy(): no http:// URLs of this machine, except RedirectURI.
 */
#define AUTHGRANT_FORBID_LOOPBACK_HTTP 4

/**
 * Restriction of authgrant_set_policy(): no EnableLoginPrompt=1, and no authgrant_authorize()
 * without a callback.
 */
#define AUTHGRANT_FORBID_PROMPT 8

/**
 * Restriction of authgrant_set_policy(): no key stores encrypted with 64-bit block ciphers (DES,
 * 3DES, RC2, Blowfish, CAST5, IDEA), with RC4, in ECB mode or by the SHA-1 schemes of PKCS#12; no
 * PEM encryption older than PKCS#8; no JKS and JCEKS.
 */
#define AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION 16

/**
 * Restriction of authgrant_set_policy(): no tokens shared between connections, as with
 * CacheScope=Connection.
 */
#define AUTHGRANT_FORBID_SHARED_TOKENS 32

/**
 * Restriction of authgrant_set_policy(): no file paths in a connection string and in a FILEDSN that
 * it names by path, except below the directories of authgrant_allow_directory(). This covers key
 * stores, trust stores, certificates, assertions, model files, `file:` references and the FILEDSN
 * itself; PKCS#11 URIs are rejected below every directory, too. Options set by
 * authgrant_set_option(), odbc.ini and a FILEDSN named without a directory are not affected.
 *
 * The flag also declares connection strings untrusted: secrets, key stores and the signer that the
 * application sets are protected like those of a data source. A string that sets where they are
 * sent (TokenURI, TokenEndpoint, AuthURI, TrustStore, ProxyHost, ClaimsAudience and others) is
 * AUTHGRANT_INVALID_OPTION, unless the application also sets that option, or sets AllowOverride=1
 * because the secrets belong to the author of the string.
 */
#define AUTHGRANT_FORBID_FILE_PATHS 64

/**
 * Restriction of authgrant_set_policy(): no TLS 1.2. Only TLS 1.3 is offered to authorization
 * servers, to the API of authgrant_test_connection() and to the Redis server of TokenCache
 * (rediss://). CryptoProtocolVersion=TLSv1.2 is AUTHGRANT_INVALID_OPTION; a server without TLS 1.3
 * is AUTHGRANT_TLS, and the message has the name of the flag.
 */
#define AUTHGRANT_FORBID_TLS12 128

/* ---- types */

/**
 * Headers to send with an API request: names and values in sending order, and the token they
 * contain. Immutable and thread-safe; they outlive the connection. Free them with
 * authgrant_headers_free().
 */
typedef struct authgrant_headers authgrant_headers;

/**
 * A connection: the parsed connection string plus options set later. Close it with
 * authgrant_close().
 */
typedef struct authgrant_connection authgrant_connection;

/**
 * An error or a warning. Immutable and thread-safe; it outlives the connection. Its strings belong
 * to it. Release it with authgrant_error_free().
 */
typedef struct authgrant_error authgrant_error;

/**
 * Cancels the calls that it is passed to in authgrant_call_options: those in progress, and later
 * ones until it is reset. Free it with authgrant_cancel_token_free().
 */
typedef struct authgrant_cancel_token authgrant_cancel_token;

/**
 * A reference to an access token. Immutable and thread-safe; it outlives the connection. Release it
 * with authgrant_token_free().
 */
typedef struct authgrant_token authgrant_token;

/**
 * The result of a function: AUTHGRANT_OK (0) for success, otherwise the number of an error. It is
 * also ODBC's native error code. Numbers never change; new ones are appended.
 */
typedef int32_t authgrant_status;

/**
 * Receives one audit event. `event_json` is a JSON object in UTF-8 of at most 4096 bytes, valid
 * only during the call. It never contains a secret. `context` is the one of authgrant_set_audit().
 *
 * `event` is `token_request` (each request to a token endpoint: the first one of a grant, the
 * exchange of a code, a refresh, and each retry), `revocation` or `end_session` (each request to
 * LogoffURI), `shared_token` (a token of the store of TokenCache is used, which another process
 * requested) or `rejection` (authgrant_reject_token()). Tokens that this process has in its cache
 * cause no event; neither do failures before a request, such as a signing key that cannot be
 * opened, a cached error or an open circuit breaker, nor tokens that need no server.
 *
 * Each event has `event`, `time` (its beginning, RFC 3339 in UTC with milliseconds), `pid`, `uid`
 * (the effective user; 0 on Windows) and `cache_key` (16 hexadecimal digits of a keyed digest:
 * equal for tokens of one cache entry in this process, and unrelated in another process). The
 * following members are absent if they are unknown or do not apply: `client` (ClaimsIssuer or
 * ClientID), `subject` (ClaimsSubject or the user), `data_source` (the DSN or FILEDSN with its
 * file), `endpoint` (URL without query), `grant` (grant_type), `token_type` (token_type_hint of a
 * revocation), `jti` (of the assertion that was sent), `machine` (that shared the token), `status`
 * (name of the status, such as AUTHGRANT_DENIED), `sent` (whether the server may have received the
 * request; false if it could not be reached), `http_status`, `oauth_error` (error of the response),
 * `expires_in` (lifetime of the token in seconds) and `duration_ms`. Texts are escaped as in
 * messages and truncated. Members do not change their meaning; new ones may be added.
 *
 * Runs on the thread of the call that caused the event, with no lock held, possibly on several
 * threads at once; also in authgrant_close() and in a forked child. It must return normally. The
 * call waits for it, and so do calls that wait for the same token: it should hand the event over
 * and return. The timeout of the call and a cancel do not interrupt it. Only getters and _free
 * functions may be called inside it.
 */
typedef void (*authgrant_audit_fn)(const char *event_json, void *context);

/**
 * Shows a URL to a user, in a browser or otherwise. `url` is valid only during the call. `context`
 * is the one of authgrant_authorize(). Returns 0 once the URL is shown, without waiting for the
 * user; any other number is a failure and appears in the error message.
 *
 * Runs on the thread of the call. It must return normally. Only getters and _free functions may be
 * called inside it.
 */
typedef int32_t (*authgrant_open_url_fn)(const char *url, void *context);

/**
 * Per-call options for authgrant_get_token_with() and other functions. Zero-initialize, then set
 * `size`.
 */
typedef struct authgrant_call_options {
    /**
     * sizeof(authgrant_call_options).
     */
    size_t size;
    /**
     * Timeout of the whole call in milliseconds; 0 for LoginTimeout.
     */
    int32_t timeout_ms;
    /**
     * Minimum remaining lifetime in seconds, capped at 90 % of the token's lifetime; 0 for no
     * minimum.
     */
    int32_t min_validity_s;
    /**
     * 0, AUTHGRANT_NO_PROMPT, AUTHGRANT_NO_NETWORK, or both.
     */
    uint32_t flags;
    /**
     * Cancels this call, but no other call on the connection; NULL for none. Read only at the
     * beginning of the call. The first version of this struct ends before this member.
     */
    struct authgrant_cancel_token *cancel_token;
} authgrant_call_options;

/**
 * Receives a new or rotated refresh token. `refresh_token` is a secret and valid only during the
 * call. `context` is the one of authgrant_set_refresh_token_callback().
 *
 * Runs on the thread of the call that received the token. It must return normally. Only getters and
 * _free functions may be called inside it.
 */
typedef void (*authgrant_refresh_token_fn)(const char *refresh_token, void *context);

/**
 * Arguments of authgrant_open_with(). Zero-initialize, then set `size`.
 */
typedef struct authgrant_open_options {
    /**
     * sizeof(authgrant_open_options).
     */
    size_t size;
    /**
     * The connection string, in the encoding that `unit_size` states. It need not be aligned.
     */
    const void *connection_string;
    /**
     * Length of the connection string in units; -1 or SQL_NTS (-3) if it is NUL-terminated. Ignored
     * if `unit_size` is 0.
     */
    ptrdiff_t length;
    /**
     * 0 for NUL-terminated UTF-8, 1 for UTF-8 with a length; sizeof(SQLWCHAR) for the text of an
     * ODBC driver manager: 2 for UTF-16, 4 for UTF-32 (iODBC).
     */
    size_t unit_size;
    /**
     * The keywords of the driver, each a name, if necessary with aliases after ";": "Schema",
     * "Table;T". Names are compared case-insensitively. NULL if `driver_keyword_count` is 0.
     */
    const char *const *driver_keywords;
    /**
     * Number of elements of `driver_keywords`.
     */
    size_t driver_keyword_count;
} authgrant_open_options;

/**
 * Receives one log record. `level` is 1 (error), 2 (warning), 3 (info), 4 (debug) or 5 (trace).
 * `message` is UTF-8, valid only during the call, and never contains a secret. `context` is the one
 * of authgrant_set_log().
 *
 * Runs on the thread of the call that the record is about, possibly on several threads at once. It
 * must return normally. Only getters and _free functions may be called inside it.
 */
typedef void (*authgrant_log_fn)(int32_t level, const char *message, void *context);

/**
 * Signs `message`, which has `length` bytes and is the signing input of a JWT, not its hash:
 * hashing is part of the algorithm. Writes the signature to `signature`, which has room for
 * `capacity` bytes (1024), and its length to `*signature_length`, and returns 0. Any other number
 * is a failure and appears in the error message. `context` is the one of authgrant_set_signer().
 *
 * An ECDSA signature is either r and s concatenated (64 bytes for ES256, 96 for ES384) or their DER
 * encoding.
 *
 * Runs on the thread of the call that needs the signature, with no lock held, possibly on several
 * threads at once. It must return normally; the timeout of the call and a cancel do not interrupt
 * it. Only getters and _free functions may be called inside it.
 */
typedef int32_t (*authgrant_sign_fn)(
    const uint8_t *message,
    size_t length,
    uint8_t *signature,
    size_t capacity,
    size_t *signature_length,
    void *context);

/**
 * Reads the entry `name` of the store of authgrant_set_token_store().
 *
 * If there is an entry that has not expired, writes its value to `buffer`, which has room for
 * `capacity` bytes, the length of the value to `*length`, and the milliseconds until the entry
 * expires to `*ttl_ms`. If the value is longer than `capacity`, only its length is written, and the
 * function is called once more with 262144 bytes. If there is no entry, it leaves `*length` 0,
 * which it is before the call. `*ttl_ms` 0 means expired, too. It must read what the last put wrote
 * in any process, so not from a replica that may be behind.
 *
 * Returns 0; any other number means that the store could not be read, and appears in a warning. So
 * do a length of more than 262144, a `*ttl_ms` that is negative or not set, and a return without an
 * entry later than TokenCacheTimeout.
 */
typedef int32_t (*authgrant_store_get_fn)(
    const char *name,
    uint8_t *buffer,
    size_t capacity,
    size_t *length,
    int64_t *ttl_ms,
    void *context);

/**
 * Acquires the lease of `name` for `owner` (16 bytes) in the store of authgrant_set_token_store(),
 * unless another owner holds it.
 *
 * A lease ends when its owner releases it, and `ttl_ms` milliseconds after it was acquired. In one
 * atomic step: if there is no lease of `name`, or it has ended, or `owner` holds it, stores `owner`
 * with the new end and sets `*taken` to 1; otherwise changes nothing and sets `*taken` to 0. Does
 * not wait for the holder.
 *
 * Returns 0; any other number means that it is unknown whether the lease was acquired, and appears
 * in a warning. So does a `*taken` that is neither 0 nor 1.
 */
typedef int32_t (*authgrant_store_lease_fn)(
    const char *name,
    const uint8_t *owner,
    int64_t ttl_ms,
    int32_t *taken,
    void *context);

/**
 * Writes the entry `name` of the store of authgrant_set_token_store() if nobody else has written
 * it.
 *
 * In one transaction: if `owner` (16 bytes) holds the lease of `name`, which has not ended, and the
 * generation of the entry is `expected_generation`, where no entry and an expired one count as
 * generation 0, replaces generation and value of the entry, sets its end to `ttl_ms` milliseconds
 * from now, and sets `*written` to 1. Otherwise changes nothing and sets `*written` to 0. `value`
 * has `length` bytes, at most 262144. The lease stays as it is. When the function returns, each
 * process reads the new value, also after a restart of the store.
 *
 * Returns 0; any other number means that it is unknown whether the value was written, and appears
 * in a warning. So does a `*written` that is neither 0 nor 1.
 */
typedef int32_t (*authgrant_store_put_fn)(
    const char *name,
    const uint8_t *owner,
    uint64_t expected_generation,
    uint64_t generation,
    const uint8_t *value,
    size_t length,
    int64_t ttl_ms,
    int32_t *written,
    void *context);

/**
 * Ends the lease of `name` in the store of authgrant_set_token_store() if `owner` (16 bytes) holds
 * it; otherwise changes nothing. Called at the end of a cancelled call, too. Returns 0, or any
 * other number if the store could not be changed; the lease then ends by itself.
 */
typedef int32_t (*authgrant_store_release_fn)(
    const char *name,
    const uint8_t *owner,
    void *context);

/**
 * A store of the application, in which processes share tokens, for authgrant_set_token_store().
 * Zero-initialize, then set all members. Only `context` may be NULL.
 *
 * The store has entries and leases, both by name. All processes that share tokens reach the same
 * store. The library encrypts values before they leave the process, so the store needs no secrets;
 * who can write to it can make processes request tokens, but not give them another token.
 *
 * `name` is NUL-terminated ASCII of at most 64 letters, digits, hyphens and underscores. Case
 * matters. It is a keyed digest and does not reveal what it stands for. Names of entries and of
 * leases are the same.
 *
 * `owner` is 16 random bytes of any value, another one for each lease.
 *
 * `value` is binary. Byte 0 is the version of the format, 1; bytes 1 to 8 are the generation, the
 * most significant byte first; the rest is encrypted. get must return the bytes of the last put;
 * other bytes are ignored like a missing entry.
 *
 * `generation` is an unsigned number of 64 bits, which each put increases. A store compares it only
 * for equality, so that it may keep it as a signed number with the same bits.
 *
 * `ttl_ms` is greater than 0, and by the clock of the store. Processes on machines whose clocks
 * differ must not compute ends with their own clocks. What has ended counts as missing, and may be
 * deleted at any time. What get returns is what is left of the `ttl_ms` of put, to the second: the
 * library computes from it how old the token is.
 *
 * If the store loses or evicts an entry, the next process requests a token. If it loses a lease or
 * ends it early, several processes may request a token at a time, and the put of one is written. If
 * it returns an old value, a process that knows a newer one ignores it, and another one uses it
 * until it expires. Both are harmless for grants that can be repeated. A refresh token that the
 * server rotates exists only in its entry: if that is lost or old, the user must log in again. A
 * lease that ends late makes others wait, for at most TokenCacheWait each.
 *
 * In SQL, with the time of the database server in milliseconds as `:now`, and put as one
 * serializable transaction:
 *
 * `CREATE TABLE entries (name VARCHAR(64) PRIMARY KEY, generation BIGINT NOT NULL, value BLOB NOT
 * NULL, expires_ms BIGINT NOT NULL)`
 *
 * `CREATE TABLE leases (name VARCHAR(64) PRIMARY KEY, owner BINARY(16) NOT NULL, expires_ms BIGINT
 * NOT NULL)`
 *
 * get: `SELECT value, expires_ms - :now FROM entries WHERE name = :name AND expires_ms > :now`
 *
 * lease: `INSERT INTO leases VALUES (:name, :owner, :now + :ttl_ms) ON CONFLICT (name) DO UPDATE
 * SET owner = excluded.owner, expires_ms = excluded.expires_ms WHERE leases.expires_ms <= :now OR
 * leases.owner = excluded.owner`; `*taken` is the number of changed rows.
 *
 * put: `SELECT 1 FROM leases WHERE name = :name AND owner = :owner AND expires_ms > :now` must find
 * a row, and `SELECT generation FROM entries WHERE name = :name AND expires_ms > :now` the expected
 * generation, or none if that is 0. Then `INSERT INTO entries VALUES (:name, :generation, :value,
 * :now + :ttl_ms) ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, value =
 * excluded.value, expires_ms = excluded.expires_ms`.
 *
 * release: `DELETE FROM leases WHERE name = :name AND owner = :owner`
 *
 * examples-c/token_store_sqlite is a complete store. Members do not change their meaning; new ones
 * may be added.
 */
typedef struct authgrant_token_store {
    /**
     * sizeof(authgrant_token_store).
     */
    size_t size;
    /**
     * Passed to the functions as their last argument.
     */
    void *context;
    /**
     * Reads an entry.
     */
    authgrant_store_get_fn get;
    /**
     * Acquires a lease.
     */
    authgrant_store_lease_fn lease;
    /**
     * Writes an entry.
     */
    authgrant_store_put_fn put;
    /**
     * Ends a lease.
     */
    authgrant_store_release_fn release;
} authgrant_token_store;

/* ---- open and close (stable) */

/**
 * Opens a connection from a connection string.
 *
 * Parses the string and reads the data source (DSN, FILEDSN) and the model file (RestConfigFile)
 * that it names. Opens no key file and sends nothing. Invalid values, conflicts and missing options
 * are reported by the first call that needs them; authgrant_get_warnings() returns the warnings
 * about the string and the files.
 *
 * On success `*connection` is to be closed with authgrant_close().
 *
 * Thread-safe. Resolving a DSN reads environment variables, so no thread may change the environment
 * meanwhile. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_CONNECTION_STRING,
 * AUTHGRANT_DATA_SOURCE_NOT_FOUND.
 */
authgrant_status authgrant_open(
    const char *connection_string,
    authgrant_connection **connection,
    authgrant_error **error);

/**
 * Opens a connection from the wide text of an ODBC driver manager; otherwise as authgrant_open().
 *
 * `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 or
 * SQL_NTS (-3) means that the text is NUL-terminated. The text need not be aligned.
 *
 * Thread-safe, as authgrant_open(). Errors: AUTHGRANT_INVALID_ARGUMENT (also for an unpaired
 * surrogate and for a NUL within `length`), AUTHGRANT_INVALID_CONNECTION_STRING,
 * AUTHGRANT_DATA_SOURCE_NOT_FOUND.
 */
authgrant_status authgrant_open_wide(
    const void *connection_string,
    ptrdiff_t length,
    size_t unit_size,
    authgrant_connection **connection,
    authgrant_error **error);

/**
 * Closes a connection. NULL is ignored. Tokens, headers and errors of the connection remain valid,
 * and tokens that other connections can share stay cached.
 *
 * If LogoffURI is set, closing the last connection that uses a token revokes the token there, with
 * the refresh token of its login, and waits at most 5 s for the responses. Nothing is revoked that
 * the caller or another process may hold: configured tokens, and those of a login whose refresh
 * token was exported by authgrant_completed_string() or by the refresh token callback;
 * authgrant_logoff() revokes these. A connection that a forked child inherited is closed without
 * that.
 *
 * Thread-safe, but it must be the last call on the connection, with no other call in progress. From
 * inside a callback it does nothing.
 */
void authgrant_close(authgrant_connection *connection);

/* ---- options (stable) */

/**
 * Sets one option by any of its names. The value is used verbatim: quotes are not removed. An empty
 * value removes the option.
 *
 * The value of a secret option may be a reference. `env:NAME` is the content of an environment
 * variable. `file:PATH` is the content of a file, read on first use and again after the file has
 * changed. `literal:TEXT` is TEXT itself: use this prefix for a secret from another source, such as
 * a user or a server.
 *
 * Calls in progress finish with the options they started with.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION for an unknown name or
 * a value of the wrong type.
 */
authgrant_status authgrant_set_option(
    authgrant_connection *connection,
    const char *name,
    const char *value,
    authgrant_error **error);

/**
 * Sets several options, or none of them on an error; otherwise as authgrant_set_option().
 *
 * `names` and `values` are arrays of `count` strings.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION, one error in the chain
 * per invalid option.
 */
authgrant_status authgrant_set_options(
    authgrant_connection *connection,
    const char *const *names,
    const char *const *values,
    size_t count,
    authgrant_error **error);

/**
 * Returns the options in force as one connection string, each value quoted as by
 * authgrant_quote_value(). Opening it yields the same options: the contents of DSN, FILEDSN and
 * RestConfigFile are written out, and DSN and FILEDSN themselves are omitted. DRIVER comes first.
 *
 * `include` is 0 or a sum of flags. AUTHGRANT_WITH_SECRETS includes passwords, keys and other
 * secret options, also those of a data source. AUTHGRANT_WITH_TOKENS includes Auth_AccessToken and
 * Auth_Expires (ODBC 4.0) if a token is cached, Auth_RefreshToken with the latest refresh token,
 * and Auth_Scope if Scope is not set. Nothing is requested. If the string is opened with
 * AuthenticationMethod 51, 54 or 56, the access token is used until it expires, and then the
 * refresh token. A secret that was set as `env:NAME` or `file:PATH` is written in that form, and
 * authgrant_open() accepts it only if the policy allows it.
 *
 * AUTHGRANT_AS_GIVEN is for ODBC's OutConnectionString: the options and keywords of the connection
 * string in their order and by their names, with what authgrant_set_option() changed, and then what
 * it added. DRIVER, DSN and FILEDSN stay as they are, and nothing of the data source, the model
 * file or the key file is copied out. Secrets are those of the connection string, which was opened
 * with them; a secret that authgrant_set_option() set is omitted. Unknown names and duplicates are
 * omitted, too.
 *
 * `*text` is to be released with authgrant_string_free(). It is as secret as what it includes.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_completed_string(
    authgrant_connection *connection,
    uint32_t include,
    char **text,
    authgrant_error **error);

/**
 * Returns the table of options as JSON: an array of objects with name, aliases, type, values,
 * default, secret and help. The string is static.
 *
 * Thread-safe.
 */
const char *authgrant_option_table(void);

/**
 * Quotes a value for use in a connection string, adding braces if needed. Parsing the result yields
 * `value` unchanged.
 *
 * `*quoted` is to be released with authgrant_string_free().
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_quote_value(const char *value, char **quoted, authgrant_error **error);

/* ---- tokens (stable) */

/**
 * Returns the access token to send, requesting a new one only if the cached token is missing or
 * about to expire.
 *
 * Blocks for at most LoginTimeout seconds, and for up to ConsentTimeout more if EnableLoginPrompt
 * allows asking a user. Concurrent callers wait for one request. If the server rejected the grant
 * recently, the cached error is returned; its message says so, and authgrant_error_retry_after() is
 * the time until the next request.
 *
 * On success `*token` is a new reference, to be released with authgrant_token_free(). It stays
 * valid after authgrant_close().
 *
 * Thread-safe. Errors: AUTHGRANT_CONSENT_REQUIRED (see authgrant_error_consent_url()),
 * AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_KEY_STORE_ERROR,
 * AUTHGRANT_KEY_PASSWORD, AUTHGRANT_KEY_NOT_FOUND, AUTHGRANT_KEY_UNSUITABLE, AUTHGRANT_NETWORK,
 * AUTHGRANT_TLS, AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_DENIED, AUTHGRANT_THROTTLED,
 * AUTHGRANT_SERVER_ERROR, AUTHGRANT_BAD_RESPONSE, AUTHGRANT_TOKEN_EXPIRED, AUTHGRANT_UNSUPPORTED.
 */
authgrant_status authgrant_get_token(
    authgrant_connection *connection,
    authgrant_token **token,
    authgrant_error **error);

/**
 * Returns the access token as authgrant_get_token() does, with a timeout, a minimum remaining
 * lifetime, a cancel token or restrictions for this call.
 *
 * `options->size` tells which members the caller knows; the rest of a larger struct must be zero.
 *
 * Thread-safe. Errors: as authgrant_get_token(); AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_NOT_CACHED
 * if AUTHGRANT_NO_NETWORK is set and no token is cached.
 */
authgrant_status authgrant_get_token_with(
    authgrant_connection *connection,
    const authgrant_call_options *options,
    authgrant_token **token,
    authgrant_error **error);

/**
 * Reports that the API rejected this token (HTTP 401), so that the next call requests a new one.
 *
 * Only the first rejection of the currently cached token triggers a new request, no matter on which
 * connection; rejecting an already replaced token has no effect. Consecutive rejections count only
 * if they are 1, 2, 4 ... 60 s apart; until then the same token is returned. The caller keeps its
 * reference.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_reject_token(
    authgrant_connection *connection,
    const authgrant_token *token,
    authgrant_error **error);

/**
 * Copies the access token into a buffer of the caller, as authgrant_get_token() would return it.
 *
 * `*length` is set to the needed size in bytes, including the NUL. If `capacity` is smaller,
 * nothing is copied and AUTHGRANT_BUFFER_TOO_SMALL is returned. A NULL buffer with capacity 0
 * queries the size. A renewed token may be longer: repeat the call with a larger buffer.
 *
 * Thread-safe. Errors: as authgrant_get_token(); AUTHGRANT_BUFFER_TOO_SMALL.
 */
authgrant_status authgrant_copy_token(
    authgrant_connection *connection,
    char *buffer,
    size_t capacity,
    size_t *length,
    authgrant_error **error);

/**
 * Returns the access token, to be sent in the header "Authorization: Bearer ..." (RFC 6750 section
 * 2.1); NULL for NULL. The string belongs to the token. It is a secret: do not log it.
 *
 * Thread-safe.
 */
const char *authgrant_token_value(const authgrant_token *token);

/**
 * Returns the length of the access token in bytes, without the NUL; 0 for NULL.
 *
 * Thread-safe.
 */
size_t authgrant_token_length(const authgrant_token *token);

/**
 * Returns the token type, "Bearer"; NULL for NULL. The string belongs to the token.
 *
 * Thread-safe.
 */
const char *authgrant_token_type(const authgrant_token *token);

/**
 * Returns the time at which the token expires, in seconds since 1970; 0 if it is unknown, and for
 * NULL.
 *
 * Thread-safe.
 */
int64_t authgrant_token_expires_at(const authgrant_token *token);

/**
 * Returns the granted scope, separated by spaces. NULL if the response has none, which means the
 * requested scope (RFC 6749 section 5.1), and for NULL. The string belongs to the token.
 *
 * Thread-safe.
 */
const char *authgrant_token_scope(const authgrant_token *token);

/**
 * Returns another member of the token response by its exact name, such as "instance_url": a string
 * verbatim, any other value as JSON. NULL if there is none, and for the refresh token. The string
 * belongs to the token.
 *
 * Thread-safe.
 */
const char *authgrant_token_field(const authgrant_token *token, const char *name);

/**
 * Returns the time at which the connection refreshes the token, in seconds since 1970:
 * RefreshMargin before it expires, and a random time earlier, so that many processes do not refresh
 * at once. A driver that keeps a session open calls authgrant_get_token() again from then on. 0 if
 * the expiry is unknown, and for NULL.
 *
 * Thread-safe.
 */
int64_t authgrant_token_refresh_at(const authgrant_token *token);

/**
 * Releases a reference to a token. The last release overwrites the token. NULL is ignored. Other
 * references stay valid.
 *
 * Thread-safe, but it must be the last use of this reference.
 */
void authgrant_token_free(authgrant_token *token);

/* ---- headers (stable) */

/**
 * Returns the headers that a request to the API must carry: Authorization with the token, the
 * header of AuthHeader and SecurityToken, and the headers of the model file.
 *
 * Blocks as authgrant_get_token() does. On success `*headers` is to be released with
 * authgrant_headers_free(). It stays valid after authgrant_close().
 *
 * Thread-safe. Errors: as authgrant_get_token().
 */
authgrant_status authgrant_get_headers(
    authgrant_connection *connection,
    authgrant_headers **headers,
    authgrant_error **error);

/**
 * Returns the number of headers; 0 for NULL.
 *
 * Thread-safe.
 */
size_t authgrant_headers_count(const authgrant_headers *headers);

/**
 * Returns the name of a header, such as "Authorization"; NULL if `index` is out of range. The
 * string belongs to the headers.
 *
 * Thread-safe.
 */
const char *authgrant_headers_name(const authgrant_headers *headers, size_t index);

/**
 * Returns the value of a header; NULL if `index` is out of range. The string belongs to the
 * headers. It is a secret: do not log it.
 *
 * Thread-safe.
 */
const char *authgrant_headers_value(const authgrant_headers *headers, size_t index);

/**
 * Returns the token in the headers, to be passed to authgrant_reject_token(); NULL if the
 * authentication method has no token, and for NULL. It belongs to the headers and must not be
 * released separately.
 *
 * Thread-safe.
 */
const authgrant_token *authgrant_headers_token(const authgrant_headers *headers);

/**
 * Releases headers and overwrites their values. NULL is ignored.
 *
 * Thread-safe, but it must be the last use of the headers.
 */
void authgrant_headers_free(authgrant_headers *headers);

/* ---- authorization (stable) */

/**
 * Returns the URL that a user opens to give consent: the authorization request (RFC 6749 section
 * 4.1.1). It is the same for all users. Nothing is sent, and no key is needed.
 *
 * `*url` is to be released with authgrant_string_free().
 *
 * Thread-safe. Errors: AUTHGRANT_MISSING_OPTION if the URL needs an option that is not set,
 * AUTHGRANT_INVALID_OPTION.
 */
authgrant_status authgrant_consent_url(
    authgrant_connection *connection,
    char **url,
    authgrant_error **error);

/**
 * Lets a user log in, or consent to what the grant of the connection needs: shows the URL and
 * listens at RedirectURI (an http loopback URL with a port) until the browser is redirected there
 * (RFC 8252).
 *
 * With AuthenticationMethod 51 and 56 the authorization code is exchanged (RFC 6749 section 4.1,
 * with PKCE) for a token of this connection only. With other methods the code is discarded, and a
 * token is requested to verify the consent, as by the Fetch OAuth Token button of DataDirect. With
 * ConsentType=ExternalAdmin the code is exchanged too, and the `id_token` of the response becomes a
 * field of the tokens of the connection.
 *
 * The page that the user sees at the end shows whether the token was obtained, or the error. A
 * login with the scope `openid` sends a `nonce`, which the ID token must contain.
 *
 * `function` shows the URL; NULL opens the system browser. Blocks for at most ConsentTimeout
 * seconds, and then as authgrant_get_token() does.
 *
 * Thread-safe; concurrent calls need different RedirectURIs. Errors: as authgrant_get_token();
 * AUTHGRANT_UNSUPPORTED if the URL cannot be shown (see authgrant_error_consent_url()) or if the
 * policy forbids opening a browser; AUTHGRANT_NETWORK if the port of RedirectURI is in use.
 */
authgrant_status authgrant_authorize(
    authgrant_connection *connection,
    authgrant_open_url_fn function,
    void *context,
    authgrant_error **error);

/**
 * Ends the token and the login of the connection before they expire: removes the token from the
 * cache and discards the refresh token of a login. If LogoffURI is set, revokes the refresh token
 * and then the access token there (RFC 7009), also those that are configured or that another
 * process uses; with LogoffMode=EndSession, ends the session of the user instead.
 *
 * Connections with equal options share the token and request another one when they need it. Without
 * a token nothing is sent. It is a success if the server supports the revocation of only one of the
 * two.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_OPTION, AUTHGRANT_MISSING_OPTION; AUTHGRANT_NETWORK,
 * AUTHGRANT_TLS, AUTHGRANT_TIMEOUT or AUTHGRANT_DENIED if the request to LogoffURI failed;
 * AUTHGRANT_BAD_RESPONSE if LogoffURI is not a revocation endpoint; AUTHGRANT_UNSUPPORTED if
 * LogoffMode=EndSession and there is no ID token.
 */
authgrant_status authgrant_logoff(authgrant_connection *connection, authgrant_error **error);

/**
 * Registers a callback that receives every new or rotated refresh token before the access token is
 * returned, so that the application can store it across restarts. NULL unregisters it. To restore a
 * stored token, set the option RefreshToken to it with the prefix `literal:`, because a server
 * wrote the value.
 *
 * `context` is passed to the callback. It must stay valid until the connection is closed, or until
 * the callback is replaced or unregistered and all calls that started before have returned.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_set_refresh_token_callback(
    authgrant_connection *connection,
    authgrant_refresh_token_fn function,
    void *context,
    authgrant_error **error);

/**
 * Returns a newly signed JWT of the grant of the connection without sending it: the assertion of
 * the JWT bearer grant, the client assertion, or the JWT that is itself the token.
 *
 * `*assertion` is a secret. It is to be released with authgrant_string_free().
 *
 * Thread-safe. Errors: AUTHGRANT_KEY_STORE_ERROR, AUTHGRANT_KEY_PASSWORD, AUTHGRANT_KEY_NOT_FOUND,
 * AUTHGRANT_KEY_UNSUITABLE, AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION,
 * AUTHGRANT_UNSUPPORTED if the grant signs nothing.
 */
authgrant_status authgrant_create_assertion(
    authgrant_connection *connection,
    char **assertion,
    authgrant_error **error);

/* ---- diagnostics (stable) */

/**
 * Checks the connection offline and reports all problems at once: missing, invalid or conflicting
 * options, the key store and its password, the alias, a key that cannot be used with the algorithm,
 * expired certificates, and expired tokens and assertions in options. The report also lists the
 * aliases in the key store, for a dialog. Nothing is sent or signed.
 *
 * Succeeds if the report could be created, even if it lists problems: see its members `valid` and
 * `problems`. `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
 *
 * Blocks while the key store is opened. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_validate(
    authgrant_connection *connection,
    char **report,
    authgrant_error **error);

/**
 * Opens a connection string, reports as authgrant_validate() and closes the connection. A string
 * that cannot be opened is reported, too: `problems` has the reason, with the `offset` of a syntax
 * error in characters and in `option` the option before it.
 *
 * `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
 *
 * Blocks while the key store is opened. Thread-safe, as authgrant_open(). Errors:
 * AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_validate_string(
    const char *connection_string,
    char **report,
    authgrant_error **error);

/**
 * Reports what the connection would send and why: authentication method, header and claims of the
 * JWT, token URL, parameters, headers, consent URL, TLS settings and timeouts, each with its
 * origin: an option and where it was set, the provider profile or a default. Secrets are `****`.
 * Nothing is sent or signed; a key store that cannot be opened is reported at its position.
 *
 * `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
 *
 * Blocks while the key store is opened. Thread-safe. Errors: AUTHGRANT_MISSING_OPTION,
 * AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED (authgrant_validate() reports all of them at
 * once).
 */
authgrant_status authgrant_explain(
    authgrant_connection *connection,
    char **report,
    authgrant_error **error);

/**
 * Gets a token as authgrant_get_token() does, sends a GET request with the headers of
 * authgrant_get_headers() to HealthURI, or else to RestSamplePath, and reports the request, the
 * response, the duration and the origin of the token. After a 401, and where `#http` of the model
 * file says REAUTHENTICATE, the token is rejected and the request repeated once with a new one.
 *
 * Succeeds if there is a token, whatever the API responds: see the members `ok`, `message` and
 * `sample` of the report. If neither option is set, only the token is requested. Redirects are not
 * followed. `*report` is JSON (docs/reports.md), to be released with authgrant_string_free(). It
 * contains neither the token nor a secret.
 *
 * Blocks for at most LoginTimeout seconds. Thread-safe. Errors: as authgrant_get_token();
 * AUTHGRANT_INVALID_OPTION if no token may be sent to the URL; AUTHGRANT_MISSING_OPTION if it is
 * relative and HostName is not set.
 */
authgrant_status authgrant_test_connection(
    authgrant_connection *connection,
    char **report,
    authgrant_error **error);

/**
 * Returns the warnings collected so far: unknown options (SQLSTATE 01S00), disabled certificate
 * validation, token requests by GET (01000), and warnings of earlier calls.
 *
 * `*warnings` is NULL or the first of a chain (see authgrant_error_next()), to be released with
 * authgrant_error_free(). It does not change when more warnings are collected.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_get_warnings(
    authgrant_connection *connection,
    authgrant_error **warnings,
    authgrant_error **error);

/**
 * Returns the counters of the process since the library was loaded, for monitoring: tokens from the
 * cache and from requests, failures by status, retries, throttling, circuit breaker openings,
 * opened keys, network connections, cache size and evictions, and a histogram of request durations.
 * Names and meanings do not change (docs/stats.md), and the names are valid in Prometheus.
 *
 * A forked child counts from zero; tokens that it reads on connections of its parent are not
 * counted. The counters contain no data of users or servers. `*json` is to be released with
 * authgrant_string_free().
 *
 * Does not block. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_get_stats(char **json, authgrant_error **error);

/**
 * Registers a callback for the log records of later calls on this connection, up to `level`: 1
 * error, 2 warning, 3 info, 4 debug, 5 trace. NULL unregisters it. Initially there is none.
 *
 * `context` is passed to the callback. It must stay valid until the connection is closed, or until
 * the callback is replaced or unregistered and all calls that started before have returned.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_set_log(
    authgrant_connection *connection,
    authgrant_log_fn function,
    void *context,
    int32_t level,
    authgrant_error **error);

/* ---- errors (stable) */

/**
 * Returns the status, which is also ODBC's native error code. AUTHGRANT_OK for a warning and for
 * NULL.
 *
 * Thread-safe.
 */
authgrant_status authgrant_error_status(const authgrant_error *error);

/**
 * Returns the SQLSTATE, five characters; "00000" for NULL. The string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_sqlstate(const authgrant_error *error);

/**
 * Returns the message: `[authgrant][component] text`, in UTF-8. It never contains secrets. "" for
 * NULL. The string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_message(const authgrant_error *error);

/**
 * Returns the name of the option that the error is about, as documented; NULL if there is none. The
 * string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_option(const authgrant_error *error);

/**
 * Returns the `error` of the server, such as "invalid_grant" (RFC 6749 section 5.2); NULL if there
 * is none. The string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_oauth_error(const authgrant_error *error);

/**
 * Returns the `error_description` of the server without control characters; NULL if there is none.
 * The string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_oauth_description(const authgrant_error *error);

/**
 * Returns the error code of the provider, such as "AADSTS700027"; NULL if there is none. The string
 * belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_provider_code(const authgrant_error *error);

/**
 * Returns the URL to open in a browser, with AUTHGRANT_CONSENT_REQUIRED; NULL if it is unknown. The
 * string belongs to the error.
 *
 * Thread-safe.
 */
const char *authgrant_error_consent_url(const authgrant_error *error);

/**
 * Returns the HTTP status of the response; 0 if there was no response.
 *
 * Thread-safe.
 */
int32_t authgrant_error_http_status(const authgrant_error *error);

/**
 * Returns the seconds to wait before the next attempt, as requested by the server or by the cached
 * error; 0 if unknown.
 *
 * Thread-safe.
 */
int32_t authgrant_error_retry_after(const authgrant_error *error);

/**
 * Returns 1 if the same call may succeed later without any change, otherwise 0.
 *
 * Thread-safe.
 */
int32_t authgrant_error_retryable(const authgrant_error *error);

/**
 * Returns the next error of the same call, or the next warning; NULL at the end of the chain. It
 * belongs to `error` and must not be released separately.
 *
 * Thread-safe.
 */
const authgrant_error *authgrant_error_next(const authgrant_error *error);

/**
 * Releases an error and the rest of its chain. NULL is ignored.
 *
 * Thread-safe, but it must be the last use of the error.
 */
void authgrant_error_free(authgrant_error *error);

/* ---- control (stable) */

/**
 * Cancels the calls in progress on this connection. Each returns AUTHGRANT_CANCELLED within 250 ms,
 * plus the time that a running callback takes.
 *
 * Later calls and other connections are not affected: another connection that waits for the same
 * token requests it itself. Without a call in progress this has no effect.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_cancel(authgrant_connection *connection, authgrant_error **error);

/**
 * Registers a callback that signs the JWTs of this connection, for a key that must stay in a
 * hardware module or a key service. NULL unregisters it, and `algorithm` is then ignored.
 *
 * `algorithm` is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA (RFC 7518,
 * RFC 8037), in any case. The signer overrides JWTCertStore, JWTPrivateKey and JWTSecret, and
 * counts like them when AuthenticationMethod is inferred. If JWTAlgorithm is set to another
 * algorithm, calls that sign return AUTHGRANT_INVALID_OPTION. JWTKeyID and JWTHeaders keep their
 * meaning. JWTCertificate is the certificate of the key, for JWTThumbprint and for an issuer with a
 * fingerprint (Snowflake): its key must match the algorithm, and each signature is verified with
 * it.
 *
 * This function signs nothing, and authgrant_validate() and authgrant_explain() do not invoke the
 * callback. Calls in progress finish with the signer they started with. Tokens obtained with the
 * signer are not shared with other connections, and setting the same callback again requests new
 * tokens.
 *
 * `context` is passed to the callback. It must stay valid until authgrant_close(), or until the
 * signer is replaced or unregistered and all calls that started before have returned. The callback
 * is not invoked after that.
 *
 * In calls that sign, a callback that returns a number other than 0, or a length of 0 or more than
 * the capacity, is AUTHGRANT_KEY_STORE_ERROR. A signature whose length does not fit the algorithm,
 * or that JWTCertificate does not verify, is AUTHGRANT_KEY_UNSUITABLE. Such an error is returned by
 * one call only; other calls that wait for the same token retry.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT, also for an unknown algorithm.
 */
authgrant_status authgrant_set_signer(
    authgrant_connection *connection,
    const char *algorithm,
    authgrant_sign_fn function,
    void *context,
    authgrant_error **error);

/**
 * Sets what connection strings may do in this process, for applications that accept them from
 * untrusted callers.
 *
 * `allow` is a sum of AUTHGRANT_ALLOW_ flags and `forbid` a sum of AUTHGRANT_FORBID_ flags; both
 * are 0 initially. Before the first authgrant_open() any policy may be set. Afterwards it can only
 * be tightened: flags removed from `allow`, flags added to `forbid`. It applies to the next call of
 * every connection, and in forked children. A connection string that violates it is
 * AUTHGRANT_INVALID_OPTION, a weakly encrypted key store AUTHGRANT_KEY_STORE_ERROR, and
 * authgrant_authorize() without a callback AUTHGRANT_UNSUPPORTED; the message has the name of the
 * flag.
 *
 * Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT for an unknown flag, and for a less
 * strict policy after the first authgrant_open(); the policy is then unchanged.
 */
authgrant_status authgrant_set_policy(uint32_t allow, uint32_t forbid, authgrant_error **error);

/**
 * Allows file paths in connection strings below a directory although AUTHGRANT_FORBID_FILE_PATHS is
 * set.
 *
 * `path` is an existing directory; a relative path is resolved immediately. Each call adds a
 * directory, for the process and its forked children; none can be removed. Files are opened
 * relative to the directory: a path with `..` and a symbolic link that leaves the directory are
 * rejected, on Linux also an absolute link. Hard links and mounts below the directory cannot be
 * distinguished from other files, so only trusted users may have write access.
 *
 * Call it before the first authgrant_open(). After that only a directory that is already allowed is
 * accepted.
 *
 * Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT if the path is not a directory, and
 * for a new directory after the first authgrant_open().
 */
authgrant_status authgrant_allow_directory(const char *path, authgrant_error **error);

/**
 * Clears the caches of the process: tokens, opened keys and idle connections to servers. Secrets
 * are overwritten.
 *
 * Tokens that callers hold stay valid, and calls in progress are not affected. Sessions with
 * PKCS#11 tokens are closed, and PINs that such tokens rejected are forgotten, so that they may be
 * tried again. A ClientAssertion that was sent is not sent again.
 *
 * Thread-safe. From inside a callback it does nothing.
 */
void authgrant_clear_caches(void);

/* ---- for drivers (experimental) */

/**
 * Opens a connection for a driver that has keywords of its own; otherwise as authgrant_open().
 *
 * A keyword of the driver in the connection string or its data source is kept, without a warning:
 * authgrant_get_option() returns its value, authgrant_set_option() changes it, and
 * authgrant_completed_string() includes it. Its value is used verbatim and is never regarded as a
 * secret. The first occurrence in one text counts. A name that is also an option of this library
 * stays that option.
 *
 * `options->size` tells which members the caller knows; the rest of a larger struct must be zero.
 * The options and what they refer to are not used after the call.
 *
 * Thread-safe, as authgrant_open(). Errors: AUTHGRANT_INVALID_ARGUMENT (also for a keyword that is
 * empty or contains one of = { } [ ] or a control character), AUTHGRANT_INVALID_CONNECTION_STRING,
 * AUTHGRANT_DATA_SOURCE_NOT_FOUND.
 */
authgrant_status authgrant_open_with(
    const authgrant_open_options *options,
    authgrant_connection **connection,
    authgrant_error **error);

/**
 * Returns the value in force of an option or a keyword of the driver, by any of its names, whatever
 * set it: the connection string, the data source, the model file, the key file or
 * authgrant_set_option().
 *
 * `*value` is the value as it was set, without the quotes or braces of the connection string; a
 * secret is returned, too, and a reference such as `env:NAME` is not resolved. It is NULL if
 * nothing sets the option: defaults, also those of a provider, are in authgrant_option_table(). It
 * is to be released with authgrant_string_free().
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION for an unknown name.
 */
authgrant_status authgrant_get_option(
    authgrant_connection *connection,
    const char *name,
    char **value,
    authgrant_error **error);

/**
 * Returns what the connection still needs, as the request string that ODBC's SQLBrowseConnect
 * returns: "ClaimsIssuer:Client ID=?;*Scope:Scope=?". Each part is an option, a prompt for the
 * user, and "?" or the possible values, such as {a,b}; "*" marks an optional one.
 *
 * `*request` is NULL if no option is missing. Otherwise the driver returns SQL_NEED_DATA, and opens
 * another connection with the string so far, ";" and the answer of the application, so that the
 * values of a user stay values of a connection string. If AuthenticationMethod is missing it is
 * requested first, because the others depend on it. Values that are invalid are not requested
 * again: authgrant_get_token() and authgrant_validate() report them. Optional are TokenURI,
 * JWTCertPassword, ClaimsSubject, Scope and, for a login, ClientSecret, where the method uses them.
 *
 * `*request` is to be released with authgrant_string_free(). Nothing is sent.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_browse(
    authgrant_connection *connection,
    char **request,
    authgrant_error **error);

/**
 * Returns the headers of one request to the API as authgrant_get_headers() does, with a timeout, a
 * minimum remaining lifetime of the token, a cancel token or restrictions for this call.
 *
 * `method` and `url` are those of the request, for a proof of possession in its headers (DPoP, RFC
 * 9449); no option enables that yet, so they are checked and not used. Both are NULL if they are
 * not known. `options` may be NULL.
 *
 * On success `*headers` is to be released with authgrant_headers_free().
 *
 * Thread-safe. Errors: as authgrant_get_token_with(); AUTHGRANT_INVALID_ARGUMENT also if `method`
 * is not a token of HTTP or `url` is not an absolute http or https URL.
 */
authgrant_status authgrant_get_request_headers(
    authgrant_connection *connection,
    const char *method,
    const char *url,
    const authgrant_call_options *options,
    authgrant_headers **headers,
    authgrant_error **error);

/**
 * Lets a user log in or consent as authgrant_authorize() does, with a timeout or a cancel token for
 * this call.
 *
 * `options->timeout_ms` is for the whole call, instead of ConsentTimeout and LoginTimeout; 0 keeps
 * these. A dialog cancels the call by `options->cancel_token` when the user closes it.
 * `options->flags` and `options->min_validity_s` must be 0.
 *
 * Thread-safe. Errors: as authgrant_authorize(); AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_authorize_with(
    authgrant_connection *connection,
    const authgrant_call_options *options,
    authgrant_open_url_fn function,
    void *context,
    authgrant_error **error);

/**
 * Returns the warnings of authgrant_get_warnings() that no call of this function on the connection
 * returned before, as a driver returns them with each of its functions. A warning that is found
 * again, such as after an option was set, is returned only if its text is new.
 *
 * `*warnings` is NULL or the first of a chain (see authgrant_error_next()), to be released with
 * authgrant_error_free(). authgrant_get_warnings() returns taken warnings, too.
 *
 * Thread-safe: each warning is returned by one of concurrent calls. Errors:
 * AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_take_warnings(
    authgrant_connection *connection,
    authgrant_error **warnings,
    authgrant_error **error);

/**
 * Converts the wide text of an ODBC driver manager to UTF-8.
 *
 * `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 or
 * SQL_NTS (-3) means that the text is NUL-terminated. The text need not be aligned. `*utf8` is to
 * be released with authgrant_string_free(), which overwrites it.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT (also for an unpaired surrogate and for a NUL
 * within `length`).
 */
authgrant_status authgrant_from_wide(
    const void *text,
    ptrdiff_t length,
    size_t unit_size,
    char **utf8,
    authgrant_error **error);

/* ---- audit (experimental) */

/**
 * Sets the callback that receives the audit events of the process. NULL removes it. Initially there
 * is none.
 *
 * `context` is passed to the callback. It must stay valid until the callback is removed: the
 * removal waits until calls of the callback in progress have returned, without a limit. The caller
 * of the removal must hold no lock that the callback acquires. Removing a callback that is not set
 * has no effect.
 *
 * A callback is set until it is removed; a second one is an error, so that one part of a program
 * cannot silently replace the audit of another. A forked child keeps the callback and its context,
 * and must be able to use them.
 *
 * Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT: a callback is set; the function is
 * called inside a callback (HY010).
 */
authgrant_status authgrant_set_audit(
    authgrant_audit_fn function,
    void *context,
    authgrant_error **error);

/* ---- cancel tokens (experimental) */

/**
 * Creates a cancel token, which is not cancelled. A driver has one for each statement (SQLCancel),
 * a program one for each operation that can be abandoned.
 *
 * On success `*token` is to be released with authgrant_cancel_token_free().
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_cancel_token_new(
    authgrant_cancel_token **token,
    authgrant_error **error);

/**
 * Cancels the calls that this token was passed to, and later ones until
 * authgrant_cancel_token_reset(). Each returns AUTHGRANT_CANCELLED within 250 ms, plus the time
 * that a running callback takes. NULL is ignored.
 *
 * Other calls on the same connection are not affected: if one of them waits for the request of a
 * cancelled call, it makes the request itself.
 *
 * Thread-safe. May be called from inside a callback.
 */
void authgrant_cancel_token_cancel(authgrant_cancel_token *token);

/**
 * Ends the effect of authgrant_cancel_token_cancel() on later calls. Calls that were cancelled stay
 * cancelled. NULL is ignored.
 *
 * An ODBC driver resets the token of a statement at the beginning of each statement function, so
 * that SQLCancel has no effect on a statement that is idle.
 *
 * Thread-safe. May be called from inside a callback.
 */
void authgrant_cancel_token_reset(authgrant_cancel_token *token);

/**
 * Releases a cancel token. NULL is ignored. Calls in progress that it was passed to continue.
 *
 * Thread-safe, but it must be the last use of the token: no other function may be about to read it.
 */
void authgrant_cancel_token_free(authgrant_cancel_token *token);

/* ---- token stores (experimental) */

/**
 * Sets the store in which connections with TokenCache=application: share tokens with other
 * processes.
 *
 * `store` is copied. Its functions and its context must stay valid until the process ends; a forked
 * child keeps them, and must not use a connection to the store that its parent opened.
 *
 * The functions are called by threads that request tokens, with no lock held, possibly by several
 * at once. They must return normally, and call no function of this library but getters and _free
 * functions; others return AUTHGRANT_INVALID_ARGUMENT (HY010). Neither the timeout of the call nor
 * a cancel interrupts them: each must return within TokenCacheTimeout (500 ms unless set) by
 * itself. What a late one read or wrote is used. A store that fails costs no token: the library
 * warns, requests a token without the store, and asks it again after 1 s, then 2, 4 ... 60 s.
 *
 * Call it once, before the first authgrant_open(). A store cannot be replaced or removed.
 *
 * Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT: NULL, also for a function, or a
 * member that this version does not know (HY009); a size that is too small (HY090); a connection
 * has been opened or a store is set (HY010).
 */
authgrant_status authgrant_set_token_store(
    const authgrant_token_store *store,
    authgrant_error **error);

/* ---- strings (stable) */

/**
 * Converts UTF-8 text to the wide text of an ODBC driver manager.
 *
 * `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `capacity` is in units.
 * `*needed` is set to the needed size in units, including the NUL. If `capacity` is smaller, the
 * buffer gets the characters that fit, none of them partially, and a NUL, and
 * AUTHGRANT_BUFFER_TOO_SMALL is returned. A NULL buffer with capacity 0 queries the size. The
 * buffer need not be aligned.
 *
 * Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_BUFFER_TOO_SMALL.
 */
authgrant_status authgrant_to_wide(
    const char *text,
    void *buffer,
    size_t capacity,
    size_t unit_size,
    size_t *needed,
    authgrant_error **error);

/**
 * Releases a string that a function returned as `char **`, and overwrites it first. NULL is
 * ignored.
 *
 * Thread-safe, but it must be the last use of the string.
 */
void authgrant_string_free(char *text);

/**
 * Returns the name of a status, such as "AUTHGRANT_KEY_PASSWORD", for logs. The string is static;
 * it is "AUTHGRANT_?" for an unknown number.
 *
 * Thread-safe.
 */
const char *authgrant_status_name(int32_t status);

/**
 * Returns the version of the library, such as "1.2.3"; AUTHGRANT_VERSION_NUMBER is the version of
 * the header. The string is static.
 *
 * Thread-safe.
 */
const char *authgrant_version(void);

#ifdef __cplusplus
}
#endif

#endif /* AUTHGRANT_H */
