/* All that the driver does with authgrant: from a connection string to the headers of a request, and errors to diagnostic records. */
#include "driver.h"
#include <stdlib.h>
#include <string.h>

static const char *const KEYWORDS[] = {KEYWORD_REST_URL, KEYWORD_TABLES, KEYWORD_PAGE_SIZE};

/* Posts a chain of errors or warnings, and frees it. An error that needs a user has the URL to open in its text. */
static SQLRETURN post_errors(handle *h, authgrant_error *errors) {
    for (const authgrant_error *error = errors; error != NULL; error = authgrant_error_next(error)) {
        const char *message = authgrant_error_message(error), *url = authgrant_error_consent_url(error);
        char *with_url = url != NULL && strstr(message, url) == NULL ? format_text("%s; open %s", message, url) : NULL;
        post_native(h, authgrant_error_sqlstate(error), authgrant_error_status(error), with_url != NULL ? with_url : message);
        free(with_url);
    }
    authgrant_error_free(errors);
    return SQL_ERROR;
}

/* What authgrant has to report about the connection, once each. */
static void post_warnings(handle *h, authgrant_connection *grant) {
    authgrant_error *warnings = NULL;
    if (authgrant_take_warnings(grant, &warnings, NULL) == AUTHGRANT_OK) post_errors(h, warnings);
}

/* The value of an option or keyword, from the string, its DSN or its FILEDSN, to be released with free(); NULL if it is not set. */
static char *get_option(authgrant_connection *grant, const char *name) {
    char *value = NULL;
    if (authgrant_get_option(grant, name, &value, NULL) != AUTHGRANT_OK || value == NULL) return NULL;
    char *copy = copy_text(value);
    authgrant_string_free(value);
    return copy;
}

static void read_keywords(connection *dbc) {
    char *page_size = get_option(dbc->grant, KEYWORD_PAGE_SIZE);
    dbc->rest_url = get_option(dbc->grant, KEYWORD_REST_URL);
    dbc->tables = get_option(dbc->grant, KEYWORD_TABLES);
    dbc->trust_store = get_option(dbc->grant, "TrustStore");
    dbc->page_size = page_size != NULL ? strtol(page_size, NULL, 10) : 0;
    free(page_size);
    size_t length = dbc->rest_url != NULL ? strlen(dbc->rest_url) : 0;
    if (length > 0 && dbc->rest_url[length - 1] == '/') dbc->rest_url[length - 1] = '\0';
}

static authgrant_status open_text(const char *text, authgrant_connection **grant, authgrant_error **error) {
    authgrant_open_options options = {0};
    options.size = sizeof options;
    options.connection_string = text;
    options.driver_keywords = KEYWORDS;
    options.driver_keyword_count = sizeof KEYWORDS / sizeof KEYWORDS[0];
    return authgrant_open_with(&options, grant, error);
}

/* Whether the data source `name` has this RestURL, or allows others by AllowOverride=1. */
static int data_source_allows(const char *keyword, const char *name, const char *url) {
    authgrant_connection *grant = NULL;
    char *text = grant_keyword(keyword, name);
    char *own_url = NULL, *allows = NULL;
    if (text != NULL && open_text(text, &grant, NULL) == AUTHGRANT_OK) {
        own_url = get_option(grant, KEYWORD_REST_URL);
        allows = get_option(grant, "AllowOverride");
    }
    int is_allowed = (own_url != NULL && strcmp(own_url, url) == 0) || (allows != NULL && strcmp(allows, "1") == 0);
    authgrant_close(grant);
    free(text);
    free(own_url);
    free(allows);
    return is_allowed;
}

/* A connection string that names a data source must not send the token of that data source to another API. authgrant guards its own
 * options in this way, such as TokenURI, but does not know what a keyword of a driver means. */
static SQLRETURN check_rest_url(connection *dbc) {
    char *url = get_option(dbc->grant, KEYWORD_REST_URL);
    char *dsn = get_option(dbc->grant, "DSN"), *file = get_option(dbc->grant, "FILEDSN");
    int is_allowed = url == NULL || (dsn == NULL && file == NULL)
                     || (dsn != NULL ? data_source_allows("DSN", dsn, url) : data_source_allows("FILEDSN", file, url));
    free(url);
    free(dsn);
    free(file);
    if (is_allowed) return SQL_SUCCESS;
    return post(&dbc->base, "HY024", KEYWORD_REST_URL " must be that of the data source, unless the data source has AllowOverride=1");
}

/* The token of attribute 1256 replaces the authentication of the string. */
static authgrant_status use_access_token(authgrant_connection *grant, const char *token, authgrant_error **error) {
    char *literal = format_text("literal:%s", token);
    const char *names[] = {"AuthenticationMethod", "AccessToken"};
    const char *values[] = {"OAuth2-AccessToken", literal != NULL ? literal : ""};
    authgrant_status status = authgrant_set_options(grant, names, values, 2, error);
    text_free(literal);
    return status;
}

SQLRETURN grant_open(connection *dbc, const char *text) {
    authgrant_error *error = NULL;
    if (open_text(text, &dbc->grant, &error) != AUTHGRANT_OK) return post_errors(&dbc->base, error);
    if (dbc->access_token != NULL && use_access_token(dbc->grant, dbc->access_token, &error) != AUTHGRANT_OK) {
        return post_errors(&dbc->base, error);
    }
    read_keywords(dbc);
    return check_rest_url(dbc);
}

static authgrant_call_options call_options(canceller *c, int32_t timeout_ms, uint32_t flags) {
    authgrant_call_options options = {0};
    options.size = sizeof options;
    options.timeout_ms = timeout_ms;
    options.flags = flags;
    options.cancel_token = c->token;
    return options;
}

/* Gets the first token, so that a connection that opens has one. SQL_ATTR_LOGIN_TIMEOUT, if it is set, replaces LoginTimeout of the string;
 * 0 is no limit. If the application allows a dialog, a user who must log in or consent does so in the browser, within ConsentTimeout. */
SQLRETURN grant_log_in(connection *dbc, SQLUSMALLINT completion) {
    int32_t timeout_ms = dbc->login_timeout < 0 ? 0 : INT32_MAX;
    if (dbc->login_timeout > 0 && dbc->login_timeout < INT32_MAX / 1000) timeout_ms = (int32_t)dbc->login_timeout * 1000;
    authgrant_call_options options = call_options(&dbc->canceller, timeout_ms, AUTHGRANT_NO_PROMPT);
    authgrant_headers *headers = NULL;
    authgrant_error *error = NULL;
    const char *url = dbc->rest_url;
    authgrant_status status = authgrant_get_request_headers(dbc->grant, "GET", url, &options, &headers, &error);
    if (status == AUTHGRANT_CONSENT_REQUIRED && completion != SQL_DRIVER_NOPROMPT) {
        authgrant_error_free(error);
        options = call_options(&dbc->canceller, 0, 0);
        status = authgrant_authorize_with(dbc->grant, &options, NULL, NULL, &error);
    }
    authgrant_headers_free(headers);
    SQLRETURN result = status == AUTHGRANT_OK ? SQL_SUCCESS : post_errors(&dbc->base, error);
    post_warnings(&dbc->base, dbc->grant);
    return result;
}

SQLRETURN grant_browse(connection *dbc, char **request) {
    authgrant_error *error = NULL;
    if (authgrant_browse(dbc->grant, request, &error) != AUTHGRANT_OK) return post_errors(&dbc->base, error);
    return SQL_SUCCESS;
}

SQLRETURN grant_completed_string(connection *dbc, char **text) {
    authgrant_error *error = NULL;
    if (authgrant_completed_string(dbc->grant, AUTHGRANT_AS_GIVEN, text, &error) != AUTHGRANT_OK) return post_errors(&dbc->base, error);
    return SQL_SUCCESS;
}

SQLRETURN grant_headers(statement *s, const char *url, const deadline *end, authgrant_headers **headers) {
    authgrant_call_options options = call_options(&s->canceller, end->at_ms == INT64_MAX ? 0 : remaining_ms(end), AUTHGRANT_NO_PROMPT);
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_request_headers(s->dbc->grant, "GET", url, &options, headers, &error);
    if (status == AUTHGRANT_OK) return SQL_SUCCESS;
    /* The token has ended and cannot be renewed: a pool must not use the connection again. */
    if (status == AUTHGRANT_TOKEN_EXPIRED) connection_set_dead(s->dbc, 1);
    if (status == AUTHGRANT_TIMEOUT && end->at_ms != INT64_MAX) {
        post_native(&s->base, end->state, status, authgrant_error_message(error));
        authgrant_error_free(error);
        return SQL_ERROR;
    }
    return post_errors(&s->base, error);
}

void grant_reject(connection *dbc, const authgrant_headers *headers) {
    const authgrant_token *token = authgrant_headers_token(headers);
    if (token != NULL) authgrant_reject_token(dbc->grant, token, NULL);
}

/* Calls in progress finish with the token that they started with. */
SQLRETURN grant_replace_token(connection *dbc, const char *text) {
    authgrant_connection *grant = NULL;
    authgrant_error *error = NULL;
    char *token = NULL;
    authgrant_status status = open_text(text, &grant, &error);
    if (status == AUTHGRANT_OK) status = authgrant_get_option(grant, "AccessToken", &token, &error);
    if (status == AUTHGRANT_OK && token != NULL) status = use_access_token(dbc->grant, token, &error);
    int missing = status == AUTHGRANT_OK && token == NULL;
    authgrant_string_free(token);
    authgrant_close(grant);
    if (missing) return post(&dbc->base, "HY024", "the credentials have no Auth_AccessToken");
    return status == AUTHGRANT_OK ? SQL_SUCCESS : post_errors(&dbc->base, error);
}

char *grant_keyword(const char *keyword, const char *value) {
    char *quoted = NULL;
    if (authgrant_quote_value(value, &quoted, NULL) != AUTHGRANT_OK) return NULL;
    char *text = format_text("%s=%s;", keyword, quoted);
    authgrant_string_free(quoted);
    return text;
}
