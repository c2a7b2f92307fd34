/*
 * authgrant through its C API. `ours first STORE` opens the store, fetches one token and prints the time since the start of
 * main; without arguments it reads commands (bench.h).
 */
#define _GNU_SOURCE
#include "authgrant.h"
#include "bench.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The address of the error, because the call that sets it is an argument, too; NULL without one. */
static void check(authgrant_status status, authgrant_error **error) {
    if (status == AUTHGRANT_OK) return;
    die(error == NULL ? authgrant_status_name(status) : authgrant_error_message(*error));
}

/* Opens a connection with a key store, extra options, and those of BENCH_OPTIONS. */
static authgrant_connection *open_with(const char *key, const char *extra) {
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    const char *options = getenv("BENCH_OPTIONS");
    char *text = NULL, *url = endpoint("ours"), *ca = fixture_file("ca.pem");

    if (asprintf(&text,
                 "AuthenticationMethod=55;ClaimsIssuer=1a2b3c4d5e_6f7g8h9g;ClaimsSubject=jsmith@example.com;"
                 "JWTCertStore=%s;Scope=signature impersonation;ScopeIn=Claim;TokenURI=POST %s;TrustStore=%s;%s%s",
                 key, url, ca, options == NULL ? "" : options, extra) < 0)
        die("asprintf");
    check(authgrant_open(text, &connection, &error), &error);
    free(text);
    free(url);
    free(ca);
    return connection;
}

static authgrant_connection *open_pem(const char *name) {
    char *key = fixture_file(name);
    authgrant_connection *connection = open_with(key, "");

    free(key);
    return connection;
}

static int get(void *connection) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;

    check(authgrant_get_token(connection, &token, &error), &error);
    if (authgrant_token_value(token)[0] == 0) die("empty token");
    authgrant_token_free(token);
    return 0;
}

/* Requests a new token on each call: authgrant_logoff() removes it from the cache, and sends nothing without LogoffURI. */
static int fetch(void *connection) {
    get(connection);
    return authgrant_logoff(connection, NULL);
}

static void set_user(authgrant_connection *connection, int number) {
    char name[32];
    authgrant_error *error = NULL;

    snprintf(name, sizeof name, "user%05d@example.com", number);
    check(authgrant_set_option(connection, "ClaimsSubject", name, &error), &error);
}

/* ---- reading a cached token */

static void read_cached_tokens(void *connection, int steps) {
    authgrant_token *token;

    for (int i = 0; i < steps; i++) {
        if (authgrant_get_token(connection, &token, NULL) != AUTHGRANT_OK) die("get_token");
        if (authgrant_token_value(token) == NULL) die("value");
        authgrant_token_free(token);
    }
}

static void run_reads(int threads, int equal, int milliseconds) {
    void **connections = calloc((size_t)threads, sizeof *connections);
    struct load load = {read_cached_tokens, connections, threads, milliseconds};

    for (int i = 0; i < threads; i++) connections[i] = i == 0 || equal ? open_pem("rsa.pem") : connections[0];
    run_load(&load);
    for (int i = 0; i < threads; i++) {
        if (i == 0 || equal) authgrant_close(connections[i]);
    }
    free(connections);
}

/* ---- signing */

static int sign(void *connection) {
    char *assertion = NULL;
    authgrant_error *error = NULL;

    check(authgrant_create_assertion(connection, &assertion, &error), &error);
    authgrant_string_free(assertion);
    return 0;
}

/* ---- thundering herd: each of many threads uses all of many equal connections */

struct herd {
    authgrant_connection **connections;
    int count, empty;
    int64_t *end;
};

static pthread_barrier_t start_barrier;

static void *get_all_tokens(void *argument) {
    struct herd *herd = argument;

    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < herd->count; i++) {
        if (!herd->empty) get(herd->connections[i]);
    }
    *herd->end = wall_ns();
    return NULL;
}

/*
 * Prints nanoseconds until the last thread is done. There are no cached tokens and no idle connections. The connections are
 * new, or have all had a token before. With `empty` the threads get no tokens.
 */
static void run_herd(int threads, int count, int had_token, int empty) {
    pthread_t *thread_ids = calloc((size_t)threads, sizeof *thread_ids);
    struct herd *herds = calloc((size_t)threads, sizeof *herds);
    int64_t *ends = calloc((size_t)threads, sizeof *ends), last = 0, started;
    authgrant_connection **connections = calloc((size_t)count, sizeof *connections);

    for (int i = 0; i < count; i++) connections[i] = open_pem("rsa.pem");
    for (int i = 0; i < count && had_token; i++) get(connections[i]);
    authgrant_clear_caches();
    pthread_barrier_init(&start_barrier, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        herds[i] = (struct herd){connections, count, empty, &ends[i]};
        if (pthread_create(&thread_ids[i], NULL, get_all_tokens, &herds[i]) != 0) die("pthread_create");
    }
    started = wall_ns();
    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < threads; i++) {
        pthread_join(thread_ids[i], NULL);
        if (ends[i] > last) last = ends[i];
    }
    printf("%ld\n", (long)(last - started));
    pthread_barrier_destroy(&start_barrier);
    for (int i = 0; i < count; i++) authgrant_close(connections[i]);
    free(connections);
    free(ends);
    free(herds);
    free(thread_ids);
}

/* One call on a new connection, without cached tokens and idle connections. */
static void run_cold_call(void) {
    authgrant_connection *connection = open_pem("rsa.pem");
    int64_t started;

    authgrant_clear_caches();
    started = wall_ns();
    get(connection);
    printf("%ld\n", (long)(wall_ns() - started));
    authgrant_close(connection);
}

/* ---- many users */

struct users {
    authgrant_connection *connection;
    int first_user, count;
};

static void *impersonate(void *argument) {
    struct users *users = argument;

    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < users->count; i++) {
        set_user(users->connection, users->first_user + i);
        get(users->connection);
    }
    return NULL;
}

/* Prints tokens per second, and nanoseconds of CPU time of this process per token. */
static void run_users(int threads, int count) {
    pthread_t *thread_ids = calloc((size_t)threads, sizeof *thread_ids);
    struct users *users = calloc((size_t)threads, sizeof *users);
    int64_t started, cpu_start, elapsed, used;

    authgrant_clear_caches();
    pthread_barrier_init(&start_barrier, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        users[i] = (struct users){open_pem("rsa.pem"), i * (count / threads), count / threads};
        get(users[i].connection);
        if (pthread_create(&thread_ids[i], NULL, impersonate, &users[i]) != 0) die("pthread_create");
    }
    cpu_start = process_ns();
    started = wall_ns();
    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < threads; i++) pthread_join(thread_ids[i], NULL);
    elapsed = wall_ns() - started;
    used = process_ns() - cpu_start;
    printf("%.1f %ld\n", count * 1e9 / (double)elapsed, (long)(used / count));
    pthread_barrier_destroy(&start_barrier);
    for (int i = 0; i < threads; i++) authgrant_close(users[i].connection);
    free(users);
    free(thread_ids);
}

/* Caches tokens of `count` users with one connection; prints bytes of heap and of RssAnon per token, without its text. */
static void fill_cache(int count) {
    authgrant_connection *connection = open_pem("rsa.pem");
    authgrant_token *token = NULL;
    size_t before, length;
    long resident;

    check(authgrant_get_token(connection, &token, NULL), NULL);
    length = authgrant_token_length(token) + 1;
    authgrant_token_free(token);
    before = mallinfo2().uordblks;
    resident = status_of("RssAnon:");
    for (int i = 0; i < count; i++) {
        set_user(connection, i);
        get(connection);
    }
    printf("%.0f %.0f\n", (double)(mallinfo2().uordblks - before) / count - (double)length,
           (double)(status_of("RssAnon:") - resident) * 1024 / count - (double)length);
    authgrant_close(connection);
}

/* ---- a gateway: many open connections, each for a user of its own or all equal */

/* A lookup in the token cache: a call with a minimum lifetime does not use the token that the connection had last. */
static void look_up(authgrant_connection *connection) {
    authgrant_call_options options = {.size = sizeof options, .min_validity_s = 1};
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;

    check(authgrant_get_token_with(connection, &options, &token, &error), &error);
    authgrant_token_free(token);
}

/* Prints nanoseconds per call of authgrant_get_token() and per lookup, in the second of two rounds over all connections. The
 * token is a JWT with an HMAC, so that the first round needs no server. */
static void run_gateway(int count, int equal) {
    authgrant_connection **connections = calloc((size_t)count, sizeof *connections);
    int64_t started, read_ns = 0, lookup_ns = 0;

    for (int i = 0; i < count; i++) {
        char text[256];
        authgrant_error *error = NULL;

        snprintf(text, sizeof text, "AuthenticationMethod=JWT;ClaimsIssuer=gateway;JWTSecret=01234567890123456789012345678901;"
                 "JWTLifetime=3600;ClaimsSubject=user%d@example.com", equal ? 0 : i);
        check(authgrant_open(text, &connections[i], &error), &error);
    }
    for (int round = 0; round < 2; round++) {
        started = wall_ns();
        for (int i = 0; i < count; i++) get(connections[i]);
        read_ns = wall_ns() - started;
        started = wall_ns();
        for (int i = 0; i < count; i++) look_up(connections[i]);
        lookup_ns = wall_ns() - started;
    }
    printf("%.1f %.1f\n", (double)read_ns / count, (double)lookup_ns / count);
    for (int i = 0; i < count; i++) authgrant_close(connections[i]);
    free(connections);
}

/* ---- */

static int run_first(const char *store) {
    int64_t started = wall_ns();
    authgrant_connection *connection = open_with(store, "JWTCertPassword=secret");

    get(connection);
    printf("%ld\n", (long)(wall_ns() - started));
    authgrant_close(connection);
    return 0;
}

int main(int argc, char **argv) {
    char line[256], algorithm[32];
    int a, b;
    authgrant_connection *rsa, *ec;

    check(authgrant_set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, 0, NULL), NULL);
    if (argc == 3 && strcmp(argv[1], "first") == 0) return run_first(argv[2]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    rsa = open_pem("rsa.pem");
    ec = open_pem("ec.pem");
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "read %d one %d", &a, &b) == 2) run_reads(a, 0, b);
        else if (sscanf(line, "read %d equal %d", &a, &b) == 2) run_reads(a, 1, b);
        else if (sscanf(line, "steps %d", &a) == 1) { read_cached_tokens(rsa, a); puts("0"); }
        else if (sscanf(line, "sign %31s %d", algorithm, &a) == 2) run_each(a, sign, algorithm[0] == 'R' ? rsa : ec);
        else if (sscanf(line, "fetch %d", &a) == 1) run_each(a, fetch, rsa);
        else if (sscanf(line, "herd %d %d", &a, &b) == 2) run_herd(a, b, 0, 0);
        else if (sscanf(line, "herd-again %d %d", &a, &b) == 2) run_herd(a, b, 1, 0);
        else if (sscanf(line, "empty %d %d", &a, &b) == 2) run_herd(a, b, 0, 1);
        else if (strcmp(line, "cold\n") == 0) run_cold_call();
        else if (sscanf(line, "users %d %d", &a, &b) == 2) run_users(a, b);
        else if (sscanf(line, "fill %d", &a) == 1) fill_cache(a);
        else if (sscanf(line, "gateway %d %d", &a, &b) == 2) run_gateway(a, b);
        else printf("error %s", line);
    }
    authgrant_close(rsa);
    authgrant_close(ec);
    return 0;
}
