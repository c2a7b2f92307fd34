/* Gives the ODBC driver of Databricks (Simba Spark) a token of authgrant, and a new one in an open session. Without a main(): to be
 * copied into a program. Other drivers of Simba have the same two attributes. */
#include "authgrant.h"
#include <sql.h>
#include <sqlext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Attributes of the driver (ODBC 4.0). */
#define SQL_ATTR_CREDENTIALS 122
#define SQL_ATTR_REFRESH_CONNECTION 123
#define SQL_REFRESH_NOW ((SQLPOINTER)(SQLLEN)-1)

static const char TOKEN_OPTION[] = ";AuthMech=11;Auth_Flow=0;Auth_AccessToken=";

/* Returns `base` with the token, to be released with free(); NULL on failure. It contains the token: do not log it. */
static char *with_token(const char *base, const authgrant_token *token) {
    char *quoted = NULL;
    if (authgrant_quote_value(authgrant_token_value(token), &quoted, NULL) != AUTHGRANT_OK) return NULL;
    size_t capacity = strlen(base) + sizeof TOKEN_OPTION + strlen(quoted);
    char *text = malloc(capacity);
    if (text != NULL) snprintf(text, capacity, "%s%s%s", base, TOKEN_OPTION, quoted);
    authgrant_string_free(quoted);
    return text;
}

/* Connects. `base` has Driver, Host, HTTPPath, SSL=1 and ThriftTransport=2, and no option of authentication. */
SQLRETURN databricks_connect(SQLHDBC dbc, const char *base, const authgrant_token *token);
SQLRETURN databricks_connect(SQLHDBC dbc, const char *base, const authgrant_token *token) {
    char *text = with_token(base, token);
    if (text == NULL) return SQL_ERROR;
    SQLRETURN result = SQLDriverConnect(dbc, NULL, (SQLCHAR *)text, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
    free(text);
    return result;
}

/* Gives an open connection a new token after a call failed with SQLSTATE 08006. Its statements stay open; repeat the call. */
SQLRETURN databricks_refresh(SQLHDBC dbc, const char *base, const authgrant_token *token);
SQLRETURN databricks_refresh(SQLHDBC dbc, const char *base, const authgrant_token *token) {
    char *text = with_token(base, token);
    if (text == NULL) return SQL_ERROR;
    SQLRETURN result = SQLSetConnectAttr(dbc, SQL_ATTR_CREDENTIALS, text, SQL_NTS);
    if (SQL_SUCCEEDED(result)) result = SQLSetConnectAttr(dbc, SQL_ATTR_REFRESH_CONNECTION, SQL_REFRESH_NOW, 0);
    free(text);
    return result;
}
