/* Text of the application: SQLCHAR, which is UTF-8 here, and SQLWCHAR, which is UTF-16 (unixODBC) or UTF-32 (iODBC). */
#include "driver.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *text_in(handle *h, const void *text, SQLLEN length, size_t unit) {
    authgrant_error *error = NULL;
    char *utf8 = NULL, *copy = NULL;
    if (text == NULL) return copy_text("");
    if (unit == sizeof(SQLCHAR)) {
        if (length < 0 && length != SQL_NTS) {
            post(h, "HY090", "the length %ld of the text is invalid", (long)length);
            return NULL;
        }
        copy = length == SQL_NTS ? copy_text(text) : strndup(text, (size_t)length);
        if (copy == NULL) post(h, "HY001", "out of memory");
        return copy;
    }
    if (authgrant_from_wide(text, length, unit, &utf8, &error) == AUTHGRANT_OK) copy = copy_text(utf8);
    else post_native(h, authgrant_error_sqlstate(error), authgrant_error_status(error), authgrant_error_message(error));
    authgrant_string_free(utf8);
    authgrant_error_free(error);
    return copy;
}

void text_free(char *text) {
    /* Connection strings contain secrets. A compiler does not omit writes to volatile memory. */
    for (volatile char *at = text; at != NULL && *at != '\0'; at++) *at = '\0';
    free(text);
}

/* Copies the characters that fit, none partially, and a NUL. Returns the length without the NUL. */
static size_t copy_utf8(const char *text, char *buffer, size_t capacity) {
    size_t length = strlen(text);
    if (buffer == NULL || capacity == 0) return length;
    size_t count = length < capacity ? length : capacity - 1;
    /* A byte 10xxxxxx continues a character. */
    while (count < length && count > 0 && ((unsigned char)text[count] & 0xC0) == 0x80) count--;
    memcpy(buffer, text, count);
    buffer[count] = '\0';
    return length;
}

SQLRETURN text_out_silently(const char *text, target to) {
    size_t size_of_length = to.in_bytes ? to.unit : 1;
    size_t capacity = to.buffer == NULL || to.capacity < 0 ? 0 : (size_t)to.capacity / size_of_length;
    size_t length = 0;
    if (to.unit == sizeof(SQLCHAR)) {
        length = copy_utf8(text, to.buffer, capacity);
    } else {
        authgrant_to_wide(text, capacity > 0 ? to.buffer : NULL, capacity, to.unit, &length, NULL);
        if (length > 0) length--; /* without the NUL */
    }
    if (to.length != NULL) *to.length = (SQLSMALLINT)(length * size_of_length);
    if (to.long_length != NULL) *to.long_length = (SQLINTEGER)(length * size_of_length);
    return to.buffer != NULL && length >= capacity ? SQL_SUCCESS_WITH_INFO : SQL_SUCCESS;
}

SQLRETURN text_out(handle *h, const char *text, target to) {
    SQLRETURN result = text_out_silently(text, to);
    if (result == SQL_SUCCESS_WITH_INFO) post(h, "01004", "the text is truncated: the buffer is too small");
    return result;
}

int same_name(const char *a, const char *b) { return strcasecmp(a, b) == 0; }

char *copy_text(const char *text) { return format_text("%s", text); }

char *format_text(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text == NULL) return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
