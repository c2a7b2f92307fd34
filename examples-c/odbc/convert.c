/* Converts JSON values to C types of ODBC. */
#include "driver.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void parts_reset(parts *p) {
    free(p->bytes);
    memset(p, 0, sizeof *p);
}

static SQLRETURN put_length(statement *s, const binding *to, SQLLEN length) {
    if (to->indicator != NULL) *to->indicator = length;
    else if (length == SQL_NULL_DATA) return post(&s->base, "22002", "the value is NULL, and there is no indicator for it");
    return SQL_SUCCESS;
}

/* ---- text */

static size_t unit_of(SQLSMALLINT c_type) { return c_type == SQL_C_WCHAR ? sizeof(SQLWCHAR) : sizeof(SQLCHAR); }

/* The whole text in the encoding of the application, from which parts are copied. */
static SQLRETURN begin_text(statement *s, const json_t *value, SQLSMALLINT c_type, parts *rest) {
    size_t unit = unit_of(c_type), units = 0;
    char *text = json_text(value);
    if (text != NULL) {
        units = c_type == SQL_C_WCHAR ? 0 : strlen(text) + 1;
        if (c_type == SQL_C_WCHAR) authgrant_to_wide(text, NULL, 0, unit, &units, NULL);
        rest->bytes = malloc(units * unit);
    }
    if (rest->bytes == NULL) {
        free(text);
        return post(&s->base, "HY001", "out of memory");
    }
    if (c_type == SQL_C_WCHAR) authgrant_to_wide(text, rest->bytes, units, unit, &units, NULL);
    else memcpy(rest->bytes, text, units);
    free(text);
    rest->length = (units - 1) * unit;
    rest->offset = 0;
    rest->c_type = c_type;
    return SQL_SUCCESS;
}

/* Copies what fits. The length is that of the rest, including what is copied now. Bytes (SQL_C_BINARY) have no NUL. */
static SQLRETURN put_text(statement *s, const binding *to, parts *rest) {
    size_t unit = unit_of(rest->c_type), nul = rest->c_type == SQL_C_BINARY ? 0 : unit;
    size_t left = rest->length - rest->offset;
    size_t capacity = to->buffer == NULL || to->capacity < (SQLLEN)nul ? 0 : (size_t)to->capacity - nul;
    size_t count = left < capacity ? left : capacity / unit * unit;
    SQLRETURN result = put_length(s, to, (SQLLEN)left);
    if (to->buffer != NULL && to->capacity >= (SQLLEN)nul) {
        memcpy(to->buffer, rest->bytes + rest->offset, count);
        memset((char *)to->buffer + count, 0, nul);
    }
    rest->offset += count;
    if (result == SQL_SUCCESS && count < left) {
        post(&s->base, "01004", "the value is truncated: the buffer is too small");
        return SQL_SUCCESS_WITH_INFO;
    }
    return result;
}

/* ---- numbers */

typedef struct number {
    int is_integer;
    SQLBIGINT integer;
    double real;
} number;

static SQLRETURN to_number(statement *s, const json_t *value, number *out) {
    char *end = NULL;
    *out = (number){1, 0, 0};
    if (json_is_boolean(value)) out->integer = json_is_true(value);
    if (json_is_integer(value)) out->integer = json_integer_value(value);
    if (json_is_real(value)) *out = (number){0, 0, json_real_value(value)};
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        errno = 0;
        out->integer = strtoll(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0') *out = (number){0, 0, strtod(text, &end)};
        if (end == text || *end != '\0') return post(&s->base, "22018", "the text is no number");
    } else if (!json_is_number(value) && !json_is_boolean(value)) {
        return post(&s->base, "07006", "the value is no number");
    }
    if (out->is_integer) out->real = (double)out->integer;
    return SQL_SUCCESS;
}

/* Checks the range of an integer type. What a real has after the decimal point is dropped, with a warning. */
static SQLRETURN to_integer(statement *s, const json_t *value, double low, double high, SQLBIGINT *out) {
    number n;
    if (to_number(s, value, &n) != SQL_SUCCESS) return SQL_ERROR;
    if (!(n.real >= low && n.real <= high)) return post(&s->base, "22003", "the number is out of range");
    *out = n.is_integer ? n.integer : (SQLBIGINT)n.real;
    if (n.is_integer || n.real == trunc(n.real)) return SQL_SUCCESS;
    post(&s->base, "01S07", "the fraction of the number is dropped");
    return SQL_SUCCESS_WITH_INFO;
}

#define PUT_INTEGER(type, low, high)                                   \
    do {                                                               \
        SQLRETURN result_ = to_integer(s, value, (low), (high), &n);   \
        if (!SQL_SUCCEEDED(result_)) return result_;                   \
        if (to->buffer != NULL) *(type *)to->buffer = (type)n;         \
        put_length(s, to, sizeof(type));                               \
        return result_;                                                \
    } while (0)

static SQLRETURN put_number(statement *s, const json_t *value, SQLSMALLINT c_type, const binding *to) {
    SQLBIGINT n = 0;
    number real;
    switch (c_type) {
    case SQL_C_BIT: PUT_INTEGER(unsigned char, 0, 1);
    case SQL_C_TINYINT:
    case SQL_C_STINYINT: PUT_INTEGER(signed char, -128, 127);
    case SQL_C_UTINYINT: PUT_INTEGER(unsigned char, 0, 255);
    case SQL_C_SHORT:
    case SQL_C_SSHORT: PUT_INTEGER(SQLSMALLINT, -32768, 32767);
    case SQL_C_USHORT: PUT_INTEGER(SQLUSMALLINT, 0, 65535);
    case SQL_C_LONG:
    case SQL_C_SLONG: PUT_INTEGER(SQLINTEGER, -2147483648.0, 2147483647.0);
    case SQL_C_ULONG: PUT_INTEGER(SQLUINTEGER, 0, 4294967295.0);
    /* The doubles next to the limits of 64 bits. */
    case SQL_C_SBIGINT: PUT_INTEGER(SQLBIGINT, -9223372036854775808.0, 9223372036854774784.0);
    case SQL_C_UBIGINT: PUT_INTEGER(SQLUBIGINT, 0, 9223372036854774784.0);
    case SQL_C_DOUBLE:
    case SQL_C_FLOAT: break;
    default: return post(&s->base, "07006", "C type %d is not supported", c_type);
    }
    if (to_number(s, value, &real) != SQL_SUCCESS) return SQL_ERROR;
    if (to->buffer != NULL && c_type == SQL_C_DOUBLE) *(SQLDOUBLE *)to->buffer = real.real;
    if (to->buffer != NULL && c_type == SQL_C_FLOAT) *(SQLREAL *)to->buffer = (SQLREAL)real.real;
    return put_length(s, to, c_type == SQL_C_DOUBLE ? sizeof(SQLDOUBLE) : sizeof(SQLREAL));
}

/* ---- all */

/* `rest` has the column for SQLGetData, which returns text in parts until there is no more data; NULL for a bound column. */
SQLRETURN convert(statement *s, const json_t *value, SQLSMALLINT type, const binding *to, parts *rest) {
    SQLSMALLINT c_type = to->c_type == SQL_C_DEFAULT ? find_sql_type(type)->c_type : to->c_type;
    int continues = rest != NULL && rest->bytes != NULL && rest->c_type == c_type;
    if (continues && rest->offset == rest->length) return SQL_NO_DATA;
    if (value == NULL || json_is_null(value)) return put_length(s, to, SQL_NULL_DATA);
    if (c_type != SQL_C_CHAR && c_type != SQL_C_WCHAR && c_type != SQL_C_BINARY) return put_number(s, value, c_type, to);
    parts whole = {0};
    parts *from = rest != NULL ? rest : &whole;
    SQLRETURN result = continues ? SQL_SUCCESS : begin_text(s, value, c_type, from);
    if (result == SQL_SUCCESS) result = put_text(s, to, from);
    parts_reset(&whole);
    return result;
}
