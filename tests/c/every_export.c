/* Usage: every_export 'CONNECTION STRING'. Calls every function of the header with valid arguments, with NULL for each pointer,
   and with sizes around the required one. The connection string must yield a token and set AuthHeader. */
#include "authgrant.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

static const char *connection_string;

/* Initial value of out-parameters: a call must overwrite it without reading it. */
#define POISONED(type) ((type *)(uintptr_t)0xdead)

static int strings_equal(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

/* Checks that the error of a failed call is complete and has this status. Frees it. */
static int is_expected_error(authgrant_error *error, authgrant_status status) {
    int ok = error != NULL && error != POISONED(authgrant_error) && authgrant_error_status(error) == status &&
                strlen(authgrant_error_sqlstate(error)) == 5 && strcmp(authgrant_error_sqlstate(error), "00000") != 0 &&
                strncmp(authgrant_error_message(error), "[authgrant][", 12) == 0;
    if (!ok && error != NULL && error != POISONED(authgrant_error)) {
        fprintf(stderr, "  %s: %s\n", authgrant_status_name(authgrant_error_status(error)), authgrant_error_message(error));
    }
    authgrant_error_free(error == POISONED(authgrant_error) ? NULL : error);
    return ok;
}

/* `call` must contain `&error`, return `status` and write an error. */
#define FAILS(call, status)                            \
    do {                                               \
        authgrant_error *error = POISONED(authgrant_error); \
        CHECK((call) == (status));                     \
        CHECK(is_expected_error(error, (status)));     \
    } while (0)

/* `call` must contain `&error`, succeed and overwrite the error with NULL. */
#define WORKS(call)                                                                             \
    do {                                                                                        \
        authgrant_error *error = POISONED(authgrant_error);                                          \
        CHECK((call) == AUTHGRANT_OK);                                                          \
        CHECK(error == NULL);                                                                   \
        if (error != NULL && error != POISONED(authgrant_error)) {                                   \
            fprintf(stderr, "  %s\n", authgrant_error_message(error));                          \
            authgrant_error_free(error);                                                        \
        }                                                                                       \
    } while (0)

static authgrant_connection *open_connection(void) {
    authgrant_connection *connection = POISONED(authgrant_connection);
    WORKS(authgrant_open(connection_string, &connection, &error));
    if (connection == NULL || connection == POISONED(authgrant_connection)) exit(checks_done("every_export"));
    return connection;
}

static void check_connectionless_functions(void) {
    unsigned major = 0, minor = 0, patch = 0;
    char *quoted = POISONED(char);

    CHECK(sscanf(authgrant_version(), "%u.%u.%u", &major, &minor, &patch) == 3);
    CHECK(major * 10000 + minor * 100 + patch == AUTHGRANT_VERSION_NUMBER);
    CHECK(strings_equal(authgrant_status_name(AUTHGRANT_OK), "AUTHGRANT_OK"));
    CHECK(strings_equal(authgrant_status_name(AUTHGRANT_NOT_CACHED), "AUTHGRANT_NOT_CACHED"));
    (void)authgrant_status_name(-1); /* must not crash; the result is unspecified */
    (void)authgrant_status_name(INT32_MAX);
    CHECK(strstr(authgrant_option_table(), "\"ClaimsIssuer\"") != NULL);
    CHECK(authgrant_option_table() == authgrant_option_table());

    WORKS(authgrant_quote_value("a;b}'\"", &quoted, &error));
    CHECK(quoted != NULL && strlen(quoted) > 6);
    authgrant_string_free(quoted);
    quoted = POISONED(char);
    FAILS(authgrant_quote_value(NULL, &quoted, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(quoted == NULL);
    quoted = POISONED(char);
    FAILS(authgrant_quote_value("\xff", &quoted, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(quoted == NULL);
    FAILS(authgrant_quote_value("a", NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_quote_value(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_string_free(NULL);
}

/* "a", a character outside the BMP, "b": 4 units of UTF-16 or 3 of UTF-32, and NUL. */
static void check_wide_text(void) {
    static const char text[] = "a\xf0\x9f\x98\x80" "b";
    static const uint16_t utf16[] = {'a', 0xd83d, 0xde00, 'b', 0};
    static const uint32_t utf32[] = {'a', 0x1f600, 'b', 0};
    uint16_t small[8];
    uint32_t large[8];
    size_t needed = 99;
    char *utf8 = POISONED(char);

    WORKS(authgrant_to_wide(text, NULL, 0, 2, &needed, &error));
    CHECK(needed == 5);
    WORKS(authgrant_to_wide(text, NULL, 0, 4, &needed, &error));
    CHECK(needed == 4);
    memset(small, 0xee, sizeof small);
    WORKS(authgrant_to_wide(text, small, 5, 2, &needed, &error));
    CHECK(needed == 5 && memcmp(small, utf16, sizeof utf16) == 0 && small[5] == 0xeeee);
    memset(large, 0xee, sizeof large);
    WORKS(authgrant_to_wide(text, large, 4, 4, &needed, &error));
    CHECK(needed == 4 && memcmp(large, utf32, sizeof utf32) == 0 && large[4] == 0xeeeeeeee);

    for (size_t capacity = 1; capacity < 5; capacity++) {
        memset(small, 0xee, sizeof small);
        needed = 99;
        FAILS(authgrant_to_wide(text, small, capacity, 2, &needed, &error), AUTHGRANT_BUFFER_TOO_SMALL);
        CHECK(needed == 5 && small[capacity] == 0xeeee);
        for (size_t i = 0; i < capacity; i++) CHECK(small[i] != 0xd83d || (i + 1 < capacity && small[i + 1] == 0xde00));
    }
    memset(large, 0xee, sizeof large);
    FAILS(authgrant_to_wide(text, large, 3, 4, &needed, &error), AUTHGRANT_BUFFER_TOO_SMALL);
    CHECK(needed == 4 && large[3] == 0xeeeeeeee);

    WORKS(authgrant_from_wide(utf16, -1, 2, &utf8, &error));
    CHECK(strings_equal(utf8, text));
    authgrant_string_free(utf8);
    WORKS(authgrant_from_wide(utf32, 3, 4, &utf8, &error));
    CHECK(strings_equal(utf8, text));
    authgrant_string_free(utf8);
    utf8 = POISONED(char);
    FAILS(authgrant_from_wide(utf16, 2, 2, &utf8, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(utf8 == NULL);
    FAILS(authgrant_from_wide(utf16, -1, 1, &utf8, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_from_wide(NULL, -1, 2, &utf8, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_from_wide(utf16, -1, 2, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_from_wide(NULL, 0, 0, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    needed = 99;
    FAILS(authgrant_to_wide(NULL, small, 8, 2, &needed, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(needed == 0);
    FAILS(authgrant_to_wide(text, NULL, 8, 2, &needed, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_to_wide(text, small, 8, 2, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_to_wide(text, small, 8, 3, &needed, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_to_wide(text, small, 8, 0, &needed, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_to_wide("\xc3", small, 8, 2, &needed, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_to_wide(NULL, NULL, 0, 2, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_open(void) {
    authgrant_connection *connection = POISONED(authgrant_connection);

    FAILS(authgrant_open(NULL, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(connection == NULL);
    connection = POISONED(authgrant_connection);
    FAILS(authgrant_open("Scope=\xc3\x28", &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(connection == NULL);
    connection = POISONED(authgrant_connection);
    FAILS(authgrant_open("Scope={never closed", &connection, &error), AUTHGRANT_INVALID_CONNECTION_STRING);
    CHECK(connection == NULL);
    FAILS(authgrant_open(connection_string, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_open(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    connection = NULL;
    CHECK(authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK);
    CHECK(connection != NULL);
    authgrant_close(connection);
    authgrant_close(NULL);
}

/* Returns the token of the connection string in units of this size, as an ODBC driver manager passes it. `length` is -1 or SQL_NTS
   (-3) for NUL-terminated text, 0 for text without a NUL. */
static authgrant_token *get_token_from_wide(size_t unit, ptrdiff_t length) {
    authgrant_connection *connection = POISONED(authgrant_connection);
    authgrant_token *token = NULL;
    size_t units = 0;

    WORKS(authgrant_to_wide(connection_string, NULL, 0, unit, &units, &error));
    void *wide = malloc((units + 1) * unit);
    if (wide == NULL || units == 0) abort();
    WORKS(authgrant_to_wide(connection_string, wide, units, unit, &units, &error));
    if (length == 0) {
        memset((char *)wide + (units - 1) * unit, 'x', 2 * unit); /* must not be read */
        length = (ptrdiff_t)(units - 1);
    }
    WORKS(authgrant_open_wide(wide, length, unit, &connection, &error));
    WORKS(authgrant_get_token(connection, &token, &error));
    authgrant_close(connection);
    free(wide);
    return token;
}

static void check_open_wide(void) {
    static const uint16_t lone16[] = {'A', '=', 0xd83d, ';', 0}, back16[] = {'A', '=', 0xde00, 0xd83d, 0};
    static const uint16_t inner16[] = {'A', '=', 0, 'b', 0};
    static const uint32_t lone32[] = {'A', '=', 0xd83d, 0}, beyond32[] = {'A', '=', 0x110000, 0};
    static const void *const bad[] = {lone16, back16, lone32, beyond32};
    static const size_t units[] = {2, 2, 4, 4};
    static const ptrdiff_t lengths[] = {-1, -3, 0};
    authgrant_connection *connection;

    for (size_t unit = 2; unit <= 4; unit += 2) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            authgrant_token *token = get_token_from_wide(unit, lengths[i]);
            CHECK(token != NULL && authgrant_token_length(token) > 0);
            authgrant_token_free(token);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        connection = POISONED(authgrant_connection);
        FAILS(authgrant_open_wide(bad[i], -1, units[i], &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
        CHECK(connection == NULL);
    }
    connection = POISONED(authgrant_connection);
    FAILS(authgrant_open_wide(inner16, 4, 2, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(connection == NULL);
    FAILS(authgrant_open_wide(inner16, -2, 2, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_open_wide(inner16, -1, 3, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_open_wide(inner16, -1, 0, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_open_wide(NULL, -1, 2, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_open_wide(inner16, -1, 2, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_open_wide(NULL, 0, 0, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_open_with(void) {
    static const char *const keywords[] = {"Schema", "Table;T"}, *const invalid[] = {"Sche=ma"};
    authgrant_connection *connection = POISONED(authgrant_connection);
    authgrant_open_options options = {0};
    char *text = NULL;

    options.size = sizeof options;
    options.connection_string = "T=orders;Scope=a";
    options.driver_keywords = keywords;
    options.driver_keyword_count = 2;
    WORKS(authgrant_open_with(&options, &connection, &error));
    WORKS(authgrant_set_option(connection, "schema", "s", &error));
    WORKS(authgrant_completed_string(connection, 0, &text, &error));
    CHECK(strings_equal(text, "Scope=a;Schema=s;Table=orders;"));
    authgrant_string_free(text);
    authgrant_close(connection);

    options.connection_string = "AuthenticationMethod=50";
    WORKS(authgrant_open_with(&options, &connection, &error));
    WORKS(authgrant_browse(connection, &text, &error));
    CHECK(strings_equal(text, "AccessToken:Access Token=?"));
    authgrant_string_free(text);
    WORKS(authgrant_set_option(connection, "AccessToken", "t", &error));
    text = POISONED(char);
    WORKS(authgrant_browse(connection, &text, &error));
    CHECK(text == NULL);
    text = POISONED(char);
    FAILS(authgrant_browse(NULL, &text, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(text == NULL);
    FAILS(authgrant_browse(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_browse(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);

    options.driver_keywords = invalid;
    options.driver_keyword_count = 1;
    connection = POISONED(authgrant_connection);
    FAILS(authgrant_open_with(&options, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(connection == NULL);
    options.driver_keyword_count = 0;
    options.size = sizeof options - 1;
    FAILS(authgrant_open_with(&options, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    options.size = sizeof options;
    FAILS(authgrant_open_with(&options, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_open_with(NULL, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    options.connection_string = NULL;
    FAILS(authgrant_open_with(&options, &connection, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_open_with(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_options(void) {
    static const char *const names[] = {"LoginTimeout", "Scope"}, *const unknown[] = {"Scope", "NoSuchOption"};
    static const char *const values[] = {"30", "impersonation"}, *const null_value[] = {"30", NULL};
    static const char *const null_name[] = {"LoginTimeout", NULL};
    authgrant_connection *connection = open_connection();
    char *value = POISONED(char);

    WORKS(authgrant_set_option(connection, "scope", "signature", &error));
    FAILS(authgrant_set_option(connection, "NoSuchOption", "1", &error), AUTHGRANT_INVALID_OPTION);
    FAILS(authgrant_set_option(connection, "LoginTimeout", "soon", &error), AUTHGRANT_INVALID_OPTION);
    FAILS(authgrant_set_option(NULL, "Scope", "x", &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_option(connection, NULL, "x", &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_option(connection, "Scope", NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_option(connection, "Scope", "\xff", &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_option(NULL, NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    WORKS(authgrant_get_option(connection, "Auth_Scope", &value, &error));
    CHECK(strings_equal(value, "signature"));
    authgrant_string_free(value);
    value = POISONED(char);
    WORKS(authgrant_get_option(connection, "ApplicationName", &value, &error));
    CHECK(value == NULL);
    value = POISONED(char);
    FAILS(authgrant_get_option(connection, "NoSuchOption", &value, &error), AUTHGRANT_INVALID_OPTION);
    CHECK(value == NULL);
    FAILS(authgrant_get_option(connection, NULL, &value, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_get_option(connection, "Scope", NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_get_option(NULL, "Scope", &value, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_option(NULL, NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    WORKS(authgrant_set_options(connection, names, values, 2, &error));
    FAILS(authgrant_set_options(connection, unknown, values, 2, &error), AUTHGRANT_INVALID_OPTION);
    FAILS(authgrant_set_options(connection, names, null_value, 2, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_options(connection, null_name, values, 2, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_options(connection, NULL, values, 2, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_options(connection, names, NULL, 2, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_options(NULL, names, values, 2, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_options(NULL, NULL, NULL, 1, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

static void check_tokens(void) {
    authgrant_connection *connection = open_connection();
    authgrant_token *token = POISONED(authgrant_token), *again = POISONED(authgrant_token);
    authgrant_call_options call = {0}, empty = {0};
    call.size = sizeof call;
    call.timeout_ms = 20000;
    call.min_validity_s = 1;
    call.flags = AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK;

    authgrant_clear_caches(); /* no token is cached, and the flags forbid the network */
    CHECK(authgrant_get_token_with(connection, &call, &token, NULL) == AUTHGRANT_NOT_CACHED);
    CHECK(token == NULL);

    token = POISONED(authgrant_token);
    WORKS(authgrant_get_token(connection, &token, &error));
    if (token == NULL || token == POISONED(authgrant_token)) exit(checks_done("every_export"));
    CHECK(authgrant_token_length(token) > 0 && authgrant_token_length(token) == strlen(authgrant_token_value(token)));
    CHECK(strings_equal(authgrant_token_type(token), "Bearer"));
    CHECK(authgrant_token_expires_at(token) > 1700000000);
    CHECK(authgrant_token_refresh_at(token) > 1700000000);
    CHECK(authgrant_token_refresh_at(token) < authgrant_token_expires_at(token));
    CHECK(authgrant_token_scope(token) == NULL || authgrant_token_scope(token)[0] != '\0');
    CHECK(authgrant_token_field(token, "no_such_member") == NULL);
    CHECK(authgrant_token_field(token, "refresh_token") == NULL);

    WORKS(authgrant_get_token_with(connection, &call, &again, &error));
    CHECK(again != NULL && strings_equal(authgrant_token_value(token), authgrant_token_value(again)));
    authgrant_token_free(again);

    again = POISONED(authgrant_token);
    FAILS(authgrant_get_token_with(connection, &empty, &again, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(again == NULL);
    again = POISONED(authgrant_token);
    FAILS(authgrant_get_token_with(connection, NULL, &again, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(again == NULL);
    FAILS(authgrant_get_token_with(NULL, &call, &again, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_get_token_with(connection, &call, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_token_with(NULL, NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    again = POISONED(authgrant_token);
    FAILS(authgrant_get_token(NULL, &again, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(again == NULL);
    FAILS(authgrant_get_token(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_token(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    CHECK(authgrant_token_value(NULL) == NULL && authgrant_token_length(NULL) == 0 && authgrant_token_type(NULL) == NULL);
    CHECK(authgrant_token_expires_at(NULL) == 0 && authgrant_token_refresh_at(NULL) == 0);
    CHECK(authgrant_token_scope(NULL) == NULL);
    CHECK(authgrant_token_field(NULL, "scope") == NULL && authgrant_token_field(token, NULL) == NULL);
    CHECK(authgrant_token_field(token, "\xff") == NULL);
    authgrant_token_free(NULL);

    /* The first rejection discards the token; a second rejection of the same token has no effect. */
    again = POISONED(authgrant_token);
    WORKS(authgrant_reject_token(connection, token, &error));
    WORKS(authgrant_get_token(connection, &again, &error));
    CHECK(again != NULL && !strings_equal(authgrant_token_value(token), authgrant_token_value(again)));
    authgrant_token *third = POISONED(authgrant_token);
    WORKS(authgrant_reject_token(connection, token, &error));
    WORKS(authgrant_get_token(connection, &third, &error));
    CHECK(third != NULL && strings_equal(authgrant_token_value(again), authgrant_token_value(third)));
    FAILS(authgrant_reject_token(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_reject_token(NULL, token, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_reject_token(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    size_t length = authgrant_token_length(third);
    authgrant_close(connection);
    CHECK(authgrant_token_length(third) == length && strlen(authgrant_token_value(third)) == length);
    authgrant_token_free(third);
    authgrant_token_free(again);
    authgrant_token_free(token);
}

static void check_copy_token(void) {
    authgrant_connection *connection = open_connection();
    size_t needed = 99, length = 99;

    WORKS(authgrant_copy_token(connection, NULL, 0, &needed, &error));
    CHECK(needed > 1 && needed < 65536);
    char *buffer = malloc(needed + 2);
    if (buffer == NULL) abort();
    memset(buffer, '#', needed + 2);
    FAILS(authgrant_copy_token(connection, buffer, needed - 1, &length, &error), AUTHGRANT_BUFFER_TOO_SMALL);
    CHECK(length == needed);
    for (size_t i = 0; i < needed + 2; i++) CHECK(buffer[i] == '#');
    length = 99;
    FAILS(authgrant_copy_token(connection, buffer, 0, &length, &error), AUTHGRANT_BUFFER_TOO_SMALL);
    CHECK(length == needed && buffer[0] == '#');

    length = 99;
    WORKS(authgrant_copy_token(connection, buffer, needed, &length, &error));
    CHECK(length == needed && strlen(buffer) == needed - 1 && buffer[needed] == '#');

    FAILS(authgrant_copy_token(connection, NULL, needed, &length, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_copy_token(connection, buffer, needed, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    length = 99;
    FAILS(authgrant_copy_token(NULL, buffer, needed, &length, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(length == 0);
    CHECK(authgrant_copy_token(NULL, NULL, 0, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    free(buffer);
    authgrant_close(connection);
}

static void check_headers(void) {
    authgrant_call_options call = {0};
    authgrant_connection *connection = open_connection();
    authgrant_headers *headers = POISONED(authgrant_headers);
    int bearers = 0, custom = 0;

    WORKS(authgrant_get_headers(connection, &headers, &error));
    const authgrant_token *token = authgrant_headers_token(headers);
    size_t count = authgrant_headers_count(headers);
    CHECK(count >= 2 && token != NULL);
    WORKS(authgrant_reject_token(connection, token, &error));
    authgrant_headers *requested = POISONED(authgrant_headers);
    WORKS(authgrant_get_request_headers(connection, "GET", "https://api.example/v1", NULL, &requested, &error));
    CHECK(authgrant_headers_count(requested) > 0);
    authgrant_headers_free(requested);
    call.size = sizeof call;
    WORKS(authgrant_get_request_headers(connection, NULL, NULL, &call, &requested, &error));
    authgrant_headers_free(requested);
    requested = POISONED(authgrant_headers);
    FAILS(authgrant_get_request_headers(connection, "GET", "/v1", NULL, &requested, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(requested == NULL);
    FAILS(authgrant_get_request_headers(connection, "GET", NULL, NULL, &requested, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_get_request_headers(connection, NULL, NULL, NULL, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_get_request_headers(NULL, NULL, NULL, NULL, &requested, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_request_headers(NULL, NULL, NULL, NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
    for (size_t i = 0; i < count; i++) {
        const char *name = authgrant_headers_name(headers, i), *value = authgrant_headers_value(headers, i);
        CHECK(name != NULL && value != NULL);
        if (strings_equal(name, "Authorization")) {
            bearers += strncmp(value, "Bearer ", 7) == 0 && strings_equal(value + 7, authgrant_token_value(token));
        } else if (strings_equal(name, "response_type")) {
            custom += strings_equal(value, "code");
        }
    }
    CHECK(bearers == 1);
    CHECK(custom == 1);
    CHECK(authgrant_headers_name(headers, count) == NULL && authgrant_headers_value(headers, count) == NULL);
    CHECK(authgrant_headers_name(headers, SIZE_MAX) == NULL && authgrant_headers_value(headers, SIZE_MAX) == NULL);
    authgrant_headers_free(headers);

    CHECK(authgrant_headers_count(NULL) == 0 && authgrant_headers_token(NULL) == NULL);
    CHECK(authgrant_headers_name(NULL, 0) == NULL && authgrant_headers_value(NULL, 0) == NULL);
    authgrant_headers_free(NULL);
    headers = POISONED(authgrant_headers);
    FAILS(authgrant_get_headers(NULL, &headers, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(headers == NULL);
    connection = open_connection();
    FAILS(authgrant_get_headers(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_headers(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

static void check_errors(void) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = POISONED(authgrant_token);
    authgrant_error *failure = POISONED(authgrant_error);

    /* An error outlives its connection. */
    WORKS(authgrant_open("AuthenticationMethod=55", &connection, &error));
    CHECK(authgrant_get_token(connection, &token, &failure) == AUTHGRANT_MISSING_OPTION);
    CHECK(token == NULL);
    authgrant_close(connection);
    CHECK(authgrant_error_status(failure) == AUTHGRANT_MISSING_OPTION);
    CHECK(strings_equal(authgrant_error_sqlstate(failure), "28000"));
    CHECK(strncmp(authgrant_error_message(failure), "[authgrant][", 12) == 0);
    CHECK(authgrant_error_option(failure) == NULL || authgrant_error_option(failure)[0] != '\0');
    CHECK(authgrant_error_oauth_error(failure) == NULL && authgrant_error_oauth_description(failure) == NULL);
    CHECK(authgrant_error_provider_code(failure) == NULL && authgrant_error_consent_url(failure) == NULL);
    CHECK(authgrant_error_http_status(failure) == 0 && authgrant_error_retry_after(failure) == 0);
    CHECK(authgrant_error_retryable(failure) == 0);
    int links = 0;
    for (const authgrant_error *next = failure; next != NULL; next = authgrant_error_next(next)) links++;
    CHECK(links >= 1 && links < 100);
    authgrant_error_free(failure);

    CHECK(authgrant_error_status(NULL) == AUTHGRANT_OK && strings_equal(authgrant_error_sqlstate(NULL), "00000"));
    CHECK(strings_equal(authgrant_error_message(NULL), "") && authgrant_error_option(NULL) == NULL);
    CHECK(authgrant_error_oauth_error(NULL) == NULL && authgrant_error_oauth_description(NULL) == NULL);
    CHECK(authgrant_error_provider_code(NULL) == NULL && authgrant_error_consent_url(NULL) == NULL);
    CHECK(authgrant_error_http_status(NULL) == 0 && authgrant_error_retry_after(NULL) == 0);
    CHECK(authgrant_error_retryable(NULL) == 0 && authgrant_error_next(NULL) == NULL);
    authgrant_error_free(NULL);
}

static void check_warnings(void) {
    authgrant_connection *connection = NULL;
    authgrant_error *warnings = POISONED(authgrant_error);

    WORKS(authgrant_open("ClaimIssuer=unused", &connection, &error)); /* unknown option */
    WORKS(authgrant_get_warnings(connection, &warnings, &error));
    CHECK(warnings != NULL && warnings != POISONED(authgrant_error));
    CHECK(authgrant_error_status(warnings) == AUTHGRANT_OK && strncmp(authgrant_error_sqlstate(warnings), "01", 2) == 0);
    CHECK(strstr(authgrant_error_message(warnings), "ClaimIssuer") != NULL);
    authgrant_error *more = POISONED(authgrant_error);
    FAILS(authgrant_get_warnings(NULL, &more, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(more == NULL);
    FAILS(authgrant_get_warnings(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_warnings(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_error *taken = POISONED(authgrant_error);
    WORKS(authgrant_take_warnings(connection, &taken, &error));
    CHECK(taken != NULL && strings_equal(authgrant_error_sqlstate(taken), "01S00"));
    authgrant_error_free(taken);
    taken = POISONED(authgrant_error);
    WORKS(authgrant_take_warnings(connection, &taken, &error));
    CHECK(taken == NULL);
    taken = POISONED(authgrant_error);
    FAILS(authgrant_take_warnings(NULL, &taken, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(taken == NULL);
    FAILS(authgrant_take_warnings(connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_take_warnings(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
    CHECK(authgrant_error_message(warnings)[0] == '['); /* a snapshot: it outlives the connection */
    authgrant_error_free(warnings);
}

static const char *secret_token; /* no log message may contain it */

static void count_message(int32_t level, const char *message, void *context) {
    CHECK(level >= 1 && level <= 5 && message != NULL);
    CHECK(message == NULL || secret_token == NULL || strstr(message, secret_token) == NULL);
    ++*(int *)context;
}

static void check_cancel_and_log(void) {
    authgrant_connection *connection = open_connection();
    authgrant_token *token = NULL;
    int messages = 0;

    WORKS(authgrant_cancel(connection, &error)); /* no call is in flight; the next call is not cancelled */
    WORKS(authgrant_set_log(connection, count_message, &messages, 5, &error));
    authgrant_clear_caches();
    WORKS(authgrant_get_token(connection, &token, &error));
    CHECK(messages > 0);
    secret_token = authgrant_token_value(token);
    WORKS(authgrant_reject_token(connection, token, &error));
    WORKS(authgrant_set_log(connection, NULL, NULL, 0, &error));
    secret_token = NULL;
    messages = 0;
    authgrant_token_free(token);
    token = NULL;
    WORKS(authgrant_get_token(connection, &token, &error));
    CHECK(messages == 0);
    authgrant_token_free(token);

    FAILS(authgrant_cancel(NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_cancel(NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_log(NULL, count_message, &messages, 5, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_log(NULL, NULL, NULL, 0, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

static int32_t reject_url(const char *url, void *context) {
    *(int *)context = strstr(url, "response_type=code") != NULL;
    return 7;
}

static void ignore_refresh_token(const char *refresh_token, void *context) {
    (void)refresh_token;
    (void)context;
}

/* Creates an invalid signature of the correct length. */
static int32_t dummy_sign(const uint8_t *message, size_t length, uint8_t *signature, size_t capacity,
                          size_t *signature_length, void *context) {
    CHECK(length > 2 && memcmp(message, "ey", 2) == 0 && capacity >= 64);
    memset(signature, 7, 64);
    *signature_length = 64;
    return (*(int32_t *)context)++;
}

/* The context is freed as early as allowed, so that valgrind and AddressSanitizer detect later accesses. */
static void check_signers(void) {
    authgrant_connection *connection = open_connection();
    int32_t *call_count = calloc(1, sizeof *call_count), *other_count = calloc(1, sizeof *other_count);
    char *assertion = POISONED(char);

    WORKS(authgrant_set_signer(connection, "ES256", dummy_sign, call_count, &error));
    WORKS(authgrant_create_assertion(connection, &assertion, &error));
    authgrant_string_free(assertion);
    assertion = POISONED(char);
    FAILS(authgrant_create_assertion(connection, &assertion, &error), AUTHGRANT_KEY_STORE_ERROR); /* the signer returns 1 */
    CHECK(assertion == NULL && *call_count == 2);
    WORKS(authgrant_set_signer(connection, NULL, NULL, NULL, &error));
    free(call_count);
    WORKS(authgrant_create_assertion(connection, &assertion, &error));
    authgrant_string_free(assertion);
    FAILS(authgrant_set_signer(connection, "HS256", dummy_sign, other_count, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_signer(connection, NULL, dummy_sign, other_count, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_signer(NULL, "ES256", dummy_sign, other_count, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    WORKS(authgrant_set_signer(connection, "ES256", dummy_sign, other_count, &error));
    WORKS(authgrant_create_assertion(connection, &assertion, &error));
    authgrant_string_free(assertion);
    authgrant_close(connection);
    free(other_count);
    authgrant_clear_caches();
}

static void check_completed_strings(void) {
    static const uint32_t includes[] = {0, AUTHGRANT_WITH_SECRETS, AUTHGRANT_WITH_TOKENS, 3};
    authgrant_connection *connection = open_connection(), *again = POISONED(authgrant_connection);
    authgrant_token *token = NULL;
    char *text = POISONED(char);

    for (size_t i = 0; i < sizeof includes / sizeof *includes; i++) {
        text = POISONED(char);
        WORKS(authgrant_completed_string(connection, includes[i], &text, &error));
        CHECK(text != NULL && strstr(text, "ClaimsIssuer=") != NULL);
        if (includes[i] & AUTHGRANT_WITH_SECRETS) {
            WORKS(authgrant_open(text, &again, &error));
            WORKS(authgrant_get_token(again, &token, &error));
            authgrant_token_free(token);
            authgrant_close(again);
        }
        authgrant_string_free(text);
    }
    text = POISONED(char);
    FAILS(authgrant_completed_string(connection, 8, &text, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(text == NULL);
    text = POISONED(char);
    FAILS(authgrant_completed_string(NULL, 0, &text, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(text == NULL);
    FAILS(authgrant_completed_string(connection, 0, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_completed_string(NULL, 0, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

/* Called after connections were opened: restrictions can be added, but not removed. */
static void check_policy(void) {
    FAILS(authgrant_set_policy(8, 0, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, 0, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_policy(0, 256, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_policy(AUTHGRANT_ALLOW_SECRET_REFERENCES | AUTHGRANT_ALLOW_PKCS11_MODULE_PATH, 0, &error), AUTHGRANT_INVALID_ARGUMENT);
    WORKS(authgrant_set_policy(0, AUTHGRANT_FORBID_INSECURE_TLS, &error));
    WORKS(authgrant_set_policy(0, AUTHGRANT_FORBID_INSECURE_TLS | AUTHGRANT_FORBID_HTTP_GET | AUTHGRANT_FORBID_LOOPBACK_HTTP |
                                      AUTHGRANT_FORBID_PROMPT | AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION | AUTHGRANT_FORBID_SHARED_TOKENS |
                                      AUTHGRANT_FORBID_FILE_PATHS | AUTHGRANT_FORBID_TLS12, &error));
    FAILS(authgrant_set_policy(0, AUTHGRANT_FORBID_HTTP_GET, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_policy(0, 0, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_allow_directory("/", &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_allow_directory(NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_allow_directory("\xc3\x28", &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_allow_directory("", NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_event(const char *event, void *context) {
    CHECK(strstr(event, "\"event\":\"token_request\"") != NULL && strstr(event, "\"status\":\"AUTHGRANT_OK\"") != NULL);
    CHECK(authgrant_set_audit(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    ++*(int *)context;
}

static void check_audit(void) {
    authgrant_connection *connection = open_connection();
    authgrant_token *token = NULL;
    int events = 0;

    WORKS(authgrant_set_audit(NULL, NULL, &error));
    WORKS(authgrant_set_audit(check_event, &events, &error));
    FAILS(authgrant_set_audit(check_event, &events, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_audit(check_event, &events, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_clear_caches();
    WORKS(authgrant_get_token(connection, &token, &error));
    CHECK(events == 1);
    authgrant_token_free(token);
    WORKS(authgrant_set_audit(NULL, NULL, &error));
    authgrant_clear_caches();
    WORKS(authgrant_get_token(connection, &token, &error));
    CHECK(events == 1);
    authgrant_token_free(token);
    authgrant_close(connection);
}

static int32_t no_get(const char *name, uint8_t *buffer, size_t capacity, size_t *length, int64_t *ttl_ms, void *context) {
    (void)name, (void)buffer, (void)capacity, (void)length, (void)ttl_ms, (void)context;
    return 1;
}

static int32_t no_lease(const char *name, const uint8_t *owner, int64_t ttl_ms, int32_t *taken, void *context) {
    (void)name, (void)owner, (void)ttl_ms, (void)taken, (void)context;
    return 1;
}

static int32_t no_put(const char *name, const uint8_t *owner, uint64_t expected_generation, uint64_t generation, const uint8_t *value,
                      size_t length, int64_t ttl_ms, int32_t *written, void *context) {
    (void)name, (void)owner, (void)expected_generation, (void)generation, (void)value, (void)length;
    (void)ttl_ms, (void)written, (void)context;
    return 1;
}

static int32_t no_release(const char *name, const uint8_t *owner, void *context) {
    (void)name, (void)owner, (void)context;
    return 1;
}

/* A connection was opened, so every store is rejected. tests/cpp/every_function.cpp sets one. */
static void check_token_store(void) {
    struct {
        authgrant_token_store known;
        size_t unknown;
    } newer;
    authgrant_token_store store = {sizeof store, NULL, no_get, no_lease, no_put, no_release}, empty = {0};

    FAILS(authgrant_set_token_store(&store, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_token_store(NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    FAILS(authgrant_set_token_store(&empty, &error), AUTHGRANT_INVALID_ARGUMENT);
    empty.size = sizeof empty;
    FAILS(authgrant_set_token_store(&empty, &error), AUTHGRANT_INVALID_ARGUMENT);
    newer.known = store;
    newer.known.size = sizeof newer;
    newer.unknown = 1;
    FAILS(authgrant_set_token_store(&newer.known, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_set_token_store(NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_cancel_tokens(void) {
    authgrant_connection *connection = open_connection();
    authgrant_cancel_token *cancel_token = POISONED(authgrant_cancel_token);
    authgrant_token *token = POISONED(authgrant_token);
    authgrant_call_options call = {0};

    WORKS(authgrant_cancel_token_new(&cancel_token, &error));
    call.size = sizeof call;
    call.cancel_token = cancel_token;
    authgrant_cancel_token_cancel(cancel_token);
    FAILS(authgrant_get_token_with(connection, &call, &token, &error), AUTHGRANT_CANCELLED);
    CHECK(token == NULL);
    call.size = offsetof(authgrant_call_options, cancel_token); /* a caller with the first version of the struct */
    WORKS(authgrant_get_token_with(connection, &call, &token, &error));
    authgrant_token_free(token);
    call.size = sizeof call;
    authgrant_cancel_token_reset(cancel_token);
    WORKS(authgrant_get_token_with(connection, &call, &token, &error));
    authgrant_token_free(token);
    authgrant_cancel_token_free(cancel_token);

    authgrant_cancel_token_cancel(NULL);
    authgrant_cancel_token_reset(NULL);
    authgrant_cancel_token_free(NULL);
    FAILS(authgrant_cancel_token_new(NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_cancel_token_new(NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

static void check_consent_and_assertions(void) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    authgrant_call_options call = {0};
    char *url = NULL, *assertion = NULL;
    int shown = 0;
    CHECK(authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_option(connection, "AuthURI", "https://auth.example/authorize", NULL) == AUTHGRANT_OK);

    CHECK(authgrant_consent_url(connection, &url, NULL) == AUTHGRANT_OK && url != NULL);
    authgrant_string_free(url);
    CHECK(authgrant_consent_url(NULL, &url, NULL) == AUTHGRANT_INVALID_ARGUMENT && url == NULL);
    CHECK(authgrant_consent_url(connection, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    CHECK(authgrant_create_assertion(connection, &assertion, NULL) == AUTHGRANT_OK && assertion != NULL);
    authgrant_string_free(assertion);
    CHECK(authgrant_create_assertion(NULL, &assertion, NULL) == AUTHGRANT_INVALID_ARGUMENT && assertion == NULL);
    CHECK(authgrant_create_assertion(connection, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    CHECK(authgrant_set_option(connection, "RedirectURI", "http://127.0.0.1:0/", NULL) == AUTHGRANT_OK);
    CHECK(authgrant_authorize(connection, reject_url, &shown, &error) != AUTHGRANT_OK && error != NULL);
    authgrant_error_free(error);
    CHECK(authgrant_set_option(connection, "RedirectURI", "http://127.0.0.1:53682/", NULL) == AUTHGRANT_OK);
    CHECK(authgrant_authorize(connection, reject_url, &shown, &error) == AUTHGRANT_UNSUPPORTED);
    CHECK(shown && authgrant_error_consent_url(error) != NULL);
    authgrant_error_free(error);
    CHECK(authgrant_authorize(NULL, reject_url, &shown, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    call.size = sizeof call;
    CHECK(authgrant_authorize_with(connection, &call, reject_url, &shown, NULL) == AUTHGRANT_UNSUPPORTED);
    CHECK(authgrant_authorize_with(connection, NULL, reject_url, &shown, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_authorize_with(NULL, &call, reject_url, &shown, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    call.flags = AUTHGRANT_NO_PROMPT;
    CHECK(authgrant_authorize_with(connection, &call, reject_url, &shown, NULL) == AUTHGRANT_INVALID_ARGUMENT);

    CHECK(authgrant_set_refresh_token_callback(connection, ignore_refresh_token, NULL, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_refresh_token_callback(connection, NULL, NULL, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_refresh_token_callback(NULL, ignore_refresh_token, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_logoff(connection, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_logoff(NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    authgrant_close(connection);
}

typedef authgrant_status report_fn(authgrant_connection *, char **, authgrant_error **);

static void check_reports(void) {
    static report_fn *const functions[] = {authgrant_validate, authgrant_explain, authgrant_test_connection};
    static const char *const members[] = {"\"valid\": true", "\"method\"", "\"ok\": true"};
    authgrant_connection *connection = open_connection();
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        char *report = POISONED(char);
        WORKS(functions[i](connection, &report, &error));
        CHECK(report != NULL && strstr(report, members[i]) != NULL);
        authgrant_string_free(report);
        report = POISONED(char);
        FAILS(functions[i](NULL, &report, &error), AUTHGRANT_INVALID_ARGUMENT);
        CHECK(report == NULL);
        FAILS(functions[i](connection, NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
        CHECK(functions[i](NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    }
    authgrant_close(connection);
}

static void check_validate_string(void) {
    char *report = POISONED(char);
    WORKS(authgrant_validate_string("Password={{x}}", &report, &error));
    CHECK(report != NULL && strstr(report, "\"offset\": 9") != NULL);
    authgrant_string_free(report);
    report = POISONED(char);
    FAILS(authgrant_validate_string(NULL, &report, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(report == NULL);
    FAILS(authgrant_validate_string("", NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_validate_string(NULL, NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

static void check_stats(void) {
    char *json = POISONED(char);
    WORKS(authgrant_get_stats(&json, &error));
    CHECK(json != NULL && strstr(json, "\"authgrant_tokens_fetched_total\": ") != NULL);
    CHECK(json != NULL && strstr(json, "\"authgrant_fetch_duration_seconds\": {") != NULL);
    authgrant_string_free(json);
    FAILS(authgrant_get_stats(NULL, &error), AUTHGRANT_INVALID_ARGUMENT);
    CHECK(authgrant_get_stats(NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s 'CONNECTION STRING'\n", argv[0]);
        return 2;
    }
    connection_string = argv[1];
    check_connectionless_functions();
    check_wide_text();
    check_open();
    check_options();
    check_tokens();
    check_open_wide();
    check_open_with();
    check_copy_token();
    check_headers();
    check_errors();
    check_warnings();
    check_cancel_and_log();
    check_cancel_tokens();
    check_consent_and_assertions();
    check_signers();
    check_completed_strings();
    check_reports();
    check_validate_string();
    check_stats();
    authgrant_clear_caches();
    check_audit();
    check_token_store();
    check_policy();
    return checks_done("every_export");
}
