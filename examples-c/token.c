/* Usage: token 'CONNECTION STRING'. Gets an access token, and the same token again from the cache. */
#include "authgrant.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *or_dash(const char *value) { return value != NULL ? value : "-"; }

/* Prints a chain of errors or warnings. */
static void print_errors(const char *kind, const authgrant_error *error) {
    for (; error != NULL; error = authgrant_error_next(error)) {
        fprintf(stderr, "%s: %s SQLSTATE %s\n  %s\n", kind, authgrant_status_name(authgrant_error_status(error)),
                authgrant_error_sqlstate(error), authgrant_error_message(error));
        fprintf(stderr, "  option: %s, OAuth error: %s\n", or_dash(authgrant_error_option(error)),
                or_dash(authgrant_error_oauth_error(error)));
    }
}

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL, *again = NULL;
    authgrant_error *error = NULL, *warnings = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: %s 'CONNECTION STRING'\n", argv[0]);
        return 2;
    }
    authgrant_status status = authgrant_open(argv[1], &connection, &error);
    if (status == AUTHGRANT_OK) status = authgrant_get_token(connection, &token, &error);
    if (connection != NULL && authgrant_get_warnings(connection, &warnings, NULL) == AUTHGRANT_OK) {
        print_errors("warning", warnings);
        authgrant_error_free(warnings);
    }
    if (status == AUTHGRANT_OK) {
        const char *value = authgrant_token_value(token);
        long long expires_at = (long long)authgrant_token_expires_at(token);
        printf("token: %s %.8s… (%zu characters)\n", authgrant_token_type(token), value, authgrant_token_length(token));
        if (expires_at != 0) printf("expires in %lld seconds\n", expires_at - (long long)time(NULL));

        status = authgrant_get_token(connection, &again, &error);
        if (status == AUTHGRANT_OK) {
            printf("from the cache: %s\n", strcmp(value, authgrant_token_value(again)) == 0 ? "same token" : "different token");
        }
    }
    print_errors("error", error);

    authgrant_error_free(error); /* all pointers may be NULL */
    authgrant_token_free(again);
    authgrant_token_free(token);
    authgrant_close(connection);
    return status == AUTHGRANT_OK ? 0 : 1;
}
