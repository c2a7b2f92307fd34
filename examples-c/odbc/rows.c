/* Rows: pages of JSON from an endpoint, or what a catalog function made. */
#include "driver.h"
#include <stdlib.h>
#include <string.h>

/* Of text columns, if further pages follow. */
enum { MIN_TEXT_SIZE = 255 };

const sql_type known_types[] = {
    {SQL_WVARCHAR, "VARCHAR", SQL_C_WCHAR, 0, 0, 0, 1, 0},
    {SQL_VARCHAR, "ASCII", SQL_C_CHAR, 0, 0, 0, 1, 0},
    {SQL_BIGINT, "BIGINT", SQL_C_SBIGINT, 19, sizeof(SQLBIGINT), 20, 0, 1},
    {SQL_INTEGER, "INTEGER", SQL_C_SLONG, 10, sizeof(SQLINTEGER), 11, 0, 1},
    {SQL_SMALLINT, "SMALLINT", SQL_C_SSHORT, 5, sizeof(SQLSMALLINT), 6, 0, 1},
    {SQL_DOUBLE, "DOUBLE", SQL_C_DOUBLE, 15, sizeof(SQLDOUBLE), 24, 0, 1},
    {SQL_BIT, "BOOLEAN", SQL_C_BIT, 1, 1, 1, 0, 0},
};
const size_t known_type_count = sizeof known_types / sizeof known_types[0];

const sql_type *find_sql_type(SQLSMALLINT type) {
    for (size_t i = 0; i < known_type_count; i++) {
        if (known_types[i].type == type) return &known_types[i];
    }
    return &known_types[0];
}

/* Numbers have the precision of a double, 15 digits. */
char *json_text(const json_t *value) {
    if (json_is_string(value)) return copy_text(json_string_value(value));
    if (json_is_boolean(value)) return copy_text(json_is_true(value) ? "1" : "0");
    return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
}

/* Units of the text in UTF-16: a byte that does not continue a character begins one, and those of four bytes have two units. */
static size_t count_units(const char *text) {
    size_t count = 0;
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xC0) != 0x80) count++;
        if ((unsigned char)*text >= 0xF0) count++;
    }
    return count;
}

/* The type of a column is the one that fits all of its values in the first page; null fits every type. */
static SQLSMALLINT join_types(SQLSMALLINT known, const json_t *value) {
    SQLSMALLINT type = SQL_WVARCHAR;
    if (json_is_null(value)) return known;
    if (json_is_boolean(value)) type = SQL_BIT;
    if (json_is_integer(value)) type = SQL_BIGINT;
    if (json_is_real(value)) type = SQL_DOUBLE;
    if (known == SQL_UNKNOWN_TYPE || known == type) return type;
    int are_numbers = (known == SQL_BIGINT || known == SQL_DOUBLE) && (type == SQL_BIGINT || type == SQL_DOUBLE);
    return are_numbers ? SQL_DOUBLE : SQL_WVARCHAR;
}

/* Sets the size of a column by its type, or by the longest text in the rows at hand. */
static void set_size(column *c, const json_t *rows, SQLULEN min_size) {
    const sql_type *type = find_sql_type(c->type);
    size_t index;
    json_t *row;
    c->size = type->is_text ? min_size : type->size;
    if (!type->is_text) return;
    json_array_foreach(rows, index, row) {
        const json_t *value = json_object_get(row, c->name);
        char *text = value == NULL || json_is_null(value) ? NULL : json_text(value);
        size_t length = text != NULL ? count_units(text) : 0;
        free(text);
        if (length > c->size) c->size = length;
    }
}

static void set_type(column *c, const json_t *rows) {
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row) {
        const json_t *value = json_object_get(row, c->name);
        if (value != NULL) c->type = join_types(c->type, value);
    }
    if (c->type == SQL_UNKNOWN_TYPE) c->type = SQL_WVARCHAR;
}

static int add_column(row_set *r, const char *name, size_t length) {
    for (size_t i = 0; i < r->column_count; i++) {
        if (strlen(r->columns[i].name) == length && strncmp(r->columns[i].name, name, length) == 0) return 0;
    }
    column *longer = realloc(r->columns, (r->column_count + 1) * sizeof *longer);
    if (longer == NULL) return -1;
    r->columns = longer;
    longer[r->column_count] = (column){strndup(name, length), SQL_UNKNOWN_TYPE, 0};
    if (longer[r->column_count].name == NULL) return -1;
    r->column_count++;
    return 0;
}

/* All members of the rows, in the order in which they appear. */
static int add_all_columns(row_set *r) {
    size_t index;
    json_t *row, *value;
    const char *name;
    json_array_foreach(r->rows, index, row) {
        json_object_foreach(row, name, value) {
            if (add_column(r, name, strlen(name)) != 0) return -1;
        }
    }
    return 0;
}

/* The names of a list that is separated by tabs. */
static int add_listed_columns(row_set *r, const char *list) {
    for (const char *name = list; *name != '\0';) {
        size_t length = strcspn(name, "\t");
        if (add_column(r, name, length) != 0) return -1;
        name += length + (name[length] != '\0');
    }
    return 0;
}

/* Reads the page at r->offset. A page that is not full is the last one. */
static SQLRETURN read_page(statement *s, row_set *r) {
    long page_size = s->dbc->page_size;
    char *url = page_size > 0 ? format_text("%s?limit=%ld&offset=%zu", r->url, page_size, r->offset) : copy_text(r->url);
    json_t *rows = NULL;
    SQLRETURN result = url != NULL ? rest_get(s, url, &rows) : post(&s->base, "HY001", "out of memory");
    free(url);
    if (result != SQL_SUCCESS) return result;
    json_decref(r->rows);
    r->rows = rows;
    r->next_row = 0;
    if (page_size <= 0 || json_array_size(rows) < (size_t)page_size) {
        free(r->url);
        r->url = NULL;
    }
    return SQL_SUCCESS;
}

static SQLRETURN open_columns(statement *s, row_set *r, const char *columns) {
    int failed = columns != NULL ? add_listed_columns(r, columns) : add_all_columns(r);
    if (failed) return post(&s->base, "HY001", "out of memory");
    if (r->column_count == 0) return post(&s->base, "HY000", "the columns follow from the rows, and there are no rows");
    for (size_t i = 0; i < r->column_count; i++) {
        set_type(&r->columns[i], r->rows);
        set_size(&r->columns[i], r->rows, r->url != NULL ? MIN_TEXT_SIZE : 1);
    }
    return SQL_SUCCESS;
}

SQLRETURN row_set_open_table(statement *s, const char *table, const char *columns, row_set **out) {
    row_set *r = calloc(1, sizeof *r);
    char *escaped = curl_easy_escape(s->curl, table, 0);
    if (r != NULL && escaped != NULL) r->url = format_text("%s/%s", s->dbc->rest_url, escaped);
    curl_free(escaped);
    SQLRETURN result = r != NULL && r->url != NULL ? read_page(s, r) : post(&s->base, "HY001", "out of memory");
    if (result == SQL_SUCCESS) result = open_columns(s, r, columns);
    if (result == SQL_SUCCESS) *out = r;
    else row_set_free(r);
    return result;
}

row_set *row_set_of_rows(const catalog_column *columns, size_t count, json_t *rows) {
    row_set *r = calloc(1, sizeof *r);
    if (r == NULL) {
        json_decref(rows);
        return NULL;
    }
    r->rows = rows;
    for (size_t i = 0; i < count; i++) {
        if (add_column(r, columns[i].name, strlen(columns[i].name)) != 0) {
            row_set_free(r);
            return NULL;
        }
        r->columns[i].type = columns[i].type;
        set_size(&r->columns[i], rows, 1);
    }
    return r;
}

SQLRETURN row_set_next(statement *s, row_set *r, json_t **row) {
    while (r->next_row >= json_array_size(r->rows)) {
        if (r->url == NULL) return SQL_NO_DATA;
        r->offset += json_array_size(r->rows);
        SQLRETURN result = read_page(s, r);
        if (result != SQL_SUCCESS) return result;
    }
    *row = json_array_get(r->rows, r->next_row++);
    return SQL_SUCCESS;
}

void row_set_free(row_set *r) {
    if (r == NULL) return;
    for (size_t i = 0; i < r->column_count; i++) free(r->columns[i].name);
    free(r->columns);
    json_decref(r->rows);
    free(r->url);
    free(r);
}
