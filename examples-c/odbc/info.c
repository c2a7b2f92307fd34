/* SQLGetInfo. The driver managers derive SQLGetFunctions from the exported names. */
#include "driver.h"

typedef struct info {
    SQLUSMALLINT kind;
    char type; /* 't' text, 's' SQLUSMALLINT, 'i' SQLUINTEGER */
    const char *text;
    SQLUINTEGER number;
} info;

#define TEXT(kind, text) {kind, 't', text, 0}
#define SHORT(kind, number) {kind, 's', NULL, number}
#define LONG(kind, number) {kind, 'i', NULL, number}

static const info INFOS[] = {
    TEXT(SQL_DRIVER_NAME, "authgrant_rest"),
    TEXT(SQL_DRIVER_VER, "00.01.0000"),
    TEXT(SQL_DRIVER_ODBC_VER, "03.80"),
    TEXT(SQL_DBMS_NAME, "REST"),
    TEXT(SQL_DBMS_VER, "01.00.0000"),
    TEXT(SQL_DATABASE_NAME, ""),
    TEXT(SQL_USER_NAME, ""),
    TEXT(SQL_DATA_SOURCE_READ_ONLY, "Y"),
    TEXT(SQL_ACCESSIBLE_TABLES, "Y"),
    TEXT(SQL_ACCESSIBLE_PROCEDURES, "N"),
    TEXT(SQL_PROCEDURES, "N"),
    TEXT(SQL_CATALOG_NAME, "N"),
    TEXT(SQL_CATALOG_NAME_SEPARATOR, ""),
    TEXT(SQL_CATALOG_TERM, ""),
    TEXT(SQL_SCHEMA_TERM, ""),
    TEXT(SQL_TABLE_TERM, "endpoint"),
    TEXT(SQL_PROCEDURE_TERM, ""),
    TEXT(SQL_IDENTIFIER_QUOTE_CHAR, "\""),
    TEXT(SQL_SEARCH_PATTERN_ESCAPE, "\\"),
    TEXT(SQL_SPECIAL_CHARACTERS, "-"),
    TEXT(SQL_KEYWORDS, ""),
    TEXT(SQL_COLUMN_ALIAS, "N"),
    TEXT(SQL_DESCRIBE_PARAMETER, "N"),
    TEXT(SQL_NEED_LONG_DATA_LEN, "N"),
    TEXT(SQL_MULT_RESULT_SETS, "N"),
    TEXT(SQL_MULTIPLE_ACTIVE_TXN, "N"),
    TEXT(SQL_MAX_ROW_SIZE_INCLUDES_LONG, "Y"),
    TEXT(SQL_LIKE_ESCAPE_CLAUSE, "N"),
    TEXT(SQL_ORDER_BY_COLUMNS_IN_SELECT, "N"),
    TEXT(SQL_OUTER_JOINS, "N"),
    TEXT(SQL_ROW_UPDATES, "N"),
    SHORT(SQL_CURSOR_COMMIT_BEHAVIOR, SQL_CB_PRESERVE),
    SHORT(SQL_CURSOR_ROLLBACK_BEHAVIOR, SQL_CB_PRESERVE),
    SHORT(SQL_TXN_CAPABLE, SQL_TC_NONE),
    SHORT(SQL_IDENTIFIER_CASE, SQL_IC_SENSITIVE),
    SHORT(SQL_QUOTED_IDENTIFIER_CASE, SQL_IC_SENSITIVE),
    SHORT(SQL_NULL_COLLATION, SQL_NC_END),
    SHORT(SQL_CATALOG_LOCATION, 0),
    SHORT(SQL_CORRELATION_NAME, SQL_CN_NONE),
    SHORT(SQL_NON_NULLABLE_COLUMNS, SQL_NNC_NULL),
    SHORT(SQL_GROUP_BY, SQL_GB_NOT_SUPPORTED),
    SHORT(SQL_CONCAT_NULL_BEHAVIOR, SQL_CB_NULL),
    SHORT(SQL_FILE_USAGE, SQL_FILE_NOT_SUPPORTED),
    SHORT(SQL_MAX_DRIVER_CONNECTIONS, 0),
    SHORT(SQL_MAX_CONCURRENT_ACTIVITIES, 0),
    SHORT(SQL_MAX_CATALOG_NAME_LEN, 0),
    SHORT(SQL_MAX_SCHEMA_NAME_LEN, 0),
    SHORT(SQL_MAX_TABLE_NAME_LEN, 0),
    SHORT(SQL_MAX_COLUMN_NAME_LEN, 0),
    SHORT(SQL_MAX_COLUMNS_IN_SELECT, 0),
    SHORT(SQL_MAX_IDENTIFIER_LEN, 0),
    LONG(SQL_GETDATA_EXTENSIONS, SQL_GD_ANY_COLUMN | SQL_GD_ANY_ORDER | SQL_GD_BOUND),
    LONG(SQL_SCROLL_OPTIONS, SQL_SO_FORWARD_ONLY),
    LONG(SQL_FORWARD_ONLY_CURSOR_ATTRIBUTES1, SQL_CA1_NEXT),
    LONG(SQL_FORWARD_ONLY_CURSOR_ATTRIBUTES2, SQL_CA2_READ_ONLY_CONCURRENCY),
    LONG(SQL_STATIC_CURSOR_ATTRIBUTES1, 0),
    LONG(SQL_STATIC_CURSOR_ATTRIBUTES2, 0),
    LONG(SQL_KEYSET_CURSOR_ATTRIBUTES1, 0),
    LONG(SQL_KEYSET_CURSOR_ATTRIBUTES2, 0),
    LONG(SQL_DYNAMIC_CURSOR_ATTRIBUTES1, 0),
    LONG(SQL_DYNAMIC_CURSOR_ATTRIBUTES2, 0),
    LONG(SQL_DEFAULT_TXN_ISOLATION, 0),
    LONG(SQL_TXN_ISOLATION_OPTION, 0),
    LONG(SQL_ASYNC_MODE, SQL_AM_NONE),
    LONG(SQL_BATCH_SUPPORT, 0),
    LONG(SQL_BOOKMARK_PERSISTENCE, 0),
    LONG(SQL_CATALOG_USAGE, 0),
    LONG(SQL_SCHEMA_USAGE, 0),
    LONG(SQL_SQL_CONFORMANCE, 0),
    LONG(SQL_ODBC_INTERFACE_CONFORMANCE, SQL_OIC_CORE),
    LONG(SQL_INFO_SCHEMA_VIEWS, 0),
    LONG(SQL_MAX_STATEMENT_LEN, 0),
    LONG(SQL_AGGREGATE_FUNCTIONS, 0),
    LONG(SQL_NUMERIC_FUNCTIONS, 0),
    LONG(SQL_STRING_FUNCTIONS, 0),
    LONG(SQL_SYSTEM_FUNCTIONS, 0),
    LONG(SQL_TIMEDATE_FUNCTIONS, 0),
    LONG(SQL_CONVERT_FUNCTIONS, 0),
    LONG(SQL_SUBQUERIES, 0),
    LONG(SQL_UNION, 0),
    LONG(SQL_OJ_CAPABILITIES, 0),
};

static SQLRETURN put_info(handle *h, const info *found, target out) {
    if (found->type == 't') return text_out(h, found->text, out);
    SQLSMALLINT size = found->type == 's' ? sizeof(SQLUSMALLINT) : sizeof(SQLUINTEGER);
    if (out.buffer != NULL && found->type == 's') *(SQLUSMALLINT *)out.buffer = (SQLUSMALLINT)found->number;
    if (out.buffer != NULL && found->type == 'i') *(SQLUINTEGER *)out.buffer = found->number;
    if (out.length != NULL) *out.length = size;
    return SQL_SUCCESS;
}

static SQLRETURN get_info(SQLHDBC pointer, SQLUSMALLINT kind, target out) {
    ENTER_DBC(dbc, pointer);
    if (kind == SQL_SERVER_NAME) return leave(&dbc->base, text_out(&dbc->base, dbc->rest_url != NULL ? dbc->rest_url : "", out));
    for (size_t i = 0; i < sizeof INFOS / sizeof INFOS[0]; i++) {
        if (INFOS[i].kind == kind) return leave(&dbc->base, put_info(&dbc->base, &INFOS[i], out));
    }
    return leave(&dbc->base, post(&dbc->base, "HY096", "information type %u is not supported", kind));
}

SQLRETURN SQL_API SQLGetInfo(SQLHDBC dbc, SQLUSMALLINT kind, SQLPOINTER value, SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_info(dbc, kind, (target){value, capacity, sizeof(SQLCHAR), 1, length, NULL});
}

SQLRETURN SQL_API SQLGetInfoW(SQLHDBC dbc, SQLUSMALLINT kind, SQLPOINTER value, SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_info(dbc, kind, (target){value, capacity, sizeof(SQLWCHAR), 1, length, NULL});
}
