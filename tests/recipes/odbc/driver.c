/* An ODBC driver for the tests that connects to nothing. It appends what it gets to the file AUTHGRANT_ODBC_LOG, one line each:
 * `connect STRING`, `attribute 1256 HEXADECIMAL` for the token structure of SQL Server, `attribute 122 STRING` and `attribute 123`. */
#include <sql.h>
#include <sqlext.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void record(const char *format, ...) {
    FILE *file = fopen(getenv("AUTHGRANT_ODBC_LOG"), "a");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

/* The size precedes the bytes. */
static void record_token(const unsigned char *packed) {
    uint32_t size;
    memcpy(&size, packed, sizeof size);
    record("attribute 1256 ");
    for (uint32_t i = 0; i < size; i++) record("%02x", packed[sizeof size + i]);
    record("\n");
}

SQLRETURN SQL_API SQLSetConnectAttr(SQLHDBC dbc, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)dbc;
    if (attribute == 1256 && length == SQL_IS_POINTER) record_token(value);
    if (attribute == 122 && length == SQL_NTS) record("attribute 122 %s\n", (char *)value);
    if (attribute == 123 && (SQLLEN)value == -1) record("attribute 123\n");
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLDriverConnect(SQLHDBC dbc, SQLHWND window, SQLCHAR *text, SQLSMALLINT length, SQLCHAR *out, SQLSMALLINT capacity,
                                   SQLSMALLINT *needed, SQLUSMALLINT completion) {
    (void)dbc, (void)window, (void)length, (void)out, (void)capacity, (void)completion;
    record("connect %s\n", (char *)text);
    if (needed != NULL) *needed = 0;
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLAllocHandle(SQLSMALLINT kind, SQLHANDLE parent, SQLHANDLE *handle) {
    (void)parent;
    if (kind == SQL_HANDLE_STMT) return SQL_ERROR;
    *handle = malloc(1);
    return *handle != NULL ? SQL_SUCCESS : SQL_ERROR;
}

SQLRETURN SQL_API SQLFreeHandle(SQLSMALLINT kind, SQLHANDLE handle) {
    (void)kind;
    free(handle);
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLSetEnvAttr(SQLHENV env, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)env, (void)attribute, (void)value, (void)length;
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLDisconnect(SQLHDBC dbc) {
    (void)dbc;
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLEndTran(SQLSMALLINT kind, SQLHANDLE handle, SQLSMALLINT completion) {
    (void)kind, (void)handle, (void)completion;
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLGetInfo(SQLHDBC dbc, SQLUSMALLINT kind, SQLPOINTER value, SQLSMALLINT capacity, SQLSMALLINT *needed) {
    (void)dbc, (void)capacity;
    if (kind != SQL_DRIVER_ODBC_VER) return SQL_ERROR;
    strcpy(value, "03.80");
    if (needed != NULL) *needed = 5;
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLGetDiagRec(SQLSMALLINT kind, SQLHANDLE handle, SQLSMALLINT number, SQLCHAR *state, SQLINTEGER *native,
                                SQLCHAR *text, SQLSMALLINT capacity, SQLSMALLINT *needed) {
    (void)kind, (void)handle, (void)number, (void)state, (void)native, (void)text, (void)capacity, (void)needed;
    return SQL_NO_DATA;
}
