/* Statements: SELECT columns FROM table, and the rows. */
#include "driver.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- SQL */

/* Reads the next token: a name, with quotation marks or without, or one character. Returns its kind: 'n', 'q' for a name with quotation
 * marks, the character, 0 at the end, or '?'. The name is appended to `list`, whose entries are separated by tabs, unless it is NULL. */
static int next_token(const char **sql, char *name) {
    const char *at = *sql;
    while (isspace((unsigned char)*at)) at++;
    int kind = (unsigned char)*at;
    if (*at == '"') {
        kind = 'q';
        for (at++; *at != '\0' && (*at != '"' || *++at == '"'); at++) *name++ = *at;
        if (at[-1] != '"') kind = '?';
    } else if (isalnum((unsigned char)*at) || *at == '_' || (unsigned char)*at >= 0x80) {
        kind = 'n';
        for (; isalnum((unsigned char)*at) || *at == '_' || *at == '-' || (unsigned char)*at >= 0x80; at++) *name++ = *at;
    } else if (*at != '\0') {
        at++;
    }
    *name = '\0';
    *sql = at;
    return kind;
}

/* Parses `SELECT * FROM table` or `SELECT a, "b" FROM table`. `names` has room for the whole text, and so has `word`. Returns the number of
 * names, with a tab after each: the columns, if any, and the table; 0 for other SQL. */
static size_t parse_select(const char *sql, char *names, char *word) {
    size_t count = 0;
    if (next_token(&sql, word) != 'n' || !same_name(word, "SELECT")) return 0;
    for (;;) {
        int kind = next_token(&sql, word);
        if (kind == '*' && count == 0) {
            next_token(&sql, word);
            break;
        }
        if (kind != 'n' && kind != 'q') return 0;
        strcat(strcat(names, word), "\t");
        count++;
        if (next_token(&sql, word) != ',') break;
    }
    if (!same_name(word, "FROM")) return 0;
    int kind = next_token(&sql, word);
    if (kind != 'n' && kind != 'q') return 0;
    strcat(strcat(names, word), "\t");
    kind = next_token(&sql, word);
    if (kind == ';') kind = next_token(&sql, word);
    return kind == 0 ? count + 1 : 0;
}

/* Forgets the rows. The prepared SELECT stays. */
static void close_cursor(statement *s) {
    row_set_free(s->rows);
    s->rows = NULL;
    s->row = NULL;
    s->row_number = 0;
    parts_reset(&s->parts);
}

static SQLRETURN prepare(statement *s, const char *sql) {
    char *names = calloc(2, strlen(sql) + 2), *word = malloc(strlen(sql) + 1);
    size_t count = names != NULL && word != NULL ? parse_select(sql, names, word) : 0;
    free(word);
    free(s->table);
    free(s->columns);
    s->table = s->columns = NULL;
    close_cursor(s);
    if (count > 0) {
        names[strlen(names) - 1] = '\0'; /* the last tab */
        char *last = strrchr(names, '\t');
        s->table = copy_text(last != NULL ? last + 1 : names);
        if (last != NULL) {
            *last = '\0';
            s->columns = copy_text(names);
        }
    }
    free(names);
    return count > 0 ? SQL_SUCCESS : post(&s->base, "42000", "the SQL is not SELECT columns FROM table");
}

static SQLRETURN execute(statement *s) {
    if (s->table == NULL) return post(&s->base, "HY010", "no statement is prepared");
    close_cursor(s);
    return row_set_open_table(s, s->table, s->columns, &s->rows);
}

static SQLRETURN run_sql(SQLHSTMT pointer, const void *text, SQLINTEGER length, size_t unit, int at_once) {
    ENTER_STMT(s, pointer);
    char *sql = text_in(&s->base, text, length, unit);
    SQLRETURN result = sql != NULL ? prepare(s, sql) : SQL_ERROR;
    if (result == SQL_SUCCESS && at_once) result = execute(s);
    text_free(sql);
    return leave(&s->base, result);
}

SQLRETURN SQL_API SQLPrepare(SQLHSTMT s, SQLCHAR *text, SQLINTEGER length) { return run_sql(s, text, length, sizeof(SQLCHAR), 0); }

SQLRETURN SQL_API SQLPrepareW(SQLHSTMT s, SQLWCHAR *text, SQLINTEGER length) { return run_sql(s, text, length, sizeof(SQLWCHAR), 0); }

SQLRETURN SQL_API SQLExecDirect(SQLHSTMT s, SQLCHAR *text, SQLINTEGER length) { return run_sql(s, text, length, sizeof(SQLCHAR), 1); }

SQLRETURN SQL_API SQLExecDirectW(SQLHSTMT s, SQLWCHAR *text, SQLINTEGER length) { return run_sql(s, text, length, sizeof(SQLWCHAR), 1); }

SQLRETURN SQL_API SQLExecute(SQLHSTMT pointer) {
    ENTER_STMT(s, pointer);
    return leave(&s->base, execute(s));
}

SQLRETURN SQL_API SQLNumParams(SQLHSTMT pointer, SQLSMALLINT *count) {
    ENTER_STMT(s, pointer);
    if (count != NULL) *count = 0;
    return leave(&s->base, SQL_SUCCESS);
}

/* ---- columns */

SQLRETURN SQL_API SQLNumResultCols(SQLHSTMT pointer, SQLSMALLINT *count) {
    ENTER_STMT(s, pointer);
    if (count != NULL) *count = s->rows != NULL ? (SQLSMALLINT)s->rows->column_count : 0;
    return leave(&s->base, SQL_SUCCESS);
}

SQLRETURN SQL_API SQLRowCount(SQLHSTMT pointer, SQLLEN *count) {
    ENTER_STMT(s, pointer);
    if (count != NULL) *count = -1;
    return leave(&s->base, SQL_SUCCESS);
}

static const column *find_column(statement *s, SQLUSMALLINT number) {
    if (s->rows == NULL) post(&s->base, "07005", "there is no result set");
    else if (number < 1 || number > s->rows->column_count) post(&s->base, "07009", "there is no column %u", number);
    else return &s->rows->columns[number - 1];
    return NULL;
}

static SQLRETURN describe_column(SQLHSTMT pointer, SQLUSMALLINT number, target name, SQLSMALLINT *type, SQLULEN *size, SQLSMALLINT *digits,
                                 SQLSMALLINT *nullable) {
    ENTER_STMT(s, pointer);
    const column *c = find_column(s, number);
    if (c == NULL) return leave(&s->base, SQL_ERROR);
    if (type != NULL) *type = c->type;
    if (size != NULL) *size = c->size;
    if (digits != NULL) *digits = 0;
    if (nullable != NULL) *nullable = SQL_NULLABLE;
    return leave(&s->base, text_out(&s->base, c->name, name));
}

SQLRETURN SQL_API SQLDescribeCol(SQLHSTMT s, SQLUSMALLINT number, SQLCHAR *name, SQLSMALLINT capacity, SQLSMALLINT *length,
                                 SQLSMALLINT *type, SQLULEN *size, SQLSMALLINT *digits, SQLSMALLINT *nullable) {
    return describe_column(s, number, (target){name, capacity, sizeof(SQLCHAR), 0, length, NULL}, type, size, digits, nullable);
}

SQLRETURN SQL_API SQLDescribeColW(SQLHSTMT s, SQLUSMALLINT number, SQLWCHAR *name, SQLSMALLINT capacity, SQLSMALLINT *length,
                                  SQLSMALLINT *type, SQLULEN *size, SQLSMALLINT *digits, SQLSMALLINT *nullable) {
    return describe_column(s, number, (target){name, capacity, sizeof(SQLWCHAR), 0, length, NULL}, type, size, digits, nullable);
}

/* A numeric attribute of a column; SQL_ERROR for an unknown one. */
static SQLRETURN column_number(const column *c, SQLUSMALLINT field, SQLLEN *out) {
    const sql_type *type = find_sql_type(c->type);
    SQLLEN size = (SQLLEN)c->size;
    switch (field) {
    case SQL_DESC_TYPE:
    case SQL_DESC_CONCISE_TYPE: *out = c->type; break;
    case SQL_COLUMN_LENGTH:
    case SQL_DESC_LENGTH: *out = size; break;
    case SQL_COLUMN_PRECISION:
    case SQL_DESC_PRECISION: *out = size; break;
    case SQL_DESC_OCTET_LENGTH: *out = type->octet_length > 0 ? type->octet_length : size * 4; break;
    case SQL_DESC_DISPLAY_SIZE: *out = type->display_size > 0 ? type->display_size : size; break;
    case SQL_COLUMN_NULLABLE:
    case SQL_DESC_NULLABLE: *out = SQL_NULLABLE; break;
    case SQL_DESC_SEARCHABLE: *out = SQL_PRED_NONE; break;
    case SQL_DESC_UNSIGNED: *out = type->is_signed ? SQL_FALSE : SQL_TRUE; break;
    case SQL_DESC_CASE_SENSITIVE: *out = type->is_text ? SQL_TRUE : SQL_FALSE; break;
    case SQL_DESC_NUM_PREC_RADIX: *out = type->is_text ? 0 : 10; break;
    case SQL_DESC_UPDATABLE: *out = SQL_ATTR_READONLY; break;
    case SQL_DESC_UNNAMED: *out = SQL_NAMED; break;
    case SQL_COLUMN_SCALE:
    case SQL_DESC_SCALE:
    case SQL_DESC_AUTO_UNIQUE_VALUE:
    case SQL_DESC_FIXED_PREC_SCALE: *out = 0; break;
    default: return SQL_ERROR;
    }
    return SQL_SUCCESS;
}

static const char *column_text(const statement *s, const column *c, SQLUSMALLINT field) {
    switch (field) {
    case SQL_COLUMN_NAME:
    case SQL_DESC_NAME:
    case SQL_DESC_LABEL:
    case SQL_DESC_BASE_COLUMN_NAME: return c->name;
    case SQL_DESC_TABLE_NAME:
    case SQL_DESC_BASE_TABLE_NAME: return s->table != NULL ? s->table : "";
    case SQL_DESC_TYPE_NAME: return find_sql_type(c->type)->name;
    case SQL_DESC_LITERAL_PREFIX:
    case SQL_DESC_LITERAL_SUFFIX: return find_sql_type(c->type)->is_text ? "'" : "";
    case SQL_DESC_LOCAL_TYPE_NAME:
    case SQL_DESC_CATALOG_NAME:
    case SQL_DESC_SCHEMA_NAME: return "";
    default: return NULL;
    }
}

static SQLRETURN column_attribute(SQLHSTMT pointer, SQLUSMALLINT number, SQLUSMALLINT field, target text, SQLLEN *value) {
    ENTER_STMT(s, pointer);
    SQLLEN ignored;
    if (value == NULL) value = &ignored;
    if (field == SQL_COLUMN_COUNT || field == SQL_DESC_COUNT) {
        *value = s->rows != NULL ? (SQLLEN)s->rows->column_count : 0;
        return leave(&s->base, SQL_SUCCESS);
    }
    const column *c = find_column(s, number);
    if (c == NULL) return leave(&s->base, SQL_ERROR);
    const char *found = column_text(s, c, field);
    if (found != NULL) return leave(&s->base, text_out(&s->base, found, text));
    if (column_number(c, field, value) == SQL_SUCCESS) return leave(&s->base, SQL_SUCCESS);
    return leave(&s->base, post(&s->base, "HY091", "unknown column attribute %u", field));
}

SQLRETURN SQL_API SQLColAttribute(SQLHSTMT s, SQLUSMALLINT number, SQLUSMALLINT field, SQLPOINTER text, SQLSMALLINT capacity,
                                  SQLSMALLINT *length, SQLLEN *value) {
    return column_attribute(s, number, field, (target){text, capacity, sizeof(SQLCHAR), 1, length, NULL}, value);
}

SQLRETURN SQL_API SQLColAttributeW(SQLHSTMT s, SQLUSMALLINT number, SQLUSMALLINT field, SQLPOINTER text, SQLSMALLINT capacity,
                                   SQLSMALLINT *length, SQLLEN *value) {
    return column_attribute(s, number, field, (target){text, capacity, sizeof(SQLWCHAR), 1, length, NULL}, value);
}

/* ---- rows */

SQLRETURN SQL_API SQLBindCol(SQLHSTMT pointer, SQLUSMALLINT number, SQLSMALLINT c_type, SQLPOINTER buffer, SQLLEN capacity,
                             SQLLEN *indicator) {
    ENTER_STMT(s, pointer);
    if (number == 0) return leave(&s->base, post(&s->base, "07009", "there are no bookmarks"));
    if (number > s->binding_count) {
        binding *longer = realloc(s->bindings, number * sizeof *longer);
        if (longer == NULL) return leave(&s->base, post(&s->base, "HY001", "out of memory"));
        memset(longer + s->binding_count, 0, (number - s->binding_count) * sizeof *longer);
        s->bindings = longer;
        s->binding_count = number;
    }
    s->bindings[number - 1] = (binding){c_type, buffer, capacity, indicator};
    return leave(&s->base, SQL_SUCCESS);
}

static SQLRETURN fill_bindings(statement *s) {
    SQLRETURN worst = SQL_SUCCESS;
    for (size_t i = 0; i < s->binding_count && i < s->rows->column_count; i++) {
        const binding *to = &s->bindings[i];
        const column *c = &s->rows->columns[i];
        if (to->buffer == NULL && to->indicator == NULL) continue;
        SQLRETURN result = convert(s, json_object_get(s->row, c->name), c->type, to, NULL);
        if (result == SQL_ERROR) return SQL_ERROR;
        if (result == SQL_SUCCESS_WITH_INFO) worst = result;
    }
    return worst;
}

static SQLRETURN fetch_row(statement *s) {
    if (s->rows == NULL) return post(&s->base, "24000", "there is no result set");
    parts_reset(&s->parts);
    s->row = NULL;
    SQLRETURN result = s->max_rows > 0 && s->row_number >= s->max_rows ? SQL_NO_DATA : row_set_next(s, s->rows, &s->row);
    if (result == SQL_SUCCESS) {
        s->row_number++;
        result = fill_bindings(s);
    }
    if (s->rows_fetched != NULL) *s->rows_fetched = s->row != NULL;
    if (s->row_status != NULL) *s->row_status = s->row == NULL ? SQL_ROW_NOROW : result == SQL_ERROR ? SQL_ROW_ERROR : SQL_ROW_SUCCESS;
    return result;
}

SQLRETURN SQL_API SQLFetch(SQLHSTMT pointer) {
    ENTER_STMT(s, pointer);
    return leave(&s->base, fetch_row(s));
}

SQLRETURN SQL_API SQLFetchScroll(SQLHSTMT pointer, SQLSMALLINT direction, SQLLEN offset) {
    (void)offset;
    ENTER_STMT(s, pointer);
    return leave(&s->base, direction == SQL_FETCH_NEXT ? fetch_row(s) : post(&s->base, "HY106", "rows can only be read forward"));
}

SQLRETURN SQL_API SQLGetData(SQLHSTMT pointer, SQLUSMALLINT number, SQLSMALLINT c_type, SQLPOINTER buffer, SQLLEN capacity,
                             SQLLEN *indicator) {
    ENTER_STMT(s, pointer);
    const column *c = find_column(s, number);
    if (c == NULL) return leave(&s->base, SQL_ERROR);
    if (s->row == NULL) return leave(&s->base, post(&s->base, "24000", "there is no current row"));
    if (c_type == SQL_C_DEFAULT) c_type = find_sql_type(c->type)->c_type;
    if (s->parts.column != number || s->parts.c_type != c_type) parts_reset(&s->parts);
    s->parts.column = number;
    binding to = {c_type, buffer, capacity, indicator};
    return leave(&s->base, convert(s, json_object_get(s->row, c->name), c->type, &to, &s->parts));
}

SQLRETURN SQL_API SQLMoreResults(SQLHSTMT pointer) {
    ENTER_STMT(s, pointer);
    close_cursor(s);
    return leave(&s->base, SQL_NO_DATA);
}

SQLRETURN SQL_API SQLCloseCursor(SQLHSTMT pointer) {
    ENTER_STMT(s, pointer);
    if (s->rows == NULL) return leave(&s->base, post(&s->base, "24000", "no cursor is open"));
    close_cursor(s);
    return leave(&s->base, SQL_SUCCESS);
}
