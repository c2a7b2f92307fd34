/* CHECK(condition): counts checks, and prints file and line of a failed one. Thread-safe. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int checks_made, checks_failed;

#define CHECK(condition)                                                               \
    ((void)__atomic_add_fetch(&checks_made, 1, __ATOMIC_RELAXED),                      \
     (condition) ? (void)0                                                             \
                 : ((void)__atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED),     \
                    (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)))

static int checks_done(const char *program) {
    printf("%s: %d checks, %d failed\n", program, checks_made, checks_failed);
    return checks_failed == 0 && checks_made > 0 ? 0 : 1;
}

#endif
