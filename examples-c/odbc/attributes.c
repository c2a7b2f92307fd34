/* Attributes of environments, connections and statements. */
#include "driver.h"
#include <stdlib.h>
#include <string.h>

/* Microsoft's attribute for an access token; those of ODBC 4.0 for a new token in an open connection, which Simba's drivers have. */
#define SQL_COPT_SS_ACCESS_TOKEN 1256
#define SQL_ATTR_CREDENTIALS 122
#define SQL_ATTR_REFRESH_CONNECTION 123
#define SQL_REFRESH_NOW (-1)

enum { MAX_ACCESS_TOKEN_BYTES = 1024 * 1024 };

/* An integer attribute is passed in the pointer itself. */
static SQLULEN as_integer(SQLPOINTER value) { return (SQLULEN)(uintptr_t)value; }

static long as_seconds(SQLPOINTER value) { return as_integer(value) > INT32_MAX / 1000 ? 0 : (long)as_integer(value); }

/* ---- environment */

SQLRETURN SQL_API SQLSetEnvAttr(SQLHENV pointer, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)length;
    ENTER(environment, env, pointer, SQL_HANDLE_ENV);
    SQLRETURN result = SQL_SUCCESS;
    if (attribute == SQL_ATTR_ODBC_VERSION) {
        env->odbc_version = (SQLINTEGER)as_integer(value);
    } else if (attribute != SQL_ATTR_OUTPUT_NTS && attribute != SQL_ATTR_CONNECTION_POOLING && attribute != SQL_ATTR_CP_MATCH) {
        result = post(&env->base, "HY092", "unknown environment attribute %d", (int)attribute);
    }
    return leave(&env->base, result);
}

SQLRETURN SQL_API SQLGetEnvAttr(SQLHENV pointer, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER capacity, SQLINTEGER *length) {
    (void)capacity, (void)length;
    ENTER(environment, env, pointer, SQL_HANDLE_ENV);
    SQLRETURN result = SQL_SUCCESS;
    if (attribute == SQL_ATTR_ODBC_VERSION) *(SQLINTEGER *)value = env->odbc_version;
    else if (attribute == SQL_ATTR_OUTPUT_NTS) *(SQLINTEGER *)value = SQL_TRUE;
    else result = post(&env->base, "HY092", "unknown environment attribute %d", (int)attribute);
    return leave(&env->base, result);
}

/* ---- connection */

/* The value is the number of bytes as uint32_t and the token in UTF-16LE, whatever the size of SQLWCHAR. */
static SQLRETURN set_access_token(connection *dbc, const unsigned char *packed) {
    uint32_t size = 0;
    if (packed == NULL) return post(&dbc->base, "HY009", "the access token is NULL");
    if (dbc->connected) return post(&dbc->base, "HY011", "the access token must be set before the connection opens");
    memcpy(&size, packed, sizeof size);
    int is_valid = size % 2 == 0 && size <= MAX_ACCESS_TOKEN_BYTES;
    if (!is_valid) return post(&dbc->base, "HY024", "the size of the access token is %u", (unsigned)size);
    char *token = text_in(&dbc->base, packed + sizeof size, (SQLLEN)(size / 2), 2);
    if (token == NULL) return SQL_ERROR;
    text_free(dbc->access_token);
    dbc->access_token = token;
    return SQL_SUCCESS;
}

static SQLRETURN set_credentials(connection *dbc, SQLPOINTER value, SQLINTEGER length, size_t unit) {
    char *text = text_in(&dbc->base, value, length < 0 ? length : length / (SQLINTEGER)unit, unit);
    if (text == NULL) return SQL_ERROR;
    text_free(dbc->credentials);
    dbc->credentials = text;
    return SQL_SUCCESS;
}

static SQLRETURN refresh_connection(connection *dbc, SQLLEN when) {
    if (when != SQL_REFRESH_NOW) return post(&dbc->base, "HYC00", "the only time of a refresh is now, %d", SQL_REFRESH_NOW);
    if (!dbc->connected) return post(&dbc->base, "08003", "the connection is not open");
    if (dbc->credentials == NULL) return post(&dbc->base, "HY010", "set attribute %d first, new credentials", SQL_ATTR_CREDENTIALS);
    SQLRETURN result = grant_replace_token(dbc, dbc->credentials);
    if (result == SQL_SUCCESS) dbc->dead = 0;
    return result;
}

static SQLRETURN set_connect_attr(SQLHDBC pointer, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length, size_t unit) {
    ENTER_DBC(dbc, pointer);
    SQLRETURN result = SQL_SUCCESS;
    switch (attribute) {
    case SQL_ATTR_LOGIN_TIMEOUT: dbc->login_timeout = as_seconds(value); break;
    case SQL_ATTR_CONNECTION_TIMEOUT: dbc->timeout = as_seconds(value); break;
    case SQL_ATTR_AUTOCOMMIT: dbc->autocommit = as_integer(value); break;
    case SQL_ATTR_ACCESS_MODE: dbc->access_mode = as_integer(value); break;
    case SQL_ATTR_QUIET_MODE:
    case SQL_ATTR_TXN_ISOLATION: break;
    case SQL_COPT_SS_ACCESS_TOKEN: result = set_access_token(dbc, value); break;
    case SQL_ATTR_CREDENTIALS: result = set_credentials(dbc, value, length, unit); break;
    case SQL_ATTR_REFRESH_CONNECTION: result = refresh_connection(dbc, (SQLLEN)(intptr_t)value); break;
    default: result = post(&dbc->base, "HYC00", "connection attribute %d is not supported", (int)attribute);
    }
    return leave(&dbc->base, result);
}

SQLRETURN SQL_API SQLSetConnectAttr(SQLHDBC dbc, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    return set_connect_attr(dbc, attribute, value, length, sizeof(SQLCHAR));
}

SQLRETURN SQL_API SQLSetConnectAttrW(SQLHDBC dbc, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    return set_connect_attr(dbc, attribute, value, length, sizeof(SQLWCHAR));
}

static SQLRETURN get_connect_attr(SQLHDBC pointer, SQLINTEGER attribute, target out) {
    ENTER_DBC(dbc, pointer);
    SQLUINTEGER number = 0;
    switch (attribute) {
    case SQL_ATTR_LOGIN_TIMEOUT: number = dbc->login_timeout < 0 ? 0 : (SQLUINTEGER)dbc->login_timeout; break;
    case SQL_ATTR_CONNECTION_TIMEOUT: number = (SQLUINTEGER)dbc->timeout; break;
    case SQL_ATTR_AUTOCOMMIT: number = (SQLUINTEGER)dbc->autocommit; break;
    case SQL_ATTR_ACCESS_MODE: number = (SQLUINTEGER)dbc->access_mode; break;
    case SQL_ATTR_CONNECTION_DEAD: number = dbc->dead || !dbc->connected ? SQL_CD_TRUE : SQL_CD_FALSE; break;
    case SQL_ATTR_CURRENT_CATALOG: return leave(&dbc->base, text_out(&dbc->base, "", out));
    case SQL_ATTR_CREDENTIALS: return leave(&dbc->base, text_out(&dbc->base, dbc->credentials != NULL ? dbc->credentials : "", out));
    default: return leave(&dbc->base, post(&dbc->base, "HYC00", "connection attribute %d is not supported", (int)attribute));
    }
    if (out.buffer != NULL) *(SQLUINTEGER *)out.buffer = number;
    if (out.long_length != NULL) *out.long_length = sizeof number;
    return leave(&dbc->base, SQL_SUCCESS);
}

SQLRETURN SQL_API SQLGetConnectAttr(SQLHDBC dbc, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER capacity, SQLINTEGER *length) {
    return get_connect_attr(dbc, attribute, (target){value, capacity, sizeof(SQLCHAR), 1, NULL, length});
}

SQLRETURN SQL_API SQLGetConnectAttrW(SQLHDBC dbc, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER capacity, SQLINTEGER *length) {
    return get_connect_attr(dbc, attribute, (target){value, capacity, sizeof(SQLWCHAR), 1, NULL, length});
}

/* ---- statement */

/* Attributes with only one value, because rows are read one by one, forward and without parameters. */
static const struct {
    SQLINTEGER attribute;
    SQLULEN value;
} FIXED[] = {
    {SQL_ATTR_ROW_ARRAY_SIZE, 1},
    {SQL_ROWSET_SIZE, 1},
    {SQL_ATTR_PARAMSET_SIZE, 1},
    {SQL_ATTR_ROW_BIND_TYPE, SQL_BIND_BY_COLUMN},
    {SQL_ATTR_CURSOR_TYPE, SQL_CURSOR_FORWARD_ONLY},
    {SQL_ATTR_CURSOR_SCROLLABLE, SQL_NONSCROLLABLE},
    {SQL_ATTR_CURSOR_SENSITIVITY, SQL_UNSPECIFIED},
    {SQL_ATTR_CONCURRENCY, SQL_CONCUR_READ_ONLY},
    {SQL_ATTR_USE_BOOKMARKS, SQL_UB_OFF},
    {SQL_ATTR_RETRIEVE_DATA, SQL_RD_ON},
    {SQL_ATTR_ASYNC_ENABLE, SQL_ASYNC_ENABLE_OFF},
    {SQL_ATTR_NOSCAN, SQL_NOSCAN_OFF},
    {SQL_ATTR_METADATA_ID, SQL_FALSE},
    {SQL_ATTR_MAX_LENGTH, 0},
    {SQL_ATTR_KEYSET_SIZE, 0},
};

static SQLRETURN set_fixed(handle *h, SQLINTEGER attribute, SQLULEN value) {
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++) {
        if (FIXED[i].attribute != attribute) continue;
        if (FIXED[i].value != value) post(h, "01S02", "attribute %d stays %lu", (int)attribute, (unsigned long)FIXED[i].value);
        return SQL_SUCCESS;
    }
    return post(h, "HYC00", "statement attribute %d is not supported", (int)attribute);
}

static SQLRETURN get_fixed(handle *h, SQLINTEGER attribute, SQLULEN *value) {
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++) {
        if (FIXED[i].attribute != attribute) continue;
        *value = FIXED[i].value;
        return SQL_SUCCESS;
    }
    return post(h, "HYC00", "statement attribute %d is not supported", (int)attribute);
}

static SQLRETURN set_stmt_attr(SQLHSTMT pointer, SQLINTEGER attribute, SQLPOINTER value) {
    ENTER_STMT(s, pointer);
    SQLRETURN result = SQL_SUCCESS;
    switch (attribute) {
    case SQL_ATTR_QUERY_TIMEOUT: s->query_timeout = (SQLULEN)as_seconds(value); break;
    case SQL_ATTR_MAX_ROWS: s->max_rows = as_integer(value); break;
    case SQL_ATTR_ROWS_FETCHED_PTR: s->rows_fetched = value; break;
    case SQL_ATTR_ROW_STATUS_PTR: s->row_status = value; break;
    default: result = set_fixed(&s->base, attribute, as_integer(value));
    }
    return leave(&s->base, result);
}

SQLRETURN SQL_API SQLSetStmtAttr(SQLHSTMT s, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)length;
    return set_stmt_attr(s, attribute, value);
}

SQLRETURN SQL_API SQLSetStmtAttrW(SQLHSTMT s, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)length;
    return set_stmt_attr(s, attribute, value);
}

static SQLRETURN get_stmt_attr(SQLHSTMT pointer, SQLINTEGER attribute, SQLPOINTER value) {
    ENTER_STMT(s, pointer);
    SQLRETURN result = SQL_SUCCESS;
    if (value == NULL) return leave(&s->base, post(&s->base, "HY009", "there is no buffer for the value"));
    switch (attribute) {
    case SQL_ATTR_QUERY_TIMEOUT: *(SQLULEN *)value = s->query_timeout; break;
    case SQL_ATTR_MAX_ROWS: *(SQLULEN *)value = s->max_rows; break;
    case SQL_ATTR_ROW_NUMBER: *(SQLULEN *)value = s->row_number; break;
    case SQL_ATTR_ROWS_FETCHED_PTR: *(SQLPOINTER *)value = s->rows_fetched; break;
    case SQL_ATTR_ROW_STATUS_PTR: *(SQLPOINTER *)value = s->row_status; break;
    case SQL_ATTR_APP_ROW_DESC:
    case SQL_ATTR_APP_PARAM_DESC:
    case SQL_ATTR_IMP_ROW_DESC:
    case SQL_ATTR_IMP_PARAM_DESC: *(SQLPOINTER *)value = &s->descriptors[attribute - SQL_ATTR_APP_ROW_DESC]; break;
    default: result = get_fixed(&s->base, attribute, value);
    }
    return leave(&s->base, result);
}

SQLRETURN SQL_API SQLGetStmtAttr(SQLHSTMT s, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER capacity, SQLINTEGER *length) {
    (void)capacity, (void)length;
    return get_stmt_attr(s, attribute, value);
}

SQLRETURN SQL_API SQLGetStmtAttrW(SQLHSTMT s, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER capacity, SQLINTEGER *length) {
    (void)capacity, (void)length;
    return get_stmt_attr(s, attribute, value);
}
