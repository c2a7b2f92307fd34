/* Calls after the destruction of the library's thread-local data: from the destructor of a C++ thread_local, from a pthread key
 * destructor and from an atexit handler. Each call requires the network, because no token is cached for its scope. */
#include "authgrant.h"
#include "get_token.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const char *connection_string;
static pthread_key_t key;

/* With this function of the C library, C++ registers the destructor of a thread_local. They run in reverse order. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso_handle);
extern void *__dso_handle;

static atomic_int passed_runs;

/* The address of the error, because the call that sets it is an argument, too. */
static int is_ok(const char *where, const char *call, authgrant_status status, authgrant_error **error) {
    if (status == AUTHGRANT_OK) return 1;
    fprintf(stderr, "%s: %s: %s %s\n", where, call, authgrant_status_name(status), authgrant_error_message(*error));
    authgrant_error_free(*error);
    *error = NULL;
    return 0;
}

/* Calls that a driver may make during shutdown. */
static int exercise_api(const char *where, const char *scope) {
    authgrant_connection *connection = open_with_scope(connection_string, scope);
    authgrant_token *token = NULL;
    authgrant_headers *headers = NULL;
    authgrant_error *error = NULL;
    char *text = NULL;
    int ok = is_ok(where, "get_token", authgrant_get_token(connection, &token, &error), &error);
    ok &= token != NULL && authgrant_token_length(token) > 0;
    authgrant_token_free(token);
    ok &= is_ok(where, "get_token again", authgrant_get_token(connection, &token, &error), &error);
    ok &= is_ok(where, "reject_token", authgrant_reject_token(connection, token, &error), &error);
    authgrant_token_free(token);
    ok &= is_ok(where, "get_headers", authgrant_get_headers(connection, &headers, &error), &error);
    authgrant_headers_free(headers);
    ok &= is_ok(where, "create_assertion", authgrant_create_assertion(connection, &text, &error), &error);
    authgrant_string_free(text);
    ok &= is_ok(where, "validate", authgrant_validate(connection, &text, &error), &error);
    authgrant_string_free(text);
    ok &= is_ok(where, "set_option", authgrant_set_option(connection, "LoginTimeout", "30", &error), &error);
    ok &= is_ok(where, "get_stats", authgrant_get_stats(&text, &error), &error);
    authgrant_string_free(text);
    ok &= is_ok(where, "logoff", authgrant_logoff(connection, &error), &error);
    authgrant_close(connection);
    return ok;
}

static void thread_data_destructor(void *scope) {
    if (exercise_api("thread destructor", scope)) passed_runs++;
}

static void thread_local_destructor(void *unused) {
    (void)unused;
    if (exercise_api("thread_local destructor", "thread_local")) passed_runs++;
}

static void *thread_body(void *scope) {
    pthread_setspecific(key, scope);
    /* Before those of the library, and so run after them. */
    __cxa_thread_atexit_impl(thread_local_destructor, NULL, &__dso_handle);
    /* Creates the thread-local data that is destroyed later. */
    if (exercise_api("thread", "before")) passed_runs++;
    return NULL;
}

/* Opened in main() and closed by the atexit handler. */
static authgrant_connection *last_connection;

static void exit_handler(void) {
    if (exercise_api("atexit", "atexit")) passed_runs++;
    authgrant_clear_caches();
    authgrant_close(last_connection);
    if (passed_runs != 7) {
        fprintf(stderr, "only %d of 7 runs passed\n", passed_runs);
        _Exit(1);
    }
    printf("exit: all checks passed\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    connection_string = argv[1];
    atexit(exit_handler);
    pthread_key_create(&key, thread_data_destructor);
    pthread_t threads[2];
    static char scopes[2][8] = {"one", "two"};
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, thread_body, scopes[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    last_connection = open_with_scope(connection_string, "last");
    authgrant_token *token = NULL;
    if (authgrant_get_token(last_connection, &token, NULL) != AUTHGRANT_OK) return 1;
    authgrant_token_free(token);
    return 0;
}
