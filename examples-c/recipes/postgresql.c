/* Usage: postgresql CONNINFO. Connects libpq 18 or later by SASL OAUTHBEARER and prints who the server takes the user for.
 *
 * CONNINFO must contain oauth_issuer and oauth_client_id, although authgrant has its own: libpq demands them, and compares the
 * issuer with the one of the server. The connection string of authgrant is in AUTHGRANT_CONNECTION_STRING. */
#include "authgrant.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef LIBPQ_HAS_PROMPT_OAUTH_DEVICE
#error "libpq 18 or later is required"
#endif

/* libpq has one hook for the process and passes no context to it. */
static authgrant_connection *connection;
static PQauthDataHook_type previous_hook;

static void print_error(authgrant_error *error) {
    fprintf(stderr, "%s %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
    authgrant_error_free(error);
}

/* Runs when libpq does not need the token any more. */
static void release_token(PGconn *conn, PGoauthBearerRequest *request) {
    (void)conn;
    authgrant_token_free(request->user);
}

/* Authdata hook. Returns 1 with a token, -1 to fail the connection; 0 would let libpq ask the user itself. It may block for
 * LoginTimeout: a program with PQconnectPoll() calls authgrant_get_token() on a thread of its own before it connects, so that the
 * token is cached here. */
static int provide_token(PGauthData type, PGconn *conn, void *data) {
    if (type != PQAUTHDATA_OAUTH_BEARER_TOKEN) return previous_hook(type, conn, data);
    PGoauthBearerRequest *request = data;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    if (authgrant_get_token(connection, &token, &error) != AUTHGRANT_OK) {
        print_error(error);
        return -1;
    }
    request->token = (char *)authgrant_token_value(token); /* read only, until release_token() */
    request->user = token;
    request->cleanup = release_token;
    return 1;
}

static int print_user(const char *conninfo) {
    PGconn *conn = PQconnectdb(conninfo);
    PGresult *result = NULL;
    int failed = PQstatus(conn) != CONNECTION_OK;
    if (!failed) {
        result = PQexec(conn, "SELECT current_user, system_user");
        failed = PQresultStatus(result) != PGRES_TUPLES_OK;
    }
    if (failed) fprintf(stderr, "%s", PQerrorMessage(conn));
    else printf("%s %s\n", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
    PQclear(result);
    PQfinish(conn);
    return failed;
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_error *error = NULL;
    int failed = 1;

    if (argc != 2 || string == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s CONNINFO\n", argv[0]);
        return 2;
    }
    if (authgrant_open(string, &connection, &error) != AUTHGRANT_OK) {
        print_error(error);
        return 1;
    }
    previous_hook = PQgetAuthDataHook();
    PQsetAuthDataHook(provide_token);
    failed = print_user(argv[1]);
    PQsetAuthDataHook(previous_hook);
    authgrant_close(connection);
    return failed;
}
