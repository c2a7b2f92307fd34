/* Connects to SQL Server through Microsoft's ODBC driver 17 or 18, with a token of authgrant instead of a user and a password.
 *
 * Usage: sqlserver 'ODBC CONNECTION STRING', such as "Driver={ODBC Driver 18 for SQL Server};Server=...;Database=...;Encrypt=yes".
 * It must not contain UID, PWD, Authentication or Trusted_Connection. The connection string of authgrant is in
 * AUTHGRANT_CONNECTION_STRING; its scope for Azure SQL is https://database.windows.net/.default. */
#include "authgrant.h"
#include <sql.h>
#include <sqlext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The driver's attribute for a token; Microsoft's msodbcsql.h has it, too. */
#ifndef SQL_COPT_SS_ACCESS_TOKEN
#define SQL_COPT_SS_ACCESS_TOKEN 1256
#endif

/* Returns the structure that the driver reads, to be released with free(); NULL if memory is exhausted.
 *
 * It is the number of bytes as uint32_t, then the token in UTF-16LE without a NUL. A token is ASCII (RFC 6750 section 2.1), so each
 * of its bytes is followed by 0. The driver relies on the number: a wrong one crashes the process. */
static unsigned char *pack_token(const authgrant_token *token) {
    size_t length = authgrant_token_length(token);
    uint32_t size = (uint32_t)(2 * length);
    unsigned char *packed = calloc(1, sizeof size + size);
    if (packed == NULL) return NULL;
    memcpy(packed, &size, sizeof size);
    for (size_t i = 0; i < length; i++) packed[sizeof size + 2 * i] = (unsigned char)authgrant_token_value(token)[i];
    return packed;
}

static SQLRETURN connect_with_token(SQLHDBC dbc, const char *odbc_string, const authgrant_token *token) {
    unsigned char *packed = pack_token(token); /* the driver reads it until SQLDriverConnect returns */
    if (packed == NULL) return SQL_ERROR;
    SQLRETURN result = SQLSetConnectAttr(dbc, SQL_COPT_SS_ACCESS_TOKEN, packed, SQL_IS_POINTER);
    if (SQL_SUCCEEDED(result)) {
        result = SQLDriverConnect(dbc, NULL, (SQLCHAR *)odbc_string, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
    }
    free(packed);
    return result;
}

static void print_diagnostics(SQLHDBC dbc) {
    SQLCHAR state[6], message[SQL_MAX_MESSAGE_LENGTH];
    SQLINTEGER native;
    for (SQLSMALLINT i = 1; SQL_SUCCEEDED(SQLGetDiagRec(SQL_HANDLE_DBC, dbc, i, state, &native, message, sizeof message, NULL)); i++) {
        fprintf(stderr, "%s %s\n", (char *)state, (char *)message);
    }
}

/* Connects and disconnects. A session stays open when its token expires; only a new connection needs a new one. */
static int try_to_connect(const char *odbc_string, const authgrant_token *token) {
    SQLHENV env = SQL_NULL_HENV;
    SQLHDBC dbc = SQL_NULL_HDBC;
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &env);
    SQLSetEnvAttr(env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
    SQLAllocHandle(SQL_HANDLE_DBC, env, &dbc);
    SQLRETURN result = connect_with_token(dbc, odbc_string, token);
    print_diagnostics(dbc);
    if (SQL_SUCCEEDED(result)) {
        printf("connected\n");
        SQLDisconnect(dbc);
    }
    SQLFreeHandle(SQL_HANDLE_DBC, dbc);
    SQLFreeHandle(SQL_HANDLE_ENV, env);
    return !SQL_SUCCEEDED(result);
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    int failed = 1;

    if (argc != 2 || string == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s 'ODBC CONNECTION STRING'\n", argv[0]);
        return 2;
    }
    if (authgrant_open(string, &connection, &error) == AUTHGRANT_OK
        && authgrant_get_token(connection, &token, &error) == AUTHGRANT_OK) {
        failed = try_to_connect(argv[1], token);
    } else {
        fprintf(stderr, "%s %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
    }
    authgrant_token_free(token);
    authgrant_error_free(error);
    authgrant_close(connection);
    return failed;
}
