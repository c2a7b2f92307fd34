/* Calls the recipe databricks.c: reads rows, gives the open connection another token, and reads them again with the same statement.
 * Usage: databricks_session 'ODBC CONNECTION STRING'. */
#include "authgrant.h"
#include <sql.h>
#include <sqlext.h>
#include <stdio.h>
#include <stdlib.h>

SQLRETURN databricks_connect(SQLHDBC dbc, const char *base, const authgrant_token *token);
SQLRETURN databricks_refresh(SQLHDBC dbc, const char *base, const authgrant_token *token);

static int print_rows(SQLHSTMT statement) {
    int rows = 0;
    if (!SQL_SUCCEEDED(SQLExecDirect(statement, (SQLCHAR *)"SELECT * FROM countries", SQL_NTS))) return 1;
    while (SQL_SUCCEEDED(SQLFetch(statement))) rows++;
    SQLFreeStmt(statement, SQL_CLOSE);
    printf("%d rows\n", rows);
    return 0;
}

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_token *first = NULL, *second = NULL;
    SQLHENV env = SQL_NULL_HENV;
    SQLHDBC dbc = SQL_NULL_HDBC;
    SQLHSTMT statement = SQL_NULL_HSTMT;
    if (argc != 2 || authgrant_open(getenv("AUTHGRANT_CONNECTION_STRING"), &connection, NULL)) return 2;
    if (authgrant_get_token(connection, &first, NULL)) return 3;
    authgrant_reject_token(connection, first, NULL);
    if (authgrant_get_token(connection, &second, NULL)) return 4;
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &env);
    SQLSetEnvAttr(env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
    SQLAllocHandle(SQL_HANDLE_DBC, env, &dbc);
    int failed = !SQL_SUCCEEDED(databricks_connect(dbc, argv[1], first));
    if (!failed) {
        SQLAllocHandle(SQL_HANDLE_STMT, dbc, &statement);
        failed = print_rows(statement) || !SQL_SUCCEEDED(databricks_refresh(dbc, argv[1], second)) || print_rows(statement);
        SQLFreeHandle(SQL_HANDLE_STMT, statement);
        SQLDisconnect(dbc);
    }
    SQLFreeHandle(SQL_HANDLE_DBC, dbc);
    SQLFreeHandle(SQL_HANDLE_ENV, env);
    authgrant_token_free(first);
    authgrant_token_free(second);
    authgrant_close(connection);
    return failed;
}
