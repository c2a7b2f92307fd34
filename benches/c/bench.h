/*
 * What the C programs of the benchmarks have in common: clocks, and threads that do the same thing for a while.
 *
 * A program reads lines from standard input, each a figure with its arguments, and answers each with one line of numbers,
 * so that run.py can let programs take turns without starting them anew. BENCH_SCENE is the directory that scene.py made,
 * BENCH_SERVER the server's URL without a path.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds by the clock that runs on, by all processors of this process, and by the one of this thread. */
int64_t wall_ns(void);
int64_t process_ns(void);
int64_t thread_ns(void);

/* Calls `work(context, steps)` again and again on each of the threads, for `milliseconds`. */
struct load {
    void (*work)(void *context, int steps);
    void **contexts; /* one for each thread */
    int threads;
    int milliseconds;
};

/* Writes a line: nanoseconds of processor time for one step, and how many processors the threads had on average. */
void run_load(const struct load *load);

/* Runs `work(context)` so many times; writes a line: median and tenth percentile by the wall, mean by the processor. */
void run_each(int count, int (*work)(void *context), void *context);

/* The kilobytes of /proc/self/status's `field`, such as "RssAnon:"; "Threads:" is a number. */
long status_of(const char *field);

/* A file of the scene, or an endpoint of the server, as text to free. */
char *scene_file(const char *name);
char *endpoint(const char *program);

_Noreturn void die(const char *what);

#endif
