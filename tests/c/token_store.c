/* Usage: token_store 'CONNECTION STRING' DATABASE. Processes share a token through the store of examples-c/token_store_sqlite, which this
   process sets and its forked children keep; DATABASE is an absolute path; it is replaced. Also with a store that fails. */
#include "../../examples-c/token_store_sqlite/sqlite_store.h"
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, CAPACITY = 4096 };

/* What a function of the store does wrong. */
enum fault { NONE, GET_FAILS, LENGTH_IS_ABSURD, TTL_IS_NEGATIVE, LEASE_FAILS, TAKEN_IS_ABSURD, PUT_FAILS, PUT_IS_SILENT, RELEASE_FAILS };

static const char *connection_string;
static authgrant_token_store sqlite;
static enum fault fault;
static int reads, writes;

static int32_t get(const char *name, uint8_t *buffer, size_t capacity, size_t *length, int64_t *ttl_ms, void *context) {
    __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
    CHECK(strlen(name) <= 64 && *length == 0 && authgrant_open("", NULL, NULL) == AUTHGRANT_INVALID_ARGUMENT);
    if (fault == GET_FAILS) return 77;
    int32_t status = sqlite.get(name, buffer, capacity, length, ttl_ms, context);
    if (fault == LENGTH_IS_ABSURD) *length = SIZE_MAX;
    if (fault == TTL_IS_NEGATIVE) *length = 20, *ttl_ms = -1;
    return status;
}

static int32_t lease(const char *name, const uint8_t *owner, int64_t ttl_ms, int32_t *taken, void *context) {
    if (fault == LEASE_FAILS) return 77;
    int32_t status = sqlite.lease(name, owner, ttl_ms, taken, context);
    if (fault == TAKEN_IS_ABSURD) *taken = 77;
    return status;
}

static int32_t put(const char *name, const uint8_t *owner, uint64_t expected_generation, uint64_t generation, const uint8_t *value,
                   size_t length, int64_t ttl_ms, int32_t *written, void *context) {
    __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED);
    if (fault == PUT_FAILS) return 77;
    if (fault == PUT_IS_SILENT) return 0;
    return sqlite.put(name, owner, expected_generation, generation, value, length, ttl_ms, written, context);
}

static int32_t release(const char *name, const uint8_t *owner, void *context) {
    return fault == RELEASE_FAILS ? 77 : sqlite.release(name, owner, context);
}

/* `subject` selects the entry. */
static authgrant_connection *open_shared(const char *subject) {
    static const char *const names[] = {"ClaimsSubject", "TokenCache", "TokenCacheTimeout"};
    const char *const values[] = {subject, "application:", "20000"};
    authgrant_connection *connection = NULL;
    CHECK(authgrant_open(connection_string, &connection, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_set_options(connection, names, values, 3, NULL) == AUTHGRANT_OK);
    return connection;
}

/* Copies the token; checks the number of warnings about the store. */
static void get_token(const char *subject, int expected_warnings, char *copy) {
    authgrant_connection *connection = open_shared(subject);
    authgrant_token *token = NULL;
    authgrant_error *error = NULL, *warnings = NULL;
    int found = 0;

    CHECK(authgrant_get_token(connection, &token, &error) == AUTHGRANT_OK);
    if (error != NULL) fprintf(stderr, "%s\n", authgrant_error_message(error));
    snprintf(copy, CAPACITY, "%s", token == NULL ? "" : authgrant_token_value(token));
    CHECK(authgrant_get_warnings(connection, &warnings, NULL) == AUTHGRANT_OK);
    for (const authgrant_error *one = warnings; one != NULL; one = authgrant_error_next(one)) {
        if (strstr(authgrant_error_message(one), "[token cache]") == NULL) continue;
        found++;
        if (found > expected_warnings) fprintf(stderr, "%s\n", authgrant_error_message(one));
    }
    CHECK(found == expected_warnings);
    authgrant_error_free(error);
    authgrant_error_free(warnings);
    authgrant_token_free(token);
    authgrant_close(connection);
}

/* A token of a forked child, which has no token of its parent. The process forgets the failures of its store, too. */
static void get_token_in_child(enum fault child_fault, const char *subject, int expected_warnings, char *copy) {
    int ends[2], status = -1;
    size_t length = 0;
    ssize_t got;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        fault = child_fault;
        get_token(subject, expected_warnings, copy);
        CHECK(write(ends[1], copy, strlen(copy)) == (ssize_t)strlen(copy));
        sqlite_store_close();
        _exit(checks_failed != 0);
    }
    close(ends[1]);
    while ((got = read(ends[0], copy + length, CAPACITY - 1 - length)) > 0) length += (size_t)got;
    copy[length] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child && status == 0 && length > 0);
}

static void check_sharing(void) {
    static char parent[CAPACITY], child[CAPACITY], again[CAPACITY];
    get_token_in_child(NONE, "first@example.com", 0, child);
    get_token("first@example.com", 0, parent);
    get_token_in_child(NONE, "first@example.com", 0, again);
    CHECK(strcmp(child, parent) == 0 && strcmp(child, again) == 0);
    CHECK(reads > 0 && writes == 0); /* the parent only read it */
}

/* Each of these costs one warning and no token, and the token is not shared. */
static void check_faults(void) {
    static const enum fault with_warning[] = {GET_FAILS,       LENGTH_IS_ABSURD, TTL_IS_NEGATIVE, LEASE_FAILS,
                                              TAKEN_IS_ABSURD, PUT_FAILS,        PUT_IS_SILENT};
    static char one[CAPACITY], other[CAPACITY];
    for (size_t i = 0; i < sizeof with_warning / sizeof *with_warning; i++) {
        char subject[64];
        snprintf(subject, sizeof subject, "fault%d@example.com", (int)with_warning[i]);
        get_token_in_child(with_warning[i], subject, 1, one);
        get_token_in_child(with_warning[i], subject, 1, other);
        CHECK(strcmp(one, other) != 0);
    }
    /* The token is written before the lease is released, so others need not wait for the end of the lease. */
    get_token_in_child(RELEASE_FAILS, "release@example.com", 0, one);
    get_token_in_child(NONE, "release@example.com", 0, other);
    CHECK(strcmp(one, other) == 0);
}

static void *get_token_in_thread(void *number) {
    char subject[64], copy[CAPACITY];
    snprintf(subject, sizeof subject, "thread%d@example.com", *(int *)number);
    get_token(subject, 0, copy);
    return NULL;
}

static void check_threads(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, get_token_in_thread, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(writes == THREADS);
}

int main(int argc, char **argv) {
    authgrant_token_store store = {sizeof store, NULL, get, lease, put, release};

    if (argc != 3) return 2;
    connection_string = argv[1];
    unlink(argv[2]);
    CHECK(sqlite_store_open(argv[2], &sqlite) == 0);
    CHECK(authgrant_set_token_store(&store, NULL) == AUTHGRANT_OK);
    check_sharing();
    check_faults();
    check_threads();
    sqlite_store_close();
    return checks_done("token_store");
}
