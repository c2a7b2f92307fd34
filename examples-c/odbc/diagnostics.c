/* Diagnostic records: what SQLGetDiagRec and SQLGetDiagField return. */
#include "driver.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void forget_diagnostics(handle *h) {
    while (h->records != NULL) {
        diagnostic *next = h->records->next;
        free(h->records->message);
        free(h->records);
        h->records = next;
    }
}

SQLRETURN post_native(handle *h, const char *state, SQLINTEGER native, const char *message) {
    diagnostic *record = calloc(1, sizeof *record);
    if (record == NULL) return SQL_ERROR;
    snprintf(record->state, sizeof record->state, "%s", state);
    record->native = native;
    record->message = copy_text(message);
    diagnostic **end = &h->records;
    while (*end != NULL) end = &(*end)->next;
    *end = record;
    return SQL_ERROR;
}

SQLRETURN post(handle *h, const char *state, const char *format, ...) {
    char message[1024] = "[authgrant][rest driver] ";
    size_t prefix = strlen(message);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message + prefix, sizeof message - prefix, format, arguments);
    va_end(arguments);
    return post_native(h, state, 0, message);
}

/* Locks a handle of this kind without forgetting its diagnostics. */
static handle *enter_quietly(SQLSMALLINT kind, SQLHANDLE pointer) {
    handle *h = pointer;
    if (h == NULL || h->kind != kind) return NULL;
    pthread_mutex_lock(&h->lock);
    return h;
}

static SQLRETURN leave_quietly(handle *h, SQLRETURN result) {
    pthread_mutex_unlock(&h->lock);
    return result;
}

static const diagnostic *find_record(const handle *h, SQLSMALLINT number) {
    const diagnostic *record = h->records;
    for (SQLSMALLINT i = 1; record != NULL && i < number; i++) record = record->next;
    return record;
}

static const char *message_of(const diagnostic *record) { return record->message != NULL ? record->message : ""; }

static SQLRETURN get_record(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, void *state, SQLINTEGER *native, target text) {
    if (number < 1 || text.capacity < 0) return SQL_ERROR;
    handle *h = enter_quietly(kind, pointer);
    if (h == NULL) return SQL_INVALID_HANDLE;
    const diagnostic *record = find_record(h, number);
    if (record == NULL) return leave_quietly(h, SQL_NO_DATA);
    if (native != NULL) *native = record->native;
    if (state != NULL) text_out_silently(record->state, (target){state, 6, text.unit, 0, NULL, NULL});
    return leave_quietly(h, text_out_silently(message_of(record), text));
}

SQLRETURN SQL_API SQLGetDiagRec(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, SQLCHAR *state, SQLINTEGER *native, SQLCHAR *text,
                                SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_record(kind, pointer, number, state, native, (target){text, capacity, sizeof(SQLCHAR), 0, length, NULL});
}

SQLRETURN SQL_API SQLGetDiagRecW(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, SQLWCHAR *state, SQLINTEGER *native,
                                 SQLWCHAR *text, SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_record(kind, pointer, number, state, native, (target){text, capacity, sizeof(SQLWCHAR), 0, length, NULL});
}

static SQLINTEGER count_records(const handle *h) {
    SQLINTEGER count = 0;
    for (const diagnostic *record = h->records; record != NULL; record = record->next) count++;
    return count;
}

/* Fields of the handle. */
static SQLRETURN get_header_field(const handle *h, SQLSMALLINT field, void *value, target text) {
    switch (field) {
    case SQL_DIAG_NUMBER: *(SQLINTEGER *)value = count_records(h); return SQL_SUCCESS;
    case SQL_DIAG_RETURNCODE: *(SQLRETURN *)value = h->result; return SQL_SUCCESS;
    case SQL_DIAG_CURSOR_ROW_COUNT:
    case SQL_DIAG_ROW_COUNT: *(SQLLEN *)value = -1; return SQL_SUCCESS;
    case SQL_DIAG_DYNAMIC_FUNCTION_CODE: *(SQLINTEGER *)value = SQL_DIAG_UNKNOWN_STATEMENT; return SQL_SUCCESS;
    case SQL_DIAG_DYNAMIC_FUNCTION: return text_out_silently("", text);
    default: return SQL_ERROR;
    }
}

static SQLRETURN get_record_field(const diagnostic *record, SQLSMALLINT field, void *value, target text) {
    int is_odbc = strncmp(record->state, "IM", 2) == 0 || strncmp(record->state, "HY", 2) == 0;
    switch (field) {
    case SQL_DIAG_SQLSTATE: return text_out_silently(record->state, text);
    case SQL_DIAG_MESSAGE_TEXT: return text_out_silently(message_of(record), text);
    case SQL_DIAG_CLASS_ORIGIN:
    case SQL_DIAG_SUBCLASS_ORIGIN: return text_out_silently(is_odbc ? "ODBC 3.0" : "ISO 9075", text);
    case SQL_DIAG_CONNECTION_NAME:
    case SQL_DIAG_SERVER_NAME: return text_out_silently("", text);
    case SQL_DIAG_NATIVE: *(SQLINTEGER *)value = record->native; return SQL_SUCCESS;
    case SQL_DIAG_ROW_NUMBER: *(SQLLEN *)value = SQL_ROW_NUMBER_UNKNOWN; return SQL_SUCCESS;
    case SQL_DIAG_COLUMN_NUMBER: *(SQLINTEGER *)value = SQL_COLUMN_NUMBER_UNKNOWN; return SQL_SUCCESS;
    default: return SQL_ERROR;
    }
}

static SQLRETURN get_field(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, SQLSMALLINT field, target text) {
    if (number < 0 || text.buffer == NULL) return SQL_ERROR;
    handle *h = enter_quietly(kind, pointer);
    if (h == NULL) return SQL_INVALID_HANDLE;
    SQLRETURN result = get_header_field(h, field, text.buffer, text);
    if (result == SQL_ERROR && number > 0) {
        const diagnostic *record = find_record(h, number);
        result = record == NULL ? SQL_NO_DATA : get_record_field(record, field, text.buffer, text);
    }
    return leave_quietly(h, result);
}

SQLRETURN SQL_API SQLGetDiagField(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, SQLSMALLINT field, SQLPOINTER value,
                                  SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_field(kind, pointer, number, field, (target){value, capacity, sizeof(SQLCHAR), 1, length, NULL});
}

SQLRETURN SQL_API SQLGetDiagFieldW(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT number, SQLSMALLINT field, SQLPOINTER value,
                                   SQLSMALLINT capacity, SQLSMALLINT *length) {
    return get_field(kind, pointer, number, field, (target){value, capacity, sizeof(SQLWCHAR), 1, length, NULL});
}
