/* fork() while other threads request tokens: each child opens a connection, uses an inherited one, gets tokens and exits, while
   the parent continues. The mock server accepts each jti once, so a child that repeated a jti of its parent would be rejected. */
#include <authgrant.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 8, CHILDREN = 40, CHILD_TIMEOUT_SECS = 60 };

static const char *connection_string;
static authgrant_connection *inherited;
static authgrant_cancel_token *cancel_token; /* used by all threads, and by each child */
static atomic_int stop, fetched;

static authgrant_status get_token(authgrant_connection *connection, authgrant_token **token, authgrant_error **error) {
    authgrant_call_options options = {.size = sizeof options, .cancel_token = cancel_token};
    return authgrant_get_token_with(connection, &options, token, error);
}

/* Gets a token that is not cached, by using a new subject. */
static int fetch_uncached_token(authgrant_connection *connection, int number) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    char subject[64];
    snprintf(subject, sizeof subject, "user-%d-%d", (int)getpid(), number);
    int ok = authgrant_set_option(connection, "ClaimsSubject", subject, NULL) == AUTHGRANT_OK
        && get_token(connection, &token, &error) == AUTHGRANT_OK;
    if (!ok)
        fprintf(stderr, "%s: %s\n", subject, authgrant_error_message(error));
    authgrant_error_free(error);
    authgrant_token_free(token);
    return ok;
}

static void *fetch_until_stopped(void *argument) {
    int number = *(int *)argument * 1000000;
    authgrant_connection *connection = NULL;
    CHECK(authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK);
    while (!atomic_load(&stop)) {
        CHECK(fetch_uncached_token(connection, number++));
        atomic_fetch_add(&fetched, 1);
    }
    authgrant_close(connection);
    return NULL;
}

/* The child's copy of the token cancels calls of the child; those of the parent continue. */
static int cancel_in_child(void) {
    authgrant_token *token = NULL;
    authgrant_cancel_token_cancel(cancel_token);
    int ok = get_token(inherited, &token, NULL) == AUTHGRANT_CANCELLED && token == NULL;
    authgrant_cancel_token_reset(cancel_token);
    return ok;
}

static void run_child(void) {
    alarm(CHILD_TIMEOUT_SECS); /* kills a hanging child, so that the parent reports it */
    authgrant_connection *connection = NULL;
    int ok = authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK;
    ok = ok && cancel_in_child() && fetch_uncached_token(connection, 1) && fetch_uncached_token(inherited, 2);
    authgrant_close(connection);
    authgrant_close(inherited);
    authgrant_cancel_token_free(cancel_token);
    authgrant_clear_caches();
    _exit(ok ? 0 : 1);
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    if (argc != 2)
        return 2;
    connection_string = argv[1];
    CHECK(authgrant_open(connection_string, &inherited, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_cancel_token_new(&cancel_token, NULL) == AUTHGRANT_OK);
    CHECK(fetch_uncached_token(inherited, 0));
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i + 1;
        CHECK(pthread_create(&threads[i], NULL, fetch_until_stopped, &numbers[i]) == 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int before = atomic_load(&fetched), status = -1;
        pid_t pid = fork();
        if (pid == 0)
            run_child();
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        while (atomic_load(&fetched) == before) /* the parent's threads continue */
            usleep(1000);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(fetch_uncached_token(inherited, 1));
    authgrant_close(inherited);
    return checks_done("fork");
}
