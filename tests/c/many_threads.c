/* 2,000 threads with small stacks call get_token at once, on one connection and on connections of their own: one request each.
   Usage: many_threads KIB STRING; KIB is the size of a stack. */
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 2000, CONNECTIONS = 10 };

static authgrant_connection *connections[CONNECTIONS];
static pthread_barrier_t start_barrier;

static void *get_token_thread(void *connection) {
    pthread_barrier_wait(&start_barrier);
    CHECK(get_token(connection) == AUTHGRANT_OK);
    return NULL;
}

int main(int argc, char **argv) {
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    char scope[16];
    if (argc != 3) return 2;
    for (int i = 0; i < CONNECTIONS; i++) {
        snprintf(scope, sizeof scope, "many%d", i);
        connections[i] = open_with_scope(argv[2], scope);
    }
    pthread_barrier_init(&start_barrier, NULL, THREADS);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)atol(argv[1]) * 1024) == 0);
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], &attributes, get_token_thread, connections[i % CONNECTIONS]) != 0) {
            perror("many_threads");
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < CONNECTIONS; i++) authgrant_close(connections[i]);
    pthread_attr_destroy(&attributes);
    pthread_barrier_destroy(&start_barrier);
    return checks_done("many_threads");
}
