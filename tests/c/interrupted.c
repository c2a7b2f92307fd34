/* A signal each millisecond, whose handler is installed without SA_RESTART: no call may fail because a system call was interrupted.
   Usage: interrupted STRING DIRECTORY LOGIN_STRING USER. Tokens are shared in DIRECTORY; LOGIN_STRING requires a consent, which the
   program USER gives. */
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { COLD_REQUESTS = 20, THREADS = 8, SHARED_TOKENS = 10 };

static atomic_long interruptions;

static void count_interruption(int signal) {
    (void)signal;
    atomic_fetch_add(&interruptions, 1);
}

static void start_interruptions(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_interruption;
    struct itimerval interval = {{0, 1000}, {0, 1000}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &interval, NULL) == 0);
}

static authgrant_status get_token_with_scope(const char *text, const char *scope) {
    authgrant_connection *connection = open_with_scope(text, scope);
    authgrant_status status = get_token(connection);
    authgrant_close(connection);
    return status;
}

/* Each request reads the key store, connects and performs a TLS handshake. */
static void request_cold_tokens(const char *text) {
    for (int i = 0; i < COLD_REQUESTS; i++) {
        authgrant_clear_caches();
        CHECK(get_token_with_scope(text, "cold") == AUTHGRANT_OK);
    }
}

static authgrant_connection *shared_connection;

static void *wait_for_token(void *unused) {
    (void)unused;
    CHECK(get_token(shared_connection) == AUTHGRANT_OK);
    return NULL;
}

/* One thread requests the token, and the others wait for it. */
static void request_from_threads(const char *text) {
    pthread_t threads[THREADS];
    authgrant_clear_caches();
    shared_connection = open_with_scope(text, "threads");
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, wait_for_token, NULL) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    authgrant_close(shared_connection);
}

/* Writes each token to the folder, and reads it there after the cache of the process was cleared. */
static void share_tokens(const char *text, const char *directory) {
    char store[4096], scope[32];
    snprintf(store, sizeof store, "file:%s", directory);
    for (int i = 0; i < SHARED_TOKENS; i++) {
        authgrant_token *written = NULL, *read = NULL;
        snprintf(scope, sizeof scope, "shared%d-%d", (int)getpid(), i); /* no token of an earlier run */
        authgrant_connection *connection = open_with_scope(text, scope);
        CHECK(authgrant_set_option(connection, "TokenCache", store, NULL) == AUTHGRANT_OK);
        CHECK(authgrant_get_token(connection, &written, NULL) == AUTHGRANT_OK);
        authgrant_clear_caches();
        CHECK(authgrant_get_token(connection, &read, NULL) == AUTHGRANT_OK);
        CHECK(written && read && strcmp(authgrant_token_value(written), authgrant_token_value(read)) == 0);
        authgrant_token_free(written);
        authgrant_token_free(read);
        authgrant_close(connection);
    }
}

/* The URL is shown by a program in the background. */
static int32_t start_user(const char *url, void *user) {
    char command[8192];
    snprintf(command, sizeof command, "%s '%s' >/dev/null &", (const char *)user, url);
    return system(command);
}

static void log_in(const char *text, char *user) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    CHECK(authgrant_open(text, &connection, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_authorize(connection, start_user, user, &error) == AUTHGRANT_OK);
    if (error != NULL) fprintf(stderr, "authorize: %s\n", authgrant_error_message(error));
    authgrant_error_free(error);
    authgrant_close(connection);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    start_interruptions();
    request_cold_tokens(argv[1]);
    request_from_threads(argv[1]);
    share_tokens(argv[1], argv[2]);
    log_in(argv[3], argv[4]);
    CHECK(atomic_load(&interruptions) > COLD_REQUESTS);
    printf("interrupted: %ld interruptions\n", atomic_load(&interruptions));
    return checks_done("interrupted");
}
