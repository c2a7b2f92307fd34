/*
 * authgrant: from an ODBC-style connection string to the OAuth access token that a driver sends.
 *
 * Every function that can fail returns an authgrant_status (0 is success), writes its result through a pointer, and
 * takes `authgrant_error **error` last. `error` may be NULL; if not, `*error` is always written: NULL on success, an
 * error to free with authgrant_error_free on failure. Its old content is never read. On failure every other result is
 * NULL or 0.
 *
 * Whoever receives an object frees it with its type's _free function (authgrant_close for a connection). All of these
 * accept NULL. Tokens, headers and errors outlive the connection they came from. Texts read from an object belong to
 * the object, which never changes; text handed out as `char **` is freed with authgrant_string_free.
 *
 * Text is UTF-8 and NUL-terminated. NULL where an object is needed is AUTHGRANT_INVALID_ARGUMENT; getters given NULL
 * or a bad index return NULL or 0.
 *
 * Every function may be called from any thread, several at once on one connection; authgrant_close alone must be
 * the last. After fork() a child may go on with its own copy of a connection; it shares nothing with its parent.
 *
 * Written by cbindgen from src/ffi; do not edit.
 */

#ifndef AUTHGRANT_H
#define AUTHGRANT_H

#include <stddef.h>
#include <stdint.h>

/**
 * Allowed by authgrant_set_policy: `env:NAME` and `file:PATH` as secrets, and ClientAssertionFile, in the text of a connection
 * string and in a FILEDSN that it names by its path. Without it they are taken from authgrant_set_option, from odbc.ini and from the
 * machine's own FILEDSNs alone.
 */
#define AUTHGRANT_ALLOW_SECRET_REFERENCES 1

/**
 * Allowed by authgrant_set_policy: a PKCS#11 module that a connection string or a FILEDSN names by its path (module-path).
 * A module is code that runs in this process. authgrant_set_option and odbc.ini may name one anyhow. Without effect where
 * the library loads none.
 */
#define AUTHGRANT_ALLOW_PKCS11_MODULE_PATH 2

/**
 * Forbidden by authgrant_set_policy: asking a token endpoint by GET. A TokenURI without a method is asked by POST.
 */
#define AUTHGRANT_FORBID_HTTP_GET 1

/**
 * Forbidden by authgrant_set_policy: ValidateServerCertificate=0.
 */
#define AUTHGRANT_FORBID_INSECURE_TLS 2

/**
 * Forbidden by authgrant_set_policy: http:// to this machine, but for RedirectURI, to which a browser comes back.
 */
#define AUTHGRANT_FORBID_LOOPBACK_HTTP 4

/**
 * Forbidden by authgrant_set_policy: EnableLoginPrompt=1, and authgrant_authorize with a NULL function.
 */
#define AUTHGRANT_FORBID_PROMPT 8

/**
 * Forbidden by authgrant_set_policy: key stores encrypted with ciphers of 64-bit blocks (DES, 3DES, RC2, Blowfish, CAST5,
 * IDEA), RC4, in ECB mode or by PKCS#12's own schemes of SHA-1, PEM keys from before PKCS#8, JKS and JCEKS.
 */
#define AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION 16

/**
 * Forbidden by authgrant_set_policy: tokens in common with other connections; CacheScope=Connection holds for all.
 */
#define AUTHGRANT_FORBID_SHARED_TOKENS 32

/**
 * Forbidden by authgrant_set_policy: file paths in a connection string and in a FILEDSN that it names by its path, except
 * below the folders of authgrant_allow_directory. It covers key stores, trust stores, certificates, assertions, model files,
 * `file:` references and the FILEDSN itself; PKCS#11 URIs are refused everywhere. Not affected are options that
 * authgrant_set_option sets, odbc.ini and a FILEDSN that is named without a folder.
 *
 * The bit declares connection strings untrusted. The secrets, the key stores and the signer that the application sets are then
 * guarded as those of a data source are: a string that says where they are sent (TokenURI, TokenEndpoint, AuthURI, TrustStore,
 * ProxyHost, ClaimsAudience, …) is AUTHGRANT_INVALID_OPTION, unless the application sets that option too, or sets
 * AllowOverride=1 because the secrets are those of the string's author.
 */
#define AUTHGRANT_FORBID_FILE_PATHS 64

/**
 * Success.
 */
#define AUTHGRANT_OK 0

/**
 * A NULL, text that is not UTF-8 (HY009), a bad length (HY090), a call from inside a callback (HY010).
 */
#define AUTHGRANT_INVALID_ARGUMENT 1

/**
 * The connection string breaks the grammar; the message gives the offset (HY000).
 */
#define AUTHGRANT_INVALID_CONNECTION_STRING 2

/**
 * A value that is unknown, out of range, in conflict with another, or not allowed (HY024).
 */
#define AUTHGRANT_INVALID_OPTION 3

/**
 * The flow needs options that are not there; the message names all of them (28000).
 */
#define AUTHGRANT_MISSING_OPTION 4

/**
 * A DSN or FILEDSN that is not there (IM002).
 */
#define AUTHGRANT_DATA_SOURCE_NOT_FOUND 5

/**
 * A key store that is missing, unreadable, not a regular file, too large, broken, or of an unknown kind (28000).
 */
#define AUTHGRANT_KEY_STORE_ERROR 6

/**
 * A key store or key that does not open with this password, or needs one (28000).
 */
#define AUTHGRANT_KEY_PASSWORD 7

/**
 * No such alias, not a private key, or several keys and no alias; the message lists the aliases (28000).
 */
#define AUTHGRANT_KEY_NOT_FOUND 8

/**
 * A key that does not fit the algorithm or is too short (28000).
 */
#define AUTHGRANT_KEY_UNSUITABLE 9

/**
 * Name resolution, connection or proxy (08001). Retryable.
 */
#define AUTHGRANT_NETWORK 10

/**
 * Certificate or handshake; the message says which check failed for which host (08001).
 */
#define AUTHGRANT_TLS 11

/**
 * The deadline passed (HYT00), or that of one request (HYT01). Retryable.
 */
#define AUTHGRANT_TIMEOUT 12

/**
 * Another thread called authgrant_cancel (HY008).
 */
#define AUTHGRANT_CANCELLED 13

/**
 * The authorization server refused (28000); see authgrant_error_oauth_error.
 */
#define AUTHGRANT_DENIED 14

/**
 * A person must consent first (28000); see authgrant_error_consent_url.
 */
#define AUTHGRANT_CONSENT_REQUIRED 15

/**
 * The server asks to come back later (08004); see authgrant_error_retry_after. Retryable.
 */
#define AUTHGRANT_THROTTLED 16

/**
 * The server has a problem of its own (08004). Retryable.
 */
#define AUTHGRANT_SERVER_ERROR 17

/**
 * What came back is not an OAuth answer (HY000).
 */
#define AUTHGRANT_BAD_RESPONSE 18

/**
 * The token is past its end and nothing can renew it (08006).
 */
#define AUTHGRANT_TOKEN_EXPIRED 19

/**
 * A method that is known and not built in (HYC00).
 */
#define AUTHGRANT_UNSUPPORTED 20

/**
 * A size from outside that is refused (HY001).
 */
#define AUTHGRANT_OUT_OF_MEMORY 21

/**
 * A bug of the library: a panic, caught; the message has its source file and line (HY000).
 */
#define AUTHGRANT_INTERNAL 22

/**
 * The caller's buffer is too small; the needed size was set (HY090).
 */
#define AUTHGRANT_BUFFER_TOO_SMALL 23

/**
 * AUTHGRANT_NO_NETWORK was set and no token is cached (HY000).
 */
#define AUTHGRANT_NOT_CACHED 24

/**
 * A flag of authgrant_call_options: no browser may be opened.
 */
#define AUTHGRANT_NO_PROMPT 1

/**
 * A flag of authgrant_call_options: only a token that is cached, or that can be made without the network; otherwise
 * AUTHGRANT_NOT_CACHED.
 */
#define AUTHGRANT_NO_NETWORK 2

/**
 * A wish of authgrant_completed_string: the secrets of the options.
 */
#define AUTHGRANT_WITH_SECRETS 1

/**
 * A wish of authgrant_completed_string: the tokens of now.
 */
#define AUTHGRANT_WITH_TOKENS 2

/**
 * The version as one number: 10203 for 1.2.3.
 */
#define AUTHGRANT_VERSION_NUMBER 100

/**
 * Header names and values, in the order in which they should be sent, with the token that is in them; in C an
 * `authgrant_headers`, freed with authgrant_headers_free.
 *
 * They never change, and outlive the connection that they came from.
 */
typedef struct authgrant_headers authgrant_headers;

/**
 * One connection string with what was set since; in C an `authgrant_connection`, closed with authgrant_close.
 */
typedef struct authgrant_connection authgrant_connection;

/**
 * One failure, or one warning, complete in itself; freed with authgrant_error_free.
 *
 * It never changes, outlives the connection that it is about, and may be read from any thread. Texts belong to it.
 */
typedef struct authgrant_error authgrant_error;

/**
 * A count of a token of its own, so that connections and threads do not write to the same memory for each call; in C an
 * `authgrant_token`, let go of with authgrant_token_free.
 *
 * It never changes, and outlives the connection that it came from.
 */
typedef struct authgrant_token authgrant_token;

/**
 * What a function returns: 0 for success, else one of the AUTHGRANT_… numbers below. Numbers never change, and new
 * ones are added at the end. It is also ODBC's native error code.
 */
typedef int32_t authgrant_status;

/**
 * Shows a URL to a person, in a browser or otherwise: NUL-terminated text that lives only during the call; `context` is
 * what authgrant_authorize was given. Returns 0 once it is shown, without waiting for the person; anything else is a
 * failure that the error repeats.
 *
 * Runs on the thread of the call, and must return normally. Inside it only getters and _free functions may be called.
 */
typedef int32_t (*authgrant_open_url_fn)(const char *url, void *context);

/**
 * Takes a refresh token that takes the place of another: NUL-terminated text that lives only during the call, and is a
 * secret; `context` is what authgrant_set_refresh_token_callback was given.
 *
 * Runs on the thread of the call that fetched it, and must return normally. Inside it only getters and _free functions
 * may be called.
 */
typedef void (*authgrant_refresh_token_fn)(const char *refresh_token, void *context);

/**
 * How one call of authgrant_get_token_with differs from the connection's own ways. Set everything to 0, then `size`.
 */
typedef struct authgrant_call_options {
    /**
     * sizeof(authgrant_call_options).
     */
    size_t size;
    /**
     * Milliseconds for the whole call; 0 is LoginTimeout.
     */
    int32_t timeout_ms;
    /**
     * Seconds that the token must have left, as far as any token of its kind has that many; 0 leaves it to the
     * connection.
     */
    int32_t min_validity_s;
    /**
     * AUTHGRANT_NO_PROMPT, AUTHGRANT_NO_NETWORK, or both.
     */
    uint32_t flags;
} authgrant_call_options;

/**
 * Takes one line of the log: `level` is 1 (error), 2 (warning), 3 (info), 4 (debug) or 5 (trace); `message` is UTF-8,
 * lives only during the call and never holds a secret; `context` is what authgrant_set_log was given.
 *
 * Runs on the thread of the call that it is about, perhaps on several threads at once, and must return normally.
 * Inside it only getters and _free functions may be called.
 */
typedef void (*authgrant_log_fn)(int32_t level, const char *message, void *context);

/**
 * Signs `message`, `length` bytes, which are the signing input of a JWT and not its hash: hashing is part of the algorithm.
 * Writes the signature into `signature`, which has room for `capacity` bytes (1024), its length into `*signature_length`, and
 * returns 0; any other number is a failure that the error repeats. `context` is what authgrant_set_signer was given.
 *
 * A signature of ECDSA may be two numbers side by side (64 bytes for ES256, 96 for ES384) or their DER.
 *
 * Runs on the thread of the call that needs the signature, with no lock held, perhaps on several threads at once, and must
 * return normally; the call's timeout and authgrant_cancel wait for it. Inside it only getters and _free functions may be
 * called.
 */
typedef int32_t (*authgrant_sign_fn)(void *context,
                                     const uint8_t *message,
                                     size_t length,
                                     uint8_t *signature,
                                     size_t capacity,
                                     size_t *signature_length);





#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The URL that a person opens to let the application act for them: the first half of an authorization request, the same
 * for all users. Nothing is sent, and no key is needed.
 *
 * `*url` is for the caller to free with authgrant_string_free.
 *
 * Threads: any. Errors: AUTHGRANT_MISSING_OPTION naming what the URL lacks, AUTHGRANT_INVALID_OPTION.
 */
authgrant_status authgrant_consent_url(struct authgrant_connection *connection,
                                       char **url,
                                       struct authgrant_error **error);

/**
 * Lets a person log in, or consent to what the connection's grant needs: shows them the URL, and listens at RedirectURI
 * (http, a loopback address, with a port) until their browser comes back (RFC 8252).
 *
 * With AuthenticationMethod 51 and 56 the code that it brings is exchanged (RFC 6749 section 4.1, with PKCE) for a token of
 * this connection alone. With other methods it is thrown away, and a token fetched to see that consent has arrived: this
 * is what DataDirect's Fetch OAuth Token button does. With ConsentType=ExternalAdmin the code is exchanged too, and the
 * connection's tokens have its answer's `id_token` among their fields.
 *
 * `function` shows the URL; NULL opens the system's browser. Blocks for at most ConsentTimeout seconds, and then as
 * authgrant_get_token does.
 *
 * Threads: any; two at once need different RedirectURIs. Errors: AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION,
 * AUTHGRANT_UNSUPPORTED where nothing shows the URL (see authgrant_error_consent_url) or the policy forbids opening a
 * browser, AUTHGRANT_DENIED, AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_NETWORK where the port of RedirectURI is
 * taken, and as authgrant_get_token.
 */
authgrant_status authgrant_authorize(struct authgrant_connection *connection,
                                     authgrant_open_url_fn function,
                                     void *context,
                                     struct authgrant_error **error);

/**
 * The signed JWT of the connection's flow by itself, made anew by each call and sent nowhere: the assertion of the
 * JWT bearer grant or of a client assertion, or the JWT that is the token.
 *
 * `*assertion` is a secret, for the caller to free with authgrant_string_free.
 *
 * Threads: any. Errors: AUTHGRANT_KEY_…, AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED where
 * the flow signs nothing.
 */
authgrant_status authgrant_create_assertion(struct authgrant_connection *connection,
                                            char **assertion,
                                            struct authgrant_error **error);

/**
 * Ends the connection's token and login before their time: the token leaves the cache, and LogoffURI, where it is given, is
 * asked by POST to end it too (RFC 7009). A refresh token that a login brought is forgotten.
 *
 * Equal connections share the token, and fetch another when they need one. Without a token nothing is sent.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_OPTION, AUTHGRANT_MISSING_OPTION; AUTHGRANT_NETWORK, AUTHGRANT_TLS,
 * AUTHGRANT_TIMEOUT, AUTHGRANT_BAD_RESPONSE where LogoffURI could not be told.
 */
authgrant_status authgrant_logoff(struct authgrant_connection *connection,
                                  struct authgrant_error **error);

/**
 * The options now in force as one connection string, each value quoted as authgrant_quote_value does. Opening it gives
 * the same options: what DSN, FILEDSN and RestConfigFile said is written out, and DSN and FILEDSN themselves are left
 * out. DRIVER stands in front.
 *
 * `include` is 0 or numbers added up. AUTHGRANT_WITH_SECRETS: passwords, keys and other secrets of the options, also those
 * of a data source. AUTHGRANT_WITH_TOKENS: ODBC 4.0's Auth_AccessToken and Auth_Expires of the token that is cached now,
 * if one is, and Auth_RefreshToken, the newest one, with Auth_Scope where no Scope was set. Nothing is fetched. Opened
 * again with method 51, 54 or 56, the access token is used until it ends, and then the refresh token. A secret that was
 * given as `env:NAME` or `file:PATH` is written so, and is taken by authgrant_open only if the policy allows it.
 *
 * `*text` is for the caller to free with authgrant_string_free; it is as secret as what it includes.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_completed_string(struct authgrant_connection *connection,
                                            uint32_t include,
                                            char **text,
                                            struct authgrant_error **error);

/**
 * Tells `function` of each refresh token that a login brings or that takes the place of another, before the token that came with it is handed
 * out, so that it can be kept beyond a restart. A NULL function ends that. Give it back by authgrant_set_option as
 * RefreshToken with `literal:` in front, since it is the server that has written it.
 *
 * `context` is handed to the function as it is, and must stay good until the connection is closed or another function
 * is set and the calls that began before have ended.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_set_refresh_token_callback(struct authgrant_connection *connection,
                                                      authgrant_refresh_token_fn function,
                                                      void *context,
                                                      struct authgrant_error **error);

/**
 * Opens a connection from the connection string that a user wrote.
 *
 * The text is read, with the data source (DSN, FILEDSN) and the model (RestConfigFile) that it names: no file of keys
 * is opened and nothing is sent. Values, conflicts and missing options are found by the first call that needs them;
 * what is odd about the text and the files is in authgrant_get_warnings. On success `*connection` is for the caller to
 * close with authgrant_close.
 *
 * Threads: any; for a DSN, environment variables are read, so nobody may write them meanwhile. Errors:
 * AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
 */
authgrant_status authgrant_open(const char *connection_string,
                                struct authgrant_connection **connection,
                                struct authgrant_error **error);

/**
 * Opens a connection from the wide text of an ODBC driver manager.
 *
 * `unit` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 (SQL_NTS) is for text that
 * a NUL ends. Otherwise as authgrant_open.
 *
 * Threads: as authgrant_open. Errors: AUTHGRANT_INVALID_ARGUMENT (also for a surrogate without its other half, and a
 * NUL inside), AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
 */
authgrant_status authgrant_open_wide(const void *connection_string,
                                     ptrdiff_t length,
                                     size_t unit,
                                     struct authgrant_connection **connection,
                                     struct authgrant_error **error);

/**
 * Sets one option, by any of its names, to the letter (no quotes are removed); an empty value takes it away.
 *
 * As the value of a secret option, `env:NAME` is the content of an environment variable, and `file:PATH` that of a file,
 * read when it is first needed and again when the file has changed. `literal:TEXT` is TEXT itself: write it in front of
 * a secret that you hand on and did not write, such as one that a user typed or a server sent.
 *
 * Calls in flight finish with the options that they began with.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_OPTION for a name that is not an option or a
 * value of the wrong type.
 */
authgrant_status authgrant_set_option(struct authgrant_connection *connection,
                                      const char *name,
                                      const char *value,
                                      struct authgrant_error **error);

/**
 * Sets several options at once, all of them or, on an error, none; otherwise as authgrant_set_option.
 *
 * `names` and `values` are arrays of `count` texts.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_OPTION, one for each option at fault.
 */
authgrant_status authgrant_set_options(struct authgrant_connection *connection,
                                       const char *const *names,
                                       const char *const *values,
                                       size_t count,
                                       struct authgrant_error **error);

/**
 * Closes a connection. NULL is fine. Tokens, headers and errors that came from it stay good, and so do cached tokens.
 * Where LogoffURI is given, the last connection that uses a token ends it there, and waits for that at most 5 s; not
 * one that a forked child has inherited.
 *
 * Threads: any, but no other call may be inside this connection. From inside a callback it does nothing.
 */
void authgrant_close(struct authgrant_connection *connection);

/**
 * The access token to send, fetched only if the cached one is missing or about to end.
 *
 * Blocks for at most LoginTimeout seconds, and ConsentTimeout seconds more where EnableLoginPrompt lets it ask a person.
 * While another thread is fetching the same token, waits for that one fetch. A grant that the server refused a moment ago
 * is answered from memory; the message says so, and authgrant_error_retry_after for how long.
 *
 * On success `*token` is a new reference for the caller to release with authgrant_token_free; it stays good after
 * authgrant_close. On failure it is NULL.
 *
 * Threads: any, at the same time. Errors: AUTHGRANT_CONSENT_REQUIRED (see authgrant_error_consent_url),
 * AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_KEY_…, AUTHGRANT_NETWORK, AUTHGRANT_TLS,
 * AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_DENIED, AUTHGRANT_THROTTLED, AUTHGRANT_SERVER_ERROR,
 * AUTHGRANT_BAD_RESPONSE, AUTHGRANT_TOKEN_EXPIRED, AUTHGRANT_UNSUPPORTED.
 */
authgrant_status authgrant_get_token(struct authgrant_connection *connection,
                                     struct authgrant_token **token,
                                     struct authgrant_error **error);

/**
 * As authgrant_get_token, with a timeout, a least life or limits of its own.
 *
 * Threads: any, at the same time. Errors: as authgrant_get_token; AUTHGRANT_NOT_CACHED if AUTHGRANT_NO_NETWORK
 * is set and no token is cached.
 */
authgrant_status authgrant_get_token_with(struct authgrant_connection *connection,
                                          const struct authgrant_call_options *call,
                                          struct authgrant_token **token,
                                          struct authgrant_error **error);

/**
 * Tells that the API answered 401 to this token, so that the next call fetches another.
 *
 * The token is compared: only the first to reject the current token of its identity causes a fetch, from whichever
 * connection, and one that was replaced already changes nothing. Rejections in a row count only when 1, 2, 4 … 60 s
 * lie between them; meanwhile the same token is handed out. The reference stays the caller's.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_reject_token(struct authgrant_connection *connection,
                                        const struct authgrant_token *token,
                                        struct authgrant_error **error);

/**
 * A copy of the access token in the caller's buffer.
 *
 * `*length` is always set to what is needed, the NUL included. With a smaller `capacity` nothing is written and
 * AUTHGRANT_BUFFER_TOO_SMALL is returned. NULL with capacity 0 asks for the size alone. A renewed token may be longer:
 * ask again.
 *
 * Threads: any. Errors: as authgrant_get_token, and AUTHGRANT_BUFFER_TOO_SMALL.
 */
authgrant_status authgrant_copy_token(struct authgrant_connection *connection,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *length,
                                      struct authgrant_error **error);

/**
 * All headers that a request to the API must carry: Authorization with the token, and the one of AuthHeader and
 * SecurityToken.
 *
 * Blocks and fails as authgrant_get_token does. On success `*headers` is for the caller to free with
 * authgrant_headers_free; it stays good after authgrant_close.
 *
 * Threads: any. Errors: as authgrant_get_token.
 */
authgrant_status authgrant_get_headers(struct authgrant_connection *connection,
                                       struct authgrant_headers **headers,
                                       struct authgrant_error **error);

/**
 * What is allowed and not as it should be: names that are not options (SQLSTATE 01S00), a certificate that is not
 * checked, a token endpoint that is asked by GET (01000), and what the calls so far have met.
 *
 * A snapshot: `*warnings` is NULL or the first of a chain (see authgrant_error_next), for the caller to free with
 * authgrant_error_free.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_get_warnings(struct authgrant_connection *connection,
                                        struct authgrant_error **warnings,
                                        struct authgrant_error **error);

/**
 * Ends the calls that are inside this connection now: each returns AUTHGRANT_CANCELLED within 250 ms, but for the time
 * that a callback takes.
 *
 * Later calls and other connections are untouched: one that waits for the same token fetches it itself. It is fine if
 * nothing is in flight.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_cancel(struct authgrant_connection *connection,
                                  struct authgrant_error **error);

/**
 * Sends the log of this connection's later calls to `function`, up to `level`: 1 error, 2 warning, 3 info, 4 debug,
 * 5 trace. A NULL function turns it off, which it is at first.
 *
 * `context` is handed to the function as it is, and must stay good until the connection is closed or its log is
 * turned off and the calls that began before have ended.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_set_log(struct authgrant_connection *connection,
                                   authgrant_log_fn function,
                                   void *context,
                                   int32_t level,
                                   struct authgrant_error **error);

/**
 * Drops and wipes what the process has cached: tokens, opened keys, idle connections to servers.
 *
 * Tokens that callers hold stay good; calls in flight end as they would have. Sessions with PKCS#11 tokens are closed, and
 * PINs that tokens refused are forgotten, so that they may be tried once more.
 *
 * Threads: any. From inside a callback it does nothing.
 */
void authgrant_clear_caches(void);

/**
 * The status, AUTHGRANT_OK for a warning and for NULL. Also ODBC's native error code.
 *
 * Threads: any.
 */
authgrant_status authgrant_error_status(const struct authgrant_error *error);

/**
 * The SQLSTATE: five characters and a NUL; "00000" for NULL. The text belongs to the error.
 *
 * Threads: any.
 */
const char *authgrant_error_sqlstate(const struct authgrant_error *error);

/**
 * "[authgrant][part] what was done with what, what was found, what to do"; "" for NULL. UTF-8, and never a secret in
 * it. The text belongs to the error.
 *
 * Threads: any.
 */
const char *authgrant_error_message(const struct authgrant_error *error);

/**
 * The option at fault, as documentation spells it; NULL where it is about none. The text belongs to the error.
 *
 * Threads: any.
 */
const char *authgrant_error_option(const struct authgrant_error *error);

/**
 * The server's `error`, such as "invalid_grant" (RFC 6749 section 5.2); NULL where it said none. The text belongs to
 * the error.
 *
 * Threads: any.
 */
const char *authgrant_error_oauth_error(const struct authgrant_error *error);

/**
 * The server's `error_description` without control characters; NULL where it said none. The text belongs to the
 * error.
 *
 * Threads: any.
 */
const char *authgrant_error_oauth_description(const struct authgrant_error *error);

/**
 * The provider's own code, such as "AADSTS700027"; NULL where there is none. The text belongs to the error.
 *
 * Threads: any.
 */
const char *authgrant_error_provider_code(const struct authgrant_error *error);

/**
 * The URL to open in a browser, with AUTHGRANT_CONSENT_REQUIRED; NULL where it is not known. The text belongs to the
 * error.
 *
 * Threads: any.
 */
const char *authgrant_error_consent_url(const struct authgrant_error *error);

/**
 * The HTTP status of the server's answer; 0 where there was no answer.
 *
 * Threads: any.
 */
int32_t authgrant_error_http_status(const struct authgrant_error *error);

/**
 * Seconds to wait before the next try, as the server said; 0 where it did not.
 *
 * Threads: any.
 */
int32_t authgrant_error_retry_after(const struct authgrant_error *error);

/**
 * 1 where the same call may succeed later with nothing changed, else 0.
 *
 * Threads: any.
 */
int32_t authgrant_error_retryable(const struct authgrant_error *error);

/**
 * The next error of the same call, or the next warning; NULL at the end. It belongs to `error` and is not freed on
 * its own.
 *
 * Threads: any.
 */
const struct authgrant_error *authgrant_error_next(const struct authgrant_error *error);

/**
 * Frees an error with those behind it. NULL is fine.
 *
 * Threads: any; nobody may read it any more.
 */
void authgrant_error_free(struct authgrant_error *error);

/**
 * How many headers there are; 0 for NULL.
 *
 * Threads: any.
 */
size_t authgrant_headers_count(const struct authgrant_headers *headers);

/**
 * The name of a header, such as "Authorization"; NULL beyond the last. The text belongs to the headers.
 *
 * Threads: any.
 */
const char *authgrant_headers_name(const struct authgrant_headers *headers, size_t index);

/**
 * The value of a header; NULL beyond the last. The text belongs to the headers, and is a secret.
 *
 * Threads: any.
 */
const char *authgrant_headers_value(const struct authgrant_headers *headers, size_t index);

/**
 * The token that is in the headers, for authgrant_reject_token; NULL where the method has none, and for NULL. It belongs to the headers and is not
 * freed on its own.
 *
 * Threads: any.
 */
const struct authgrant_token *authgrant_headers_token(const struct authgrant_headers *headers);

/**
 * Frees headers, and wipes them. NULL is fine.
 *
 * Threads: any; nobody may read them any more.
 */
void authgrant_headers_free(struct authgrant_headers *headers);

/**
 * Sets what connection strings may do in this process, for hosts that take them from strangers.
 *
 * `allow` is AUTHGRANT_ALLOW_… numbers added up, and `forbid` AUTHGRANT_FORBID_… numbers; at first both are 0. Before the
 * first authgrant_open anything may be set. Afterwards it can only be tightened: bits of `allow` taken away, bits of
 * `forbid` added. It holds from the next call of every connection on, and in forked children. What a string says
 * against it is AUTHGRANT_INVALID_OPTION, a weak key store AUTHGRANT_KEY_STORE_ERROR, and authgrant_authorize without a function
 * AUTHGRANT_UNSUPPORTED; the messages name the constant.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT for a bit that means nothing, and for what would loosen it after the
 * first authgrant_open; nothing is changed then.
 */
authgrant_status authgrant_set_policy(uint32_t allow,
                                      uint32_t forbid,
                                      struct authgrant_error **error);

/**
 * Allows file paths in connection strings below a folder, although AUTHGRANT_FORBID_FILE_PATHS is set.
 *
 * `path` is an existing folder; a relative one is resolved now. Several calls allow several folders, for the process and its
 * forked children; none is taken back. A file is opened through the folder: a path with `..` and a symbolic link that leaves the
 * folder are refused, on Linux also an absolute link. Hard links and mounts below the folder are not told from other files, so
 * only trusted users may write there.
 *
 * Call it before the first authgrant_open; afterwards only a folder that is allowed already is accepted.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT for what is not a folder, and for a new folder after the first
 * authgrant_open.
 */
authgrant_status authgrant_allow_directory(const char *path,
                                           struct authgrant_error **error);

/**
 * Everything that is wrong with the connection, at once and offline: options that are missing, wrong or in conflict, the
 * key store and its password, the alias, a key that does not fit the algorithm, certificates that have ended, ready-made
 * tokens that have ended. With it the aliases in the key store, for a dialog to offer. Nothing is sent, nothing is signed.
 *
 * Succeeds where a report could be made, however unfavourable: see its members `valid` and `problems`. `*report` is JSON,
 * for the caller to free with authgrant_string_free; docs/reports.md names its members.
 *
 * Blocks for as long as the key store takes to open. Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_validate(struct authgrant_connection *connection,
                                    char **report,
                                    struct authgrant_error **error);

/**
 * What the connection would send and why: method, header and claims of the JWT, token URL, parameters, headers, consent
 * URL, trust and timeouts, each with the option and its place, the provider's profile or the default that said it.
 * Secrets are `****`. Nothing is sent, nothing is signed; a key store that cannot be opened is said in its place.
 *
 * `*report` is JSON, for the caller to free with authgrant_string_free; docs/reports.md names its members.
 *
 * Blocks for as long as the key store takes to open. Threads: any. Errors: AUTHGRANT_MISSING_OPTION,
 * AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED (see authgrant_validate for all of them at once).
 */
authgrant_status authgrant_explain(struct authgrant_connection *connection,
                                   char **report,
                                   struct authgrant_error **error);

/**
 * Gets a token as authgrant_get_token does, and asks HealthURI, or else RestSamplePath, by GET with all headers of
 * authgrant_get_headers: what was asked, what the API answered, how long it took, where the token came from. To 401, and
 * where the model file's `#http` says REAUTHENTICATE, the token is rejected and another one tried, once.
 *
 * Succeeds once there is a token, whatever the API then says or does not: see the report's members `ok`, `message` and
 * `sample`. Where neither option is given, the token alone is fetched. Redirects are not followed. `*report` is JSON, for
 * the caller to free with authgrant_string_free; docs/reports.md names its members. It holds neither the token nor a secret.
 *
 * Blocks for at most LoginTimeout seconds. Threads: any. Errors: as authgrant_get_token; AUTHGRANT_INVALID_OPTION and
 * AUTHGRANT_MISSING_OPTION for an endpoint to which no token may be sent, or that is relative without HostName.
 */
authgrant_status authgrant_test_connection(struct authgrant_connection *connection,
                                           char **report,
                                           struct authgrant_error **error);

/**
 * What the library has done in this process since it was loaded, as JSON for its operators: tokens from the cache and
 * fetched, failures by status, retries, how often a server asked to wait and a circuit breaker opened, keys and connections
 * opened, connections reused, identities in the cache and evicted from it, and how long fetches took as a histogram. The
 * names and their meaning, which do not change, are in docs/stats.md; they are fit for Prometheus.
 *
 * A forked child counts from zero, without tokens that it reads on connections that its parent opened. Nothing that a user
 * or a server said is in it. `*json` is for the caller to free with authgrant_string_free.
 *
 * Does not block. Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_get_stats(char **json,
                                     struct authgrant_error **error);

/**
 * Signs the JWTs of this connection with `function`, for a key that must not leave where it is: a hardware module, a key
 * service.
 *
 * `algorithm` is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA (RFC 7518, RFC 8037), in any case. The
 * function outranks JWTCertStore, JWTPrivateKey and JWTSecret, as authgrant_set_option outranks a connection string, and
 * counts as they do where AuthenticationMethod is inferred; a JWTAlgorithm that says another one is
 * AUTHGRANT_INVALID_OPTION in the calls that sign. JWTKeyID and JWTHeaders say what they always do. JWTCertificate is the
 * certificate of the key, for JWTThumbprint and an issuer with a fingerprint (Snowflake): its key must fit the algorithm, and
 * each signature is verified with it. A NULL function takes the signer away; `algorithm` does not count then.
 *
 * Nothing is signed here, and authgrant_validate and authgrant_explain do not call the function either. Calls in flight
 * finish with the signer that they began with. Tokens got with a signer belong to this one call of authgrant_set_signer:
 * other connections do not share them, and setting the same function again fetches anew.
 *
 * `context` is handed to the function as it is, and must stay good until authgrant_close, or until another signer (or
 * NULL) was set and all calls that were inside the connection then have returned. After that the function is not called.
 *
 * In calls that sign, a function that returns another number than 0, or a length of 0 or beyond the capacity, is
 * AUTHGRANT_KEY_STORE_ERROR; a signature of a length that the algorithm does not have, or that JWTCertificate does not verify, is
 * AUTHGRANT_KEY_UNSUITABLE. Such a failure ends the one call that met it: others that wait for the same token try themselves.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, also for an unknown algorithm.
 */
authgrant_status authgrant_set_signer(struct authgrant_connection *connection,
                                      const char *algorithm,
                                      authgrant_sign_fn function,
                                      void *context,
                                      struct authgrant_error **error);

/**
 * The name of a status, such as "AUTHGRANT_KEY_PASSWORD", for logs.
 *
 * The text is static. A number that is no status gives "AUTHGRANT_?".
 *
 * Threads: any.
 */
const char *authgrant_status_name(int32_t status);

/**
 * A value as it must stand behind `name=` in a connection string, in braces where it needs them: whatever it holds,
 * reading `name=` with it gives the value back.
 *
 * `*quoted` is for the caller to free with authgrant_string_free.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
 */
authgrant_status authgrant_quote_value(const char *value,
                                       char **quoted,
                                       struct authgrant_error **error);

/**
 * UTF-8 text in the characters of an ODBC driver manager.
 *
 * `unit` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32. `*needed` is always set to what the whole text needs, in
 * units, the terminating NUL included. A buffer of fewer than `capacity` units gets what fits, never half of a
 * character, with a NUL behind it, and AUTHGRANT_BUFFER_TOO_SMALL is returned. NULL with capacity 0 asks for the size
 * alone.
 *
 * Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_BUFFER_TOO_SMALL.
 */
authgrant_status authgrant_to_wide(const char *text,
                                   void *buffer,
                                   size_t capacity,
                                   size_t unit,
                                   size_t *needed,
                                   struct authgrant_error **error);

/**
 * The table of options as JSON: an array of objects with name, aliases, type, values, default, secret and help.
 *
 * The text is static.
 *
 * Threads: any.
 */
const char *authgrant_option_table(void);

/**
 * Wipes and frees text that a function handed out as `char **`. NULL is fine.
 *
 * Threads: any; nobody may read it any more.
 */
void authgrant_string_free(char *text);

/**
 * The version of the library, such as "1.2.3"; AUTHGRANT_VERSION_NUMBER is that of the header. The text is static.
 *
 * Threads: any.
 */
const char *authgrant_version(void);

/**
 * The access token itself, to be sent in a header "Authorization: Bearer …" (RFC 6750 section 2.1); NULL for NULL.
 *
 * The text belongs to the token. It is the secret: do not log it.
 *
 * Threads: any.
 */
const char *authgrant_token_value(const struct authgrant_token *token);

/**
 * The length of the access token in bytes, without the NUL; 0 for NULL.
 *
 * Threads: any.
 */
size_t authgrant_token_length(const struct authgrant_token *token);

/**
 * The token type, "Bearer"; NULL for NULL. The text belongs to the token.
 *
 * Threads: any.
 */
const char *authgrant_token_type(const struct authgrant_token *token);

/**
 * When the token ends, in seconds since 1970; 0 where that is not known, and for NULL.
 *
 * Threads: any.
 */
int64_t authgrant_token_expires_at(const struct authgrant_token *token);

/**
 * When the connection that the token came from renews it, in seconds since 1970: RefreshMargin before its end, and a
 * little earlier by chance, so that many processes do not renew together. A driver that keeps a session open calls
 * authgrant_get_token again from then on. 0 where nobody said when the token expires, and for NULL.
 *
 * Threads: any.
 */
int64_t authgrant_token_refresh_at(const struct authgrant_token *token);

/**
 * The scope that was granted, separated by blanks; NULL where the server did not say, which means the scope that was
 * asked for (RFC 6749 section 5.1). The text belongs to the token.
 *
 * Threads: any.
 */
const char *authgrant_token_scope(const struct authgrant_token *token);

/**
 * Another member of the server's answer by its exact name, such as "instance_url": text as it is, anything else as
 * JSON. NULL where there is none, and for the refresh token. The text belongs to the token.
 *
 * Threads: any.
 */
const char *authgrant_token_field(const struct authgrant_token *token,
                                  const char *name);

/**
 * Lets go of a token; the last one to do so wipes it. NULL is fine. Other references to it stay good.
 *
 * Threads: any; nobody may use this reference any more.
 */
void authgrant_token_free(struct authgrant_token *token);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* AUTHGRANT_H */
