/* SQLConnect, SQLDriverConnect, SQLBrowseConnect and SQLDisconnect. */
#include "driver.h"
#include <stdlib.h>

void free_connection_state(connection *dbc) {
    while (dbc->statements != NULL) free_statement(dbc->statements);
    authgrant_close(dbc->grant);
    free(dbc->rest_url);
    free(dbc->tables);
    free(dbc->trust_store);
    text_free(dbc->browse_text);
    text_free(dbc->access_token);
    text_free(dbc->credentials);
    dbc->grant = NULL;
    dbc->rest_url = dbc->tables = dbc->trust_store = dbc->browse_text = dbc->access_token = dbc->credentials = NULL;
    dbc->connected = dbc->dead = 0;
}

void connection_set_dead(connection *dbc, int dead) {
    pthread_mutex_lock(&dbc->base.lock);
    dbc->dead = dead;
    pthread_mutex_unlock(&dbc->base.lock);
}

/* After authgrant has opened the string: gets a token. */
static SQLRETURN log_in(connection *dbc, SQLUSMALLINT completion) {
    if (dbc->rest_url == NULL) return post(&dbc->base, "HY000", KEYWORD_REST_URL " is missing: the URL below which the tables are");
    SQLRETURN result = grant_log_in(dbc, completion);
    if (result == SQL_SUCCESS) dbc->connected = 1;
    return result;
}

static SQLRETURN open_string(connection *dbc, const char *text, SQLUSMALLINT completion) {
    if (dbc->connected) return post(&dbc->base, "08002", "the connection is open already");
    canceller_reset(&dbc->canceller);
    SQLRETURN result = grant_open(dbc, text);
    if (result == SQL_SUCCESS) result = log_in(dbc, completion);
    if (result != SQL_SUCCESS) free_connection_state(dbc);
    return result;
}

/* ---- SQLConnect */

/* Appends a keyword to a connection string. A manager passes NULL or an empty text for what the application did not give; neither must
 * replace what the data source has. */
static char *append_keyword(handle *h, char *string, const char *keyword, const void *value, SQLSMALLINT length, size_t unit) {
    if (string == NULL || value == NULL) return string;
    char *text = text_in(h, value, length, unit);
    if (text != NULL && text[0] == '\0') {
        free(text);
        return string;
    }
    char *pair = text != NULL ? grant_keyword(keyword, text) : NULL;
    char *longer = pair != NULL ? format_text("%s%s", string, pair) : NULL;
    text_free(text);
    text_free(pair);
    text_free(string);
    return longer;
}

static SQLRETURN connect_dsn(SQLHDBC pointer, const void *dsn, SQLSMALLINT dsn_length, const void *user, SQLSMALLINT user_length,
                             const void *password, SQLSMALLINT password_length, size_t unit) {
    ENTER_DBC(dbc, pointer);
    char *string = copy_text("");
    string = append_keyword(&dbc->base, string, "DSN", dsn, dsn_length, unit);
    string = append_keyword(&dbc->base, string, "UID", user, user_length, unit);
    string = append_keyword(&dbc->base, string, "PWD", password, password_length, unit);
    SQLRETURN result = string != NULL ? open_string(dbc, string, SQL_DRIVER_NOPROMPT) : SQL_ERROR;
    text_free(string);
    return leave(&dbc->base, result);
}

SQLRETURN SQL_API SQLConnect(SQLHDBC dbc, SQLCHAR *dsn, SQLSMALLINT dsn_length, SQLCHAR *user, SQLSMALLINT user_length, SQLCHAR *password,
                             SQLSMALLINT password_length) {
    return connect_dsn(dbc, dsn, dsn_length, user, user_length, password, password_length, sizeof(SQLCHAR));
}

SQLRETURN SQL_API SQLConnectW(SQLHDBC dbc, SQLWCHAR *dsn, SQLSMALLINT dsn_length, SQLWCHAR *user, SQLSMALLINT user_length,
                              SQLWCHAR *password, SQLSMALLINT password_length) {
    return connect_dsn(dbc, dsn, dsn_length, user, user_length, password, password_length, sizeof(SQLWCHAR));
}

/* ---- SQLDriverConnect */

/* The out string opens the same connection again: the options of the string itself, and the name of its data source. */
static SQLRETURN write_completed_string(connection *dbc, target out) {
    char *text = NULL;
    SQLRETURN result = grant_completed_string(dbc, &text);
    if (result == SQL_SUCCESS) text_out(&dbc->base, text, out);
    authgrant_string_free(text);
    return result;
}

static SQLRETURN driver_connect(SQLHDBC pointer, const void *text, SQLSMALLINT length, target out, SQLUSMALLINT completion) {
    ENTER_DBC(dbc, pointer);
    if (completion > SQL_DRIVER_COMPLETE_REQUIRED) return leave(&dbc->base, post(&dbc->base, "HY110", "unknown completion %u", completion));
    if (out.capacity < 0) return leave(&dbc->base, post(&dbc->base, "HY090", "the size of the buffer is negative"));
    char *string = text_in(&dbc->base, text, length, out.unit);
    SQLRETURN result = string != NULL ? open_string(dbc, string, completion) : SQL_ERROR;
    if (result == SQL_SUCCESS) result = write_completed_string(dbc, out);
    text_free(string);
    return leave(&dbc->base, result);
}

SQLRETURN SQL_API SQLDriverConnect(SQLHDBC dbc, SQLHWND window, SQLCHAR *text, SQLSMALLINT length, SQLCHAR *out, SQLSMALLINT capacity,
                                   SQLSMALLINT *out_length, SQLUSMALLINT completion) {
    (void)window;
    return driver_connect(dbc, text, length, (target){out, capacity, sizeof(SQLCHAR), 0, out_length, NULL}, completion);
}

SQLRETURN SQL_API SQLDriverConnectW(SQLHDBC dbc, SQLHWND window, SQLWCHAR *text, SQLSMALLINT length, SQLWCHAR *out, SQLSMALLINT capacity,
                                    SQLSMALLINT *out_length, SQLUSMALLINT completion) {
    (void)window;
    return driver_connect(dbc, text, length, (target){out, capacity, sizeof(SQLWCHAR), 0, out_length, NULL}, completion);
}

/* ---- SQLBrowseConnect */

/* Each call adds to what the earlier ones had; of equal options the first is used. */
static SQLRETURN browse(connection *dbc, const char *text, target out) {
    char *all = dbc->browse_text != NULL ? format_text("%s;%s", dbc->browse_text, text) : copy_text(text);
    char *request = NULL;
    if (dbc->connected) {
        text_free(all);
        return post(&dbc->base, "08002", "the connection is open already");
    }
    free_connection_state(dbc);
    canceller_reset(&dbc->canceller);
    SQLRETURN result = all != NULL ? grant_open(dbc, all) : post(&dbc->base, "HY001", "out of memory");
    if (result == SQL_SUCCESS) result = grant_browse(dbc, &request);
    if (result == SQL_SUCCESS && request != NULL) {
        dbc->browse_text = all;
        text_out(&dbc->base, request, out);
        authgrant_string_free(request);
        return SQL_NEED_DATA;
    }
    text_free(all);
    if (result == SQL_SUCCESS) result = log_in(dbc, SQL_DRIVER_NOPROMPT);
    if (result == SQL_SUCCESS) result = write_completed_string(dbc, out);
    if (result != SQL_SUCCESS) free_connection_state(dbc);
    return result;
}

static SQLRETURN browse_connect(SQLHDBC pointer, const void *text, SQLSMALLINT length, target out) {
    ENTER_DBC(dbc, pointer);
    if (out.capacity < 0) return leave(&dbc->base, post(&dbc->base, "HY090", "the size of the buffer is negative"));
    char *string = text_in(&dbc->base, text, length, out.unit);
    SQLRETURN result = string != NULL ? browse(dbc, string, out) : SQL_ERROR;
    text_free(string);
    return leave(&dbc->base, result);
}

SQLRETURN SQL_API SQLBrowseConnect(SQLHDBC dbc, SQLCHAR *text, SQLSMALLINT length, SQLCHAR *out, SQLSMALLINT capacity,
                                   SQLSMALLINT *out_length) {
    return browse_connect(dbc, text, length, (target){out, capacity, sizeof(SQLCHAR), 0, out_length, NULL});
}

SQLRETURN SQL_API SQLBrowseConnectW(SQLHDBC dbc, SQLWCHAR *text, SQLSMALLINT length, SQLWCHAR *out, SQLSMALLINT capacity,
                                    SQLSMALLINT *out_length) {
    return browse_connect(dbc, text, length, (target){out, capacity, sizeof(SQLWCHAR), 0, out_length, NULL});
}

/* ---- the end */

SQLRETURN SQL_API SQLDisconnect(SQLHDBC pointer) {
    ENTER_DBC(dbc, pointer);
    int is_open = dbc->connected || dbc->grant != NULL;
    if (!is_open) return leave(&dbc->base, post(&dbc->base, "08003", "the connection is not open"));
    free_connection_state(dbc);
    return leave(&dbc->base, SQL_SUCCESS);
}

/* Nothing is written, so there is nothing to commit. */
SQLRETURN SQL_API SQLEndTran(SQLSMALLINT kind, SQLHANDLE pointer, SQLSMALLINT completion) {
    ENTER(handle, h, pointer, kind);
    int known = completion == SQL_COMMIT || completion == SQL_ROLLBACK;
    return leave(h, known ? SQL_SUCCESS : post(h, "HY012", "unknown completion %d", completion));
}
