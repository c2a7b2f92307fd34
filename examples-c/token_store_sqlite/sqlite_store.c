/* The four functions of a token store over two tables. authgrant.h documents at authgrant_token_store what each must guarantee.
 *
 * The database is on a local disk: SQLite's locks do not work on NFS. It needs no protection beyond that of the file, because values
 * are encrypted by the library. All processes of a machine have the same clock, so ends are times of that clock; a store for several
 * machines would use the clock of its server. */
#define _POSIX_C_SOURCE 200809L
#include "sqlite_store.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds to wait for another process that writes: less than TokenCacheTimeout, within which each function must return. */
enum { BUSY_TIMEOUT = 400 };

/* The end of what would live longer, so that a sum does not overflow: 100 years. */
static const int64_t MAX_TTL = INT64_C(100) * 366 * 24 * 3600 * 1000;

static const char SCHEMA[] =
    "PRAGMA journal_mode = WAL;" /* readers do not wait for a writer */
    "PRAGMA synchronous = FULL;" /* a refresh token that was written survives a power failure */
    "CREATE TABLE IF NOT EXISTS entries ("
    "  name TEXT PRIMARY KEY, generation INTEGER NOT NULL, value BLOB NOT NULL, expires_ms INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, owner BLOB NOT NULL, expires_ms INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS entries_by_end ON entries (expires_ms);"
    "CREATE INDEX IF NOT EXISTS leases_by_end ON leases (expires_ms);";

/* One connection for all threads, which is used with the mutex held. NULL until it is needed. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sqlite3 *database;
static char *database_path;

static void lock(void) { pthread_mutex_lock(&mutex); }

static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void close_database(void) {
    sqlite3_close(database);
    database = NULL;
}

/* Locks of SQLite belong to a process, so a forked child must not have a connection of its parent, not even to close it. Each process
   opens its own when it needs it. */
static void before_fork(void) {
    lock();
    close_database();
}

static int64_t now_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int try_to_open(void) {
    int result = sqlite3_open_v2(database_path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (result == SQLITE_OK) result = sqlite3_busy_timeout(database, BUSY_TIMEOUT);
    if (result == SQLITE_OK) result = sqlite3_exec(database, SCHEMA, NULL, NULL, NULL);
    if (result != SQLITE_OK) close_database();
    return result;
}

/* SQLite does not wait if two processes change the journal mode of a new database at a time. */
static int open_database(void) {
    static const struct timespec pause = {0, 5000000};
    int result = SQLITE_OK;
    int64_t start = now_ms(CLOCK_MONOTONIC);
    while (database == NULL) {
        result = try_to_open();
        if (result != SQLITE_BUSY || now_ms(CLOCK_MONOTONIC) - start >= BUSY_TIMEOUT) break;
        nanosleep(&pause, NULL);
    }
    return result;
}

/* Binds a number, if the statement has this parameter. */
static void bind_number(sqlite3_stmt *statement, const char *parameter, int64_t value) {
    sqlite3_bind_int64(statement, sqlite3_bind_parameter_index(statement, parameter), value);
}

/* Binds bytes, if the statement has this parameter. They must stay valid until the statement is finalized. */
static void bind_bytes(sqlite3_stmt *statement, const char *parameter, const uint8_t *bytes, size_t length) {
    sqlite3_bind_blob64(statement, sqlite3_bind_parameter_index(statement, parameter), bytes, length, SQLITE_STATIC);
}

/* Prepares a statement, and binds name, owner, current time and the end of a time to live. `owner` may be NULL. */
static int prepare(sqlite3_stmt **statement, const char *sql, const char *name, const uint8_t *owner, int64_t ttl_ms) {
    int result = open_database();
    if (result == SQLITE_OK) result = sqlite3_prepare_v2(database, sql, -1, statement, NULL);
    if (result != SQLITE_OK) return result;
    int64_t now = now_ms(CLOCK_REALTIME);
    sqlite3_bind_text(*statement, sqlite3_bind_parameter_index(*statement, ":name"), name, -1, SQLITE_STATIC);
    bind_bytes(*statement, ":owner", owner, 16);
    bind_number(*statement, ":now", now);
    bind_number(*statement, ":end", now + (ttl_ms < MAX_TTL ? ttl_ms : MAX_TTL));
    return SQLITE_OK;
}

/* Runs a statement that returns no rows, and releases it. `*changed` is whether it changed a row. */
static int run(sqlite3_stmt *statement, int32_t *changed) {
    int result = sqlite3_step(statement);
    *changed = result == SQLITE_DONE && sqlite3_changes(database) > 0;
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int32_t get(const char *name, uint8_t *buffer, size_t capacity, size_t *length, int64_t *ttl_ms, void *context) {
    static const char sql[] = "SELECT value, expires_ms - :now FROM entries WHERE name = :name AND expires_ms > :now";
    sqlite3_stmt *statement = NULL;
    (void)context;

    lock();
    int result = prepare(&statement, sql, name, NULL, 0);
    if (result == SQLITE_OK) result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        const void *value = sqlite3_column_blob(statement, 0);
        *length = (size_t)sqlite3_column_bytes(statement, 0);
        *ttl_ms = sqlite3_column_int64(statement, 1);
        /* A longer value is read again with a larger buffer. */
        if (*length > 0 && *length <= capacity) memcpy(buffer, value, *length);
        result = SQLITE_DONE;
    }
    sqlite3_finalize(statement);
    unlock();
    return result == SQLITE_DONE ? 0 : result;
}

/* One statement is one transaction: of two processes, the second finds the lease of the first. */
static int32_t lease(const char *name, const uint8_t *owner, int64_t ttl_ms, int32_t *taken, void *context) {
    static const char sql[] =
        "INSERT INTO leases (name, owner, expires_ms) VALUES (:name, :owner, :end)"
        " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_ms = excluded.expires_ms"
        " WHERE leases.expires_ms <= :now OR leases.owner = excluded.owner";
    sqlite3_stmt *statement = NULL;
    (void)context;

    lock();
    int result = prepare(&statement, sql, name, owner, ttl_ms);
    if (result == SQLITE_OK) result = run(statement, taken);
    unlock();
    return result;
}

/* Writes the entry if the lease and the generation are as expected. */
static int write_entry(const char *name, const uint8_t *owner, uint64_t expected_generation, uint64_t generation, const uint8_t *value,
                       size_t length, int64_t ttl_ms, int32_t *written) {
    static const char sql[] =
        "INSERT INTO entries (name, generation, value, expires_ms) SELECT :name, :generation, :value, :end"
        " WHERE EXISTS (SELECT 1 FROM leases WHERE name = :name AND owner = :owner AND expires_ms > :now)"
        " AND coalesce((SELECT generation FROM entries WHERE name = :name AND expires_ms > :now), 0) = :expected"
        " ON CONFLICT (name) DO UPDATE"
        " SET generation = excluded.generation, value = excluded.value, expires_ms = excluded.expires_ms";
    sqlite3_stmt *statement = NULL;

    int result = prepare(&statement, sql, name, owner, ttl_ms);
    if (result != SQLITE_OK) return result;
    /* SQLite has no unsigned numbers; those with the same bits are equal. */
    bind_number(statement, ":expected", (int64_t)expected_generation);
    bind_number(statement, ":generation", (int64_t)generation);
    bind_bytes(statement, ":value", value, length);
    return run(statement, written);
}

/* Deletes what has ended. */
static int sweep(void) {
    static const char *const statements[] = {"DELETE FROM entries WHERE expires_ms <= :now", "DELETE FROM leases WHERE expires_ms <= :now"};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = NULL;
        int32_t changed;
        int result = prepare(&statement, statements[i], NULL, NULL, 0);
        if (result == SQLITE_OK) result = run(statement, &changed);
        if (result != SQLITE_OK) return result;
    }
    return SQLITE_OK;
}

/* BEGIN IMMEDIATE waits for other writers before it reads, so that nothing changes between the checks and the write. */
static int32_t put(const char *name, const uint8_t *owner, uint64_t expected_generation, uint64_t generation, const uint8_t *value,
                   size_t length, int64_t ttl_ms, int32_t *written, void *context) {
    (void)context;

    lock();
    int result = open_database();
    if (result == SQLITE_OK) result = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result == SQLITE_OK) {
        result = write_entry(name, owner, expected_generation, generation, value, length, ttl_ms, written);
        if (result == SQLITE_OK) result = sweep();
        if (result == SQLITE_OK) result = sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
        if (result != SQLITE_OK) sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    }
    unlock();
    return result;
}

static int32_t release(const char *name, const uint8_t *owner, void *context) {
    sqlite3_stmt *statement = NULL;
    int32_t changed;
    (void)context;

    lock();
    int result = prepare(&statement, "DELETE FROM leases WHERE name = :name AND owner = :owner", name, owner, 0);
    if (result == SQLITE_OK) result = run(statement, &changed);
    unlock();
    return result;
}

int sqlite_store_open(const char *path, authgrant_token_store *store) {
    /* Only this user may read and write it. SQLite gives its other files the same mode. */
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file == -1) return SQLITE_CANTOPEN;
    close(file);
    database_path = strdup(path);
    if (database_path == NULL || pthread_atfork(before_fork, unlock, unlock) != 0) return SQLITE_NOMEM;

    memset(store, 0, sizeof *store);
    store->size = sizeof *store;
    store->get = get;
    store->lease = lease;
    store->put = put;
    store->release = release;
    lock();
    int result = open_database();
    unlock();
    return result;
}

void sqlite_store_close(void) {
    lock();
    close_database();
    unlock();
}
