/* Handles: their allocation, their locks, and what cancels them. */
#include "driver.h"
#include <stdlib.h>

static int handle_init(handle *h, SQLSMALLINT kind) {
    h->kind = kind;
    return pthread_mutex_init(&h->lock, NULL);
}

static void handle_destroy(handle *h) {
    forget_diagnostics(h);
    h->kind = 0;
    pthread_mutex_destroy(&h->lock);
}

handle *enter(void *pointer, SQLSMALLINT kind) {
    handle *h = pointer;
    if (h == NULL || h->kind != kind) return NULL;
    pthread_mutex_lock(&h->lock);
    forget_diagnostics(h);
    return h;
}

SQLRETURN leave(handle *h, SQLRETURN result) {
    if (result == SQL_SUCCESS && h->records != NULL) result = SQL_SUCCESS_WITH_INFO;
    h->result = result;
    pthread_mutex_unlock(&h->lock);
    return result;
}

int canceller_init(canceller *c) {
    if (pthread_mutex_init(&c->lock, NULL) != 0) return -1;
    if (authgrant_cancel_token_new(&c->token, NULL) == AUTHGRANT_OK) return 0;
    pthread_mutex_destroy(&c->lock);
    return -1;
}

void canceller_destroy(canceller *c) {
    authgrant_cancel_token_free(c->token);
    pthread_mutex_destroy(&c->lock);
}

void canceller_reset(canceller *c) {
    pthread_mutex_lock(&c->lock);
    c->cancelled = 0;
    authgrant_cancel_token_reset(c->token);
    pthread_mutex_unlock(&c->lock);
}

void canceller_cancel(canceller *c) {
    pthread_mutex_lock(&c->lock);
    c->cancelled = 1;
    authgrant_cancel_token_cancel(c->token);
    if (c->transfer != NULL) curl_multi_wakeup(c->transfer);
    pthread_mutex_unlock(&c->lock);
}

int canceller_is_cancelled(canceller *c) {
    pthread_mutex_lock(&c->lock);
    int cancelled = c->cancelled;
    pthread_mutex_unlock(&c->lock);
    return cancelled;
}

void canceller_set_transfer(canceller *c, CURLM *transfer) {
    pthread_mutex_lock(&c->lock);
    c->transfer = transfer;
    pthread_mutex_unlock(&c->lock);
}

static void start_libcurl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static SQLRETURN new_environment(SQLHANDLE *out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_libcurl);
    environment *env = calloc(1, sizeof *env);
    if (env == NULL || handle_init(&env->base, SQL_HANDLE_ENV) != 0) {
        free(env);
        return SQL_ERROR;
    }
    env->odbc_version = SQL_OV_ODBC3;
    *out = env;
    return SQL_SUCCESS;
}

static SQLRETURN new_connection(environment *env, SQLHANDLE *out) {
    connection *dbc = calloc(1, sizeof *dbc);
    if (dbc == NULL || canceller_init(&dbc->canceller) != 0) {
        free(dbc);
        return post(&env->base, "HY001", "out of memory");
    }
    if (handle_init(&dbc->base, SQL_HANDLE_DBC) != 0) {
        canceller_destroy(&dbc->canceller);
        free(dbc);
        return post(&env->base, "HY001", "out of memory");
    }
    dbc->login_timeout = -1;
    dbc->autocommit = SQL_AUTOCOMMIT_ON;
    dbc->access_mode = SQL_MODE_READ_ONLY;
    *out = dbc;
    return SQL_SUCCESS;
}

static SQLRETURN new_statement(connection *dbc, SQLHANDLE *out) {
    if (!dbc->connected) return post(&dbc->base, "08003", "the connection is not open");
    statement *s = calloc(1, sizeof *s);
    if (s == NULL || canceller_init(&s->canceller) != 0) {
        free(s);
        return post(&dbc->base, "HY001", "out of memory");
    }
    s->curl = curl_easy_init();
    s->transfers = curl_multi_init();
    if (s->curl == NULL || s->transfers == NULL || handle_init(&s->base, SQL_HANDLE_STMT) != 0) {
        curl_multi_cleanup(s->transfers);
        curl_easy_cleanup(s->curl);
        canceller_destroy(&s->canceller);
        free(s);
        return post(&dbc->base, "HY001", "out of memory");
    }
    for (size_t i = 0; i < 4; i++) handle_init(&s->descriptors[i], SQL_HANDLE_DESC);
    s->dbc = dbc;
    s->next = dbc->statements;
    dbc->statements = s;
    *out = s;
    return SQL_SUCCESS;
}

/* With the lock of the connection held. */
void free_statement(statement *s) {
    for (statement **link = &s->dbc->statements; *link != NULL; link = &(*link)->next) {
        if (*link == s) {
            *link = s->next;
            break;
        }
    }
    row_set_free(s->rows);
    parts_reset(&s->parts);
    free(s->bindings);
    free(s->table);
    free(s->columns);
    curl_easy_cleanup(s->curl);
    curl_multi_cleanup(s->transfers);
    canceller_destroy(&s->canceller);
    for (size_t i = 0; i < 4; i++) handle_destroy(&s->descriptors[i]);
    handle_destroy(&s->base);
    free(s);
}

SQLRETURN SQL_API SQLAllocHandle(SQLSMALLINT kind, SQLHANDLE parent, SQLHANDLE *out) {
    if (out == NULL) return SQL_ERROR;
    *out = SQL_NULL_HANDLE;
    if (kind == SQL_HANDLE_ENV) return new_environment(out);
    if (kind == SQL_HANDLE_DBC) {
        ENTER(environment, env, parent, SQL_HANDLE_ENV);
        return leave(&env->base, new_connection(env, out));
    }
    ENTER_DBC(dbc, parent);
    if (kind == SQL_HANDLE_STMT) return leave(&dbc->base, new_statement(dbc, out));
    return leave(&dbc->base, post(&dbc->base, "HYC00", "handles of kind %d are not supported", kind));
}

static SQLRETURN drop_statement(SQLHSTMT pointer) {
    ENTER_STMT(s, pointer);
    connection *dbc = s->dbc;
    leave(&s->base, SQL_SUCCESS);
    pthread_mutex_lock(&dbc->base.lock);
    free_statement(s);
    pthread_mutex_unlock(&dbc->base.lock);
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLFreeHandle(SQLSMALLINT kind, SQLHANDLE pointer) {
    if (kind == SQL_HANDLE_STMT) return drop_statement(pointer);
    ENTER(handle, h, pointer, kind);
    if (kind == SQL_HANDLE_DBC) {
        connection *dbc = (connection *)(void *)h;
        if (dbc->connected) return leave(h, post(h, "HY010", "the connection is open; call SQLDisconnect first"));
        free_connection_state(dbc);
        canceller_destroy(&dbc->canceller);
    }
    leave(h, SQL_SUCCESS);
    handle_destroy(h);
    free(h);
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLFreeStmt(SQLHSTMT pointer, SQLUSMALLINT option) {
    if (option == SQL_DROP) return drop_statement(pointer);
    ENTER_STMT(s, pointer);
    if (option == SQL_CLOSE) {
        row_set_free(s->rows);
        s->rows = NULL;
        s->row = NULL;
        parts_reset(&s->parts);
    } else if (option == SQL_UNBIND) {
        free(s->bindings);
        s->bindings = NULL;
        s->binding_count = 0;
    } else if (option != SQL_RESET_PARAMS) {
        return leave(&s->base, post(&s->base, "HY092", "unknown option %u", option));
    }
    return leave(&s->base, SQL_SUCCESS);
}

/* Cancels the function that another thread executes on the handle; without one it has no effect. Takes no lock of the handle, which that
 * function holds, and leaves the diagnostics of that function alone. */
SQLRETURN SQL_API SQLCancel(SQLHSTMT pointer) {
    statement *s = pointer;
    if (s == NULL || s->base.kind != SQL_HANDLE_STMT) return SQL_INVALID_HANDLE;
    canceller_cancel(&s->canceller);
    return SQL_SUCCESS;
}

SQLRETURN SQL_API SQLCancelHandle(SQLSMALLINT kind, SQLHANDLE pointer) {
    handle *h = pointer;
    if (h == NULL || h->kind != kind) return SQL_INVALID_HANDLE;
    if (kind == SQL_HANDLE_STMT) canceller_cancel(&((statement *)pointer)->canceller);
    if (kind == SQL_HANDLE_DBC) canceller_cancel(&((connection *)pointer)->canceller);
    return kind == SQL_HANDLE_STMT || kind == SQL_HANDLE_DBC ? SQL_SUCCESS : SQL_ERROR;
}
