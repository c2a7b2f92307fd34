/* Threads get, reject and cancel tokens, change options, and open, close and clear, all on the same connections: each call returns one
   of its documented results, and ThreadSanitizer finds no data race (scripts/sanitize.sh thread). Usage: races STRING [ROUNDS]. */
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CONNECTIONS = 3, DEFAULT_ROUNDS = 40 };

static const char *connection_string;
static authgrant_connection *connections[CONNECTIONS];
static authgrant_cancel_token *cancel_token;
static pthread_barrier_t start_barrier;
static int rounds;
static atomic_int tokens, log_records;

/* Other threads cancel calls, and set options whose new scope has no token yet. */
static int is_documented(authgrant_status status) {
    return status == AUTHGRANT_OK || status == AUTHGRANT_CANCELLED || status == AUTHGRANT_NOT_CACHED;
}

static void check_documented(authgrant_status status, authgrant_error *error) {
    CHECK(is_documented(status));
    if (!is_documented(status)) fprintf(stderr, "%s %s\n", authgrant_status_name(status), authgrant_error_message(error));
    authgrant_error_free(error);
}

static void get(authgrant_connection *connection, int round) {
    authgrant_call_options options = {sizeof options, 0, 0, 0, NULL};
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    if (round % 3 == 1) options.flags = AUTHGRANT_NO_NETWORK;
    if (round % 3 == 2) options.cancel_token = cancel_token;
    authgrant_status status = authgrant_get_token_with(connection, &options, &token, &error);
    check_documented(status, error);
    if (status == AUTHGRANT_OK) {
        CHECK(authgrant_token_length(token) > 0);
        atomic_fetch_add(&tokens, 1);
    }
    authgrant_token_free(token);
}

static void reject(authgrant_connection *connection, int round) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_token(connection, &token, &error);
    check_documented(status, error);
    if (token != NULL && round % 2 == 0) CHECK(authgrant_reject_token(connection, token, NULL) == AUTHGRANT_OK);
    authgrant_token_free(token);
}

static void cancel(authgrant_connection *connection, int round) {
    if (round % 2 == 0) {
        CHECK(authgrant_cancel(connection, NULL) == AUTHGRANT_OK);
        return;
    }
    authgrant_cancel_token_cancel(cancel_token);
    authgrant_cancel_token_reset(cancel_token);
}

static void set_options(authgrant_connection *connection, int round) {
    char scope[16];
    snprintf(scope, sizeof scope, "scope%d", round % 4);
    CHECK(authgrant_set_option(connection, "Scope", scope, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_option(connection, "LoginTimeout", round % 2 == 0 ? "30" : "60", NULL) == AUTHGRANT_OK);
}

static void open_and_close(authgrant_connection *unused, int round) {
    (void)unused;
    authgrant_connection *connection = open_with_scope(connection_string, "scope0");
    CHECK(connection != NULL);
    if (round % 2 == 0) get(connection, round);
    authgrant_close(connection);
}

static void clear(authgrant_connection *connection, int round) {
    char *text = NULL;
    if (round % 8 == 0) authgrant_clear_caches();
    if (round % 8 == 4) check_documented(authgrant_logoff(connection, NULL), NULL);
    CHECK(authgrant_explain(connection, &text, NULL) == AUTHGRANT_OK);
    authgrant_string_free(text);
    CHECK(authgrant_get_stats(&text, NULL) == AUTHGRANT_OK);
    authgrant_string_free(text);
}

static void count_record(int32_t level, const char *message, void *context) {
    (void)level, (void)message, (void)context;
    atomic_fetch_add_explicit(&log_records, 1, memory_order_relaxed);
}

static void change_process(authgrant_connection *connection, int round) {
    CHECK(authgrant_set_log(connection, round % 2 == 0 ? count_record : NULL, NULL, 5, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_policy(0, AUTHGRANT_FORBID_PROMPT, NULL) == AUTHGRANT_OK);
}

typedef void (*round_fn)(authgrant_connection *connection, int round);

static void *run_rounds(void *function) {
    round_fn run = *(round_fn *)function;
    pthread_barrier_wait(&start_barrier);
    for (int round = 0; round < rounds; round++) run(connections[round % CONNECTIONS], round);
    return NULL;
}

int main(int argc, char **argv) {
    static round_fn functions[] = {get, get, get, get, reject, cancel, set_options, open_and_close, clear, change_process};
    enum { THREADS = sizeof functions / sizeof *functions };
    pthread_t threads[THREADS];
    if (argc < 2) return 2;
    connection_string = argv[1];
    rounds = argc > 2 ? atoi(argv[2]) : DEFAULT_ROUNDS;
    CHECK(authgrant_cancel_token_new(&cancel_token, NULL) == AUTHGRANT_OK);
    for (int i = 0; i < CONNECTIONS; i++) connections[i] = open_with_scope(connection_string, "scope0");
    pthread_barrier_init(&start_barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run_rounds, &functions[i]) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&tokens) > 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        CHECK(get_token(connections[i]) == AUTHGRANT_OK);
        authgrant_close(connections[i]);
    }
    authgrant_cancel_token_free(cancel_token);
    pthread_barrier_destroy(&start_barrier);
    printf("races: %d tokens\n", atomic_load(&tokens));
    return checks_done("races");
}
