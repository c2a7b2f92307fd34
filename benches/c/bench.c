#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 64 };

static int64_t read_clock(clockid_t clock) {
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wall_ns(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t process_ns(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }
int64_t thread_ns(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

void die(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}

/* ---- threads */

struct runner {
    const struct load *load;
    void *context;
    int64_t used;
    int64_t steps;
};

static atomic_int stop;
static pthread_barrier_t start_barrier;

static void *run(void *argument) {
    struct runner *runner = argument;
    int64_t cpu_start;

    runner->load->work(runner->context, STEPS); /* warm-up */
    pthread_barrier_wait(&start_barrier);
    cpu_start = thread_ns();
    do {
        runner->load->work(runner->context, STEPS);
        runner->steps += STEPS;
    } while (!atomic_load_explicit(&stop, memory_order_relaxed));
    runner->used = thread_ns() - cpu_start;
    return NULL;
}

void run_load(const struct load *load) {
    pthread_t *threads = calloc((size_t)load->threads, sizeof *threads);
    struct runner *runners = calloc((size_t)load->threads, sizeof *runners);
    struct timespec pause = {0, load->milliseconds * 1000000L};
    int64_t started, elapsed, used = 0, steps = 0;

    atomic_store(&stop, 0);
    pthread_barrier_init(&start_barrier, NULL, (unsigned)load->threads + 1);
    for (int i = 0; i < load->threads; i++) {
        runners[i] = (struct runner){.load = load, .context = load->contexts[i]};
        if (pthread_create(&threads[i], NULL, run, &runners[i]) != 0) die("pthread_create");
    }
    pthread_barrier_wait(&start_barrier);
    started = wall_ns();
    nanosleep(&pause, NULL);
    atomic_store(&stop, 1);
    for (int i = 0; i < load->threads; i++) pthread_join(threads[i], NULL);
    elapsed = wall_ns() - started;
    for (int i = 0; i < load->threads; i++) {
        used += runners[i].used;
        steps += runners[i].steps;
    }
    printf("%.3f %.3f\n", (double)used / (double)steps, (double)used / (double)elapsed);
    pthread_barrier_destroy(&start_barrier);
    free(runners);
    free(threads);
}

/* ---- sequential runs */

static int compare_int64(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

void run_each(int count, int (*work)(void *context), void *context) {
    int64_t *times = calloc((size_t)count, sizeof *times);
    int64_t cpu_start = process_ns(), used;

    for (int i = 0; i < count; i++) {
        int64_t started = wall_ns();

        if (work(context) != 0) die("a step failed");
        times[i] = wall_ns() - started;
    }
    used = (process_ns() - cpu_start) / count;
    qsort(times, (size_t)count, sizeof *times, compare_int64);
    printf("%ld %ld %ld\n", (long)times[count / 2], (long)times[count / 10], (long)used);
    free(times);
}

/* ---- environment */

long status_of(const char *field) {
    char line[256];
    long found = -1;
    FILE *status = fopen("/proc/self/status", "r");

    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) found = strtol(line + strlen(field), NULL, 10);
    }
    if (status != NULL) fclose(status);
    return found;
}

static char *join_env(const char *variable, const char *separator, const char *name) {
    const char *value = getenv(variable);
    char *text = NULL;

    if (value == NULL) die("BENCH_FIXTURE and BENCH_SERVER are not set; run `make bench`");
    if (asprintf(&text, "%s%s%s", value, separator, name) < 0) die("asprintf");
    return text;
}

char *fixture_file(const char *name) { return join_env("BENCH_FIXTURE", "/", name); }
char *endpoint(const char *program) { return join_env("BENCH_SERVER", "/token/", program); }
