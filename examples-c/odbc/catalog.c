/* Catalog functions: the tables of the keyword Tables, their columns as the first page has them, and the types. */
#include "driver.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A LIKE pattern of ODBC: % and _ are wildcards, and a backslash makes the next character an ordinary one. NULL matches everything. */
static int matches(const char *pattern, const char *text) {
    if (pattern == NULL) return 1;
    for (; *pattern != '\0'; pattern++, text++) {
        if (*pattern == '%') {
            for (;; text++) {
                if (matches(pattern + 1, text)) return 1;
                if (*text == '\0') return 0;
            }
        }
        if (*text == '\0') return 0;
        if (*pattern == '_') continue;
        if (*pattern == '\\' && pattern[1] != '\0') pattern++;
        if (tolower((unsigned char)*pattern) != tolower((unsigned char)*text)) return 0;
    }
    return *text == '\0';
}

/* The next name of a list with commas, to be released with free(); NULL at the end. */
static char *next_name(const char **list) {
    const char *at = *list;
    while (*at == ',' || isspace((unsigned char)*at)) at++;
    size_t length = strcspn(at, ",");
    *list = at + length;
    while (length > 0 && isspace((unsigned char)at[length - 1])) length--;
    return length > 0 ? strndup(at, length) : NULL;
}

static SQLRETURN open_catalog(statement *s, const catalog_column *columns, size_t count, json_t *rows) {
    s->row = NULL;
    s->row_number = 0;
    parts_reset(&s->parts);
    row_set_free(s->rows);
    s->rows = row_set_of_rows(columns, count, rows);
    return s->rows != NULL ? SQL_SUCCESS : post(&s->base, "HY001", "out of memory");
}

#define OPEN_CATALOG(s, columns, rows) open_catalog((s), (columns), sizeof(columns) / sizeof((columns)[0]), (rows))

/* An argument that selects: NULL stays NULL. Returns 0 if it is no text. */
static int pattern_in(statement *s, const void *text, SQLSMALLINT length, size_t unit, char **pattern) {
    *pattern = text != NULL ? text_in(&s->base, text, length, unit) : NULL;
    return text == NULL || *pattern != NULL;
}

/* ---- SQLTables */

static const catalog_column TABLE_COLUMNS[] = {
    {"TABLE_CAT", SQL_WVARCHAR}, {"TABLE_SCHEM", SQL_WVARCHAR}, {"TABLE_NAME", SQL_WVARCHAR}, {"TABLE_TYPE", SQL_WVARCHAR},
    {"REMARKS", SQL_WVARCHAR},
};

static json_t *list_tables(const connection *dbc, const char *pattern) {
    json_t *rows = json_array();
    const char *list = dbc->tables != NULL ? dbc->tables : "";
    for (char *name; (name = next_name(&list)) != NULL; free(name)) {
        if (matches(pattern, name)) json_array_append_new(rows, json_pack("{ss,ss}", "TABLE_NAME", name, "TABLE_TYPE", "TABLE"));
    }
    return rows;
}

/* With the arguments of SQL_ALL_TABLE_TYPES the result is the list of types; there are no catalogs and schemas. */
static SQLRETURN tables(SQLHSTMT pointer, const void *catalog, SQLSMALLINT catalog_length, const void *schema, SQLSMALLINT schema_length,
                        const void *table, SQLSMALLINT table_length, const void *types, SQLSMALLINT types_length, size_t unit) {
    ENTER_STMT(s, pointer);
    char *arguments[4] = {0};
    SQLRETURN result = SQL_ERROR;
    if (pattern_in(s, catalog, catalog_length, unit, &arguments[0]) && pattern_in(s, schema, schema_length, unit, &arguments[1])
        && pattern_in(s, table, table_length, unit, &arguments[2]) && pattern_in(s, types, types_length, unit, &arguments[3])) {
        const char *type = arguments[3] != NULL ? arguments[3] : "";
        int has_tables = type[0] == '\0' || strstr(type, "TABLE") != NULL || strcmp(type, "%") == 0;
        int asks_for_types = strcmp(type, "%") == 0 && arguments[2] != NULL && arguments[2][0] == '\0';
        json_t *rows = asks_for_types ? json_pack("[{ss}]", "TABLE_TYPE", "TABLE")
                       : has_tables   ? list_tables(s->dbc, arguments[2])
                                      : json_array();
        result = OPEN_CATALOG(s, TABLE_COLUMNS, rows);
    }
    for (size_t i = 0; i < 4; i++) text_free(arguments[i]);
    return leave(&s->base, result);
}

SQLRETURN SQL_API SQLTables(SQLHSTMT s, SQLCHAR *catalog, SQLSMALLINT catalog_length, SQLCHAR *schema, SQLSMALLINT schema_length,
                            SQLCHAR *table, SQLSMALLINT table_length, SQLCHAR *types, SQLSMALLINT types_length) {
    return tables(s, catalog, catalog_length, schema, schema_length, table, table_length, types, types_length, sizeof(SQLCHAR));
}

SQLRETURN SQL_API SQLTablesW(SQLHSTMT s, SQLWCHAR *catalog, SQLSMALLINT catalog_length, SQLWCHAR *schema, SQLSMALLINT schema_length,
                             SQLWCHAR *table, SQLSMALLINT table_length, SQLWCHAR *types, SQLSMALLINT types_length) {
    return tables(s, catalog, catalog_length, schema, schema_length, table, table_length, types, types_length, sizeof(SQLWCHAR));
}

/* ---- SQLColumns */

static const catalog_column COLUMN_COLUMNS[] = {
    {"TABLE_CAT", SQL_WVARCHAR}, {"TABLE_SCHEM", SQL_WVARCHAR}, {"TABLE_NAME", SQL_WVARCHAR}, {"COLUMN_NAME", SQL_WVARCHAR},
    {"DATA_TYPE", SQL_SMALLINT}, {"TYPE_NAME", SQL_WVARCHAR}, {"COLUMN_SIZE", SQL_INTEGER}, {"BUFFER_LENGTH", SQL_INTEGER},
    {"DECIMAL_DIGITS", SQL_SMALLINT}, {"NUM_PREC_RADIX", SQL_SMALLINT}, {"NULLABLE", SQL_SMALLINT}, {"REMARKS", SQL_WVARCHAR},
    {"COLUMN_DEF", SQL_WVARCHAR}, {"SQL_DATA_TYPE", SQL_SMALLINT}, {"SQL_DATETIME_SUB", SQL_SMALLINT}, {"CHAR_OCTET_LENGTH", SQL_INTEGER},
    {"ORDINAL_POSITION", SQL_INTEGER}, {"IS_NULLABLE", SQL_WVARCHAR},
};

static json_t *column_row(const char *table, const column *c, size_t position) {
    const sql_type *type = find_sql_type(c->type);
    json_int_t size = (json_int_t)c->size, octets = type->octet_length > 0 ? type->octet_length : size * 4;
    json_t *row = json_pack("{ss,ss,si,ss,sI,sI,si,ss}", "TABLE_NAME", table, "COLUMN_NAME", c->name, "DATA_TYPE", (int)c->type,
                            "TYPE_NAME", type->name, "COLUMN_SIZE", size, "BUFFER_LENGTH", octets, "NULLABLE", SQL_NULLABLE,
                            "IS_NULLABLE", "YES");
    json_object_set_new(row, "SQL_DATA_TYPE", json_integer(c->type));
    json_object_set_new(row, "ORDINAL_POSITION", json_integer((json_int_t)position));
    if (type->is_text) json_object_set_new(row, "CHAR_OCTET_LENGTH", json_integer(octets));
    else json_object_set_new(row, "NUM_PREC_RADIX", json_integer(10));
    return row;
}

static SQLRETURN append_columns(statement *s, const char *table, const char *pattern, json_t *rows) {
    row_set *r = NULL;
    SQLRETURN result = row_set_open_table(s, table, NULL, &r);
    for (size_t i = 0; r != NULL && i < r->column_count; i++) {
        if (matches(pattern, r->columns[i].name)) json_array_append_new(rows, column_row(table, &r->columns[i], i + 1));
    }
    row_set_free(r);
    return result;
}

static SQLRETURN columns(SQLHSTMT pointer, const void *table, SQLSMALLINT table_length, const void *name, SQLSMALLINT name_length,
                         size_t unit) {
    ENTER_STMT(s, pointer);
    char *table_pattern = NULL, *pattern = NULL;
    SQLRETURN result = SQL_ERROR;
    if (pattern_in(s, table, table_length, unit, &table_pattern) && pattern_in(s, name, name_length, unit, &pattern)) {
        json_t *rows = json_array(), *found = list_tables(s->dbc, table_pattern), *row;
        size_t index;
        result = SQL_SUCCESS;
        json_array_foreach(found, index, row) {
            const char *one = json_string_value(json_object_get(row, "TABLE_NAME"));
            if (result == SQL_SUCCESS) result = append_columns(s, one, pattern, rows);
        }
        json_decref(found);
        if (result == SQL_SUCCESS) result = OPEN_CATALOG(s, COLUMN_COLUMNS, rows);
        else json_decref(rows);
    }
    text_free(table_pattern);
    text_free(pattern);
    return leave(&s->base, result);
}

SQLRETURN SQL_API SQLColumns(SQLHSTMT s, SQLCHAR *catalog, SQLSMALLINT catalog_length, SQLCHAR *schema, SQLSMALLINT schema_length,
                             SQLCHAR *table, SQLSMALLINT table_length, SQLCHAR *name, SQLSMALLINT name_length) {
    (void)catalog, (void)catalog_length, (void)schema, (void)schema_length;
    return columns(s, table, table_length, name, name_length, sizeof(SQLCHAR));
}

SQLRETURN SQL_API SQLColumnsW(SQLHSTMT s, SQLWCHAR *catalog, SQLSMALLINT catalog_length, SQLWCHAR *schema, SQLSMALLINT schema_length,
                              SQLWCHAR *table, SQLSMALLINT table_length, SQLWCHAR *name, SQLSMALLINT name_length) {
    (void)catalog, (void)catalog_length, (void)schema, (void)schema_length;
    return columns(s, table, table_length, name, name_length, sizeof(SQLWCHAR));
}

/* ---- SQLGetTypeInfo */

static const catalog_column TYPE_COLUMNS[] = {
    {"TYPE_NAME", SQL_WVARCHAR}, {"DATA_TYPE", SQL_SMALLINT}, {"COLUMN_SIZE", SQL_INTEGER}, {"LITERAL_PREFIX", SQL_WVARCHAR},
    {"LITERAL_SUFFIX", SQL_WVARCHAR}, {"CREATE_PARAMS", SQL_WVARCHAR}, {"NULLABLE", SQL_SMALLINT}, {"CASE_SENSITIVE", SQL_SMALLINT},
    {"SEARCHABLE", SQL_SMALLINT}, {"UNSIGNED_ATTRIBUTE", SQL_SMALLINT}, {"FIXED_PREC_SCALE", SQL_SMALLINT},
    {"AUTO_UNIQUE_VALUE", SQL_SMALLINT}, {"LOCAL_TYPE_NAME", SQL_WVARCHAR}, {"MINIMUM_SCALE", SQL_SMALLINT},
    {"MAXIMUM_SCALE", SQL_SMALLINT}, {"SQL_DATA_TYPE", SQL_SMALLINT}, {"SQL_DATETIME_SUB", SQL_SMALLINT}, {"NUM_PREC_RADIX", SQL_INTEGER},
    {"INTERVAL_PRECISION", SQL_SMALLINT},
};

enum { MAX_TEXT_SIZE = 1024 * 1024 };

static json_t *type_row(const sql_type *type) {
    json_int_t size = type->is_text ? MAX_TEXT_SIZE : (json_int_t)type->size;
    json_t *row = json_pack("{ss,si,sI,si,si,si,si,si}", "TYPE_NAME", type->name, "DATA_TYPE", (int)type->type, "COLUMN_SIZE", size,
                            "NULLABLE", SQL_NULLABLE, "CASE_SENSITIVE", type->is_text, "SEARCHABLE", SQL_PRED_NONE, "FIXED_PREC_SCALE",
                            SQL_FALSE, "SQL_DATA_TYPE", (int)type->type);
    if (type->is_text) {
        json_object_set_new(row, "LITERAL_PREFIX", json_string("'"));
        json_object_set_new(row, "LITERAL_SUFFIX", json_string("'"));
    } else {
        json_object_set_new(row, "UNSIGNED_ATTRIBUTE", json_integer(!type->is_signed));
        json_object_set_new(row, "NUM_PREC_RADIX", json_integer(10));
    }
    return row;
}

static SQLRETURN type_info(SQLHSTMT pointer, SQLSMALLINT type) {
    ENTER_STMT(s, pointer);
    json_t *rows = json_array();
    for (size_t i = 0; i < known_type_count; i++) {
        if (type == SQL_ALL_TYPES || type == known_types[i].type) json_array_append_new(rows, type_row(&known_types[i]));
    }
    return leave(&s->base, OPEN_CATALOG(s, TYPE_COLUMNS, rows));
}

SQLRETURN SQL_API SQLGetTypeInfo(SQLHSTMT s, SQLSMALLINT type) { return type_info(s, type); }

SQLRETURN SQL_API SQLGetTypeInfoW(SQLHSTMT s, SQLSMALLINT type) { return type_info(s, type); }
