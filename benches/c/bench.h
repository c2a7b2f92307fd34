/*
 * Shared code of the C benchmark programs: clocks, multithreaded and sequential runs.
 *
 * A program reads commands from standard input, one per line with arguments, and writes one line of numbers for each, so
 * that run.py can alternate between running programs. BENCH_FIXTURE is the directory that fixture.py creates, BENCH_SERVER
 * the URL of the server without a path.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of the monotonic clock, of CPU time of the process, and of CPU time of the thread. */
int64_t wall_ns(void);
int64_t process_ns(void);
int64_t thread_ns(void);

/* Calls `work(context, steps)` repeatedly on each of the threads, for `milliseconds`. */
struct load {
    void (*work)(void *context, int steps);
    void **contexts; /* one per thread */
    int threads;
    int milliseconds;
};

/* Prints nanoseconds of CPU time per step, and the average number of CPUs that the threads used. */
void run_load(const struct load *load);

/* Runs `work(context)` `count` times; prints median and 10th percentile of elapsed time, and mean CPU time. */
void run_each(int count, int (*work)(void *context), void *context);

/* A field of /proc/self/status: kilobytes of "RssAnon:", number of "Threads:". */
long status_of(const char *field);

/* The path of a fixture file, and the URL of a token endpoint. The caller must free the result. */
char *fixture_file(const char *name);
char *endpoint(const char *program);

_Noreturn void die(const char *message);

#endif
