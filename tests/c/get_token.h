/* Calls that several programs make. */
#ifndef GET_TOKEN_H
#define GET_TOKEN_H

#include "authgrant.h"

#include <stdio.h>

/* Opens a connection whose tokens have this scope, so that they are not those of another one. Prints an error; NULL then. */
static inline authgrant_connection *open_with_scope(const char *connection_string, const char *scope) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    char text[4096];
    snprintf(text, sizeof text, "Scope=%s;%s", scope, connection_string);
    if (authgrant_open(text, &connection, &error) != AUTHGRANT_OK) {
        fprintf(stderr, "open: %s\n", authgrant_error_message(error));
    }
    authgrant_error_free(error);
    return connection;
}

/* Gets a token and discards it. Prints an error. */
static inline authgrant_status get_token(authgrant_connection *connection) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_token(connection, &token, &error);
    if (status != AUTHGRANT_OK) {
        fprintf(stderr, "get_token: %s %s\n", authgrant_status_name(status), authgrant_error_message(error));
    }
    authgrant_token_free(token);
    authgrant_error_free(error);
    return status;
}

#endif
