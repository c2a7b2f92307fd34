/* Usage: sqlite_store DATABASE, an absolute path; it is replaced. Tests the functions of examples-c/token_store_sqlite, by threads and
   by processes. */
#include "../../examples-c/token_store_sqlite/sqlite_store.h"
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, ROUNDS = 20, CAPACITY = 64 };

static const char NAME[] = "nAm3-of_an_entry-nAm3-of_an_entry-nAm3-of_a";
static const int64_t LONG = 60000;
static authgrant_token_store store;

typedef struct {
    uint8_t bytes[16];
} owner_id;

static owner_id owner_of(int number) {
    owner_id owner;
    memset(owner.bytes, number, sizeof owner.bytes);
    return owner;
}

/* -1 if the store failed. */
static int lease(const char *name, int owner, int64_t ttl_ms) {
    int32_t taken = -1;
    return store.lease(name, owner_of(owner).bytes, ttl_ms, &taken, store.context) == 0 ? taken : -1;
}

static int put(const char *name, int owner, uint64_t expected, uint64_t generation, const void *value, size_t length, int64_t ttl_ms) {
    int32_t written = -1;
    int32_t status = store.put(name, owner_of(owner).bytes, expected, generation, value, length, ttl_ms, &written, store.context);
    return status == 0 ? written : -1;
}

static int release(const char *name, int owner) { return store.release(name, owner_of(owner).bytes, store.context); }

/* The length of the value, 0 if there is none, -1 if the store failed. */
static int get(const char *name, void *buffer, size_t capacity) {
    size_t length = 0;
    int64_t ttl_ms = -1;
    if (store.get(name, buffer, capacity, &length, &ttl_ms, store.context) != 0) return -1;
    CHECK(length == 0 || ttl_ms > 0);
    return (int)length;
}

static void check_entries(void) {
    static const uint8_t value[] = {1, 0, 0xff, 'x', 0};
    uint8_t buffer[CAPACITY] = {0};

    CHECK(get(NAME, buffer, sizeof buffer) == 0);
    CHECK(put(NAME, 1, 0, 1, value, sizeof value, LONG) == 0); /* without the lease */
    CHECK(lease(NAME, 1, LONG) == 1 && lease(NAME, 2, LONG) == 0 && lease(NAME, 1, LONG) == 1);
    CHECK(lease("another", 2, LONG) == 1);
    CHECK(put(NAME, 2, 0, 1, value, sizeof value, LONG) == 0);
    CHECK(put(NAME, 1, 1, 2, value, sizeof value, LONG) == 0); /* there is no generation 1 */
    CHECK(get(NAME, buffer, sizeof buffer) == 0);
    CHECK(put(NAME, 1, 0, 1, value, sizeof value, LONG) == 1);
    CHECK(get(NAME, buffer, sizeof buffer) == sizeof value && memcmp(buffer, value, sizeof value) == 0);
    CHECK(put(NAME, 1, 0, 1, "y", 1, LONG) == 0 && put(NAME, 1, 2, 3, "y", 1, LONG) == 0);
    CHECK(put(NAME, 1, 1, UINT64_MAX, "y", 1, LONG) == 1);
    CHECK(put(NAME, 1, INT64_MAX, 4, "z", 1, LONG) == 0 && put(NAME, 1, UINT64_MAX, 5, value, sizeof value, INT64_MAX) == 1);
    /* A longer value is not copied, not even in part. */
    memset(buffer, 0xee, sizeof buffer);
    size_t length = 0;
    int64_t ttl_ms = 0;
    CHECK(store.get(NAME, buffer, sizeof value - 1, &length, &ttl_ms, store.context) == 0);
    CHECK(length == sizeof value && ttl_ms > LONG && buffer[0] == 0xee);

    CHECK(release(NAME, 2) == 0 && lease(NAME, 2, LONG) == 0);
    CHECK(release(NAME, 1) == 0 && lease(NAME, 2, LONG) == 1 && put(NAME, 1, 5, 6, value, sizeof value, LONG) == 0);
    CHECK(release(NAME, 2) == 0 && release(NAME, 2) == 0 && release("another", 2) == 0);
}

/* Without a pause, threads that wait would keep the one with the lease from running, under valgrind until it has ended. */
static const struct timespec PAUSE = {0, 2000000};

static void check_ends(void) {
    uint8_t buffer[CAPACITY];

    CHECK(lease("short", 1, LONG) == 1 && put("short", 1, 0, 1, "x", 1, 1) == 1);
    while (get("short", buffer, sizeof buffer) == 1) nanosleep(&PAUSE, NULL);
    CHECK(get("short", buffer, sizeof buffer) == 0);
    CHECK(put("short", 1, 1, 2, "x", 1, LONG) == 0 && put("short", 1, 0, 1, "y", 1, LONG) == 1);
    CHECK(release("short", 1) == 0 && lease("short", 1, 1) == 1);
    while (lease("short", 2, LONG) == 0) nanosleep(&PAUSE, NULL);
    CHECK(put("short", 1, 1, 2, "x", 1, LONG) == 0 && put("short", 2, 1, 2, "x", 1, LONG) == 1);
}

typedef struct {
    uint64_t generation, count;
} counter;

/* Adds 1 to the counter in an entry under its lease, ROUNDS times. A failure of the store is repeated. */
static void count(const char *name, int owner) {
    for (int done = 0; done < ROUNDS;) {
        counter value = {0, 0};
        if (lease(name, owner, LONG) != 1) {
            nanosleep(&PAUSE, NULL);
            continue;
        }
        int found = get(name, &value, sizeof value);
        CHECK(found == 0 || found == -1 || found == (int)sizeof value);
        counter next = {value.generation + 1, value.count + 1};
        int written = found < 0 ? -1 : put(name, owner, value.generation, next.generation, &next, sizeof next, LONG);
        CHECK(written != 0); /* nobody else writes during the lease */
        done += written == 1;
        while (release(name, owner) != 0) continue;
    }
}

static uint64_t counted(const char *name) {
    counter value = {0, 0};
    CHECK(get(name, &value, sizeof value) == (int)sizeof value && value.generation == value.count);
    return value.count;
}

/* The number of descriptors of this process for the files of the database. */
static int open_descriptors(const char *path) {
    int count = 0;
    for (int number = 0; number < 256; number++) {
        char link[64], target[1024];
        snprintf(link, sizeof link, "/proc/self/fd/%d", number);
        ssize_t length = readlink(link, target, sizeof target);
        count += length >= (ssize_t)strlen(path) && memcmp(target, path, strlen(path)) == 0;
    }
    return count;
}

static void *count_in_thread(void *number) {
    count("threads", *(int *)number);
    return NULL;
}

static void check_threads(void) {
    pthread_t threads[WORKERS];
    int numbers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        numbers[i] = i + 1;
        CHECK(pthread_create(&threads[i], NULL, count_in_thread, &numbers[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(counted("threads") == WORKERS * ROUNDS);
}

/* The parent has an open connection when it forks. The child does not inherit it, and both go on with one of their own. */
static void check_processes(const char *path) {
    pid_t children[WORKERS];
    uint8_t buffer[CAPACITY];
    CHECK(get(NAME, buffer, sizeof buffer) > 0 && open_descriptors(path) > 0);
    for (int i = 0; i < WORKERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            CHECK(open_descriptors(path) == 0);
            count("processes", i + 1);
            sqlite_store_close();
            _exit(checks_failed != 0);
        }
        CHECK(children[i] > 0);
    }
    count("processes", 0);
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    CHECK(counted("processes") == (WORKERS + 1) * ROUNDS);
}

int main(int argc, char **argv) {
    authgrant_token_store unused;
    struct stat file;

    if (argc != 2) return 2;
    unlink(argv[1]);
    CHECK(sqlite_store_open("/no/such/directory/tokens.db", &unused) != 0);
    CHECK(sqlite_store_open(argv[1], &store) == 0 && store.size == sizeof store);
    CHECK(stat(argv[1], &file) == 0 && (file.st_mode & 0777) == 0600);
    check_entries();
    check_ends();
    check_threads();
    check_processes(argv[1]);
    sqlite_store_close();
    return checks_done("sqlite_store");
}
