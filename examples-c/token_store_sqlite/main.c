/* Usage: token_store_sqlite DATABASE. Gets an access token that all processes with the same database share.
 *
 * The connection string is in AUTHGRANT_CONNECTION_STRING, because ps shows arguments. The key of the entries is derived from the
 * credential if that is a private key or a secret of 32 random bytes; otherwise it needs TokenCacheSecret (docs/token-sharing.md). */
#include "sqlite_store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints a chain of errors or warnings. */
static void print_errors(const char *kind, const authgrant_error *error) {
    for (; error != NULL; error = authgrant_error_next(error)) {
        fprintf(stderr, "%s: SQLSTATE %s: %s\n", kind, authgrant_error_sqlstate(error), authgrant_error_message(error));
    }
}

/* Sets the store and opens a connection that uses it. The policy accepts TokenCacheSecret and other options of the store in the string,
   which is that of the user of this program. */
static authgrant_status open_shared(const authgrant_token_store *store, const char *text, authgrant_connection **connection,
                                    authgrant_error **error) {
    authgrant_status status = authgrant_set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, 0, error);
    if (status == AUTHGRANT_OK) status = authgrant_set_token_store(store, error);
    if (status == AUTHGRANT_OK) status = authgrant_open(text, connection, error);
    if (status == AUTHGRANT_OK) status = authgrant_set_option(*connection, "TokenCache", "application:", error);
    return status;
}

int main(int argc, char **argv) {
    const char *text = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_token_store store;
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL, *warnings = NULL;

    if (argc != 2 || text == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s DATABASE\n", argv[0]);
        return 2;
    }
    int result = sqlite_store_open(argv[1], &store);
    if (result != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], sqlite3_errstr(result));
        return 1;
    }
    authgrant_status status = open_shared(&store, text, &connection, &error);
    if (status == AUTHGRANT_OK) status = authgrant_get_token(connection, &token, &error);
    if (status == AUTHGRANT_OK) printf("token: %s %.8s...\n", authgrant_token_type(token), authgrant_token_value(token));
    /* A store that fails is a warning: the token is requested without it. */
    if (connection != NULL && authgrant_get_warnings(connection, &warnings, NULL) == AUTHGRANT_OK) {
        print_errors("warning", warnings);
        authgrant_error_free(warnings);
    }
    print_errors("error", error);

    authgrant_error_free(error); /* all pointers may be NULL */
    authgrant_token_free(token);
    authgrant_close(connection);
    sqlite_store_close();
    return status == AUTHGRANT_OK ? 0 : 1;
}
