/* Calls the recipe databricks.c: connects, and gives the open connection the same token again. Usage: ... 'ODBC CONNECTION STRING'. */
#include "authgrant.h"
#include <sql.h>
#include <sqlext.h>
#include <stdlib.h>

SQLRETURN databricks_connect(SQLHDBC dbc, const char *base, const authgrant_token *token);
SQLRETURN databricks_refresh(SQLHDBC dbc, const char *base, const authgrant_token *token);

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    SQLHENV env = SQL_NULL_HENV;
    SQLHDBC dbc = SQL_NULL_HDBC;
    if (argc != 2 || authgrant_open(getenv("AUTHGRANT_CONNECTION_STRING"), &connection, NULL)) return 2;
    if (authgrant_get_token(connection, &token, NULL)) return 3;
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &env);
    SQLSetEnvAttr(env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
    SQLAllocHandle(SQL_HANDLE_DBC, env, &dbc);
    int failed = !SQL_SUCCEEDED(databricks_connect(dbc, argv[1], token)) || !SQL_SUCCEEDED(databricks_refresh(dbc, argv[1], token));
    SQLDisconnect(dbc);
    SQLFreeHandle(SQL_HANDLE_DBC, dbc);
    SQLFreeHandle(SQL_HANDLE_ENV, env);
    authgrant_token_free(token);
    authgrant_close(connection);
    return failed;
}
