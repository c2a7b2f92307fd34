/* Usage: threads 'CONNECTION STRING'. 64 threads call get_token on one connection concurrently and get the same token. */
#include "authgrant.h"
#include "check.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 64 };

static authgrant_connection *connection;
static pthread_barrier_t start_barrier;

static void *get_token_thread(void *slot) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;

    pthread_barrier_wait(&start_barrier);
    CHECK(authgrant_get_token(connection, &token, &error) == AUTHGRANT_OK);
    if (error != NULL) fprintf(stderr, "%s\n", authgrant_error_message(error));
    authgrant_error_free(error);
    *(authgrant_token **)slot = token;
    return NULL;
}

int main(int argc, char **argv) {
    static authgrant_token *tokens[THREADS];
    pthread_t threads[THREADS];

    if (argc != 2) return 2;
    CHECK(authgrant_open(argv[1], &connection, NULL) == AUTHGRANT_OK);
    if (connection == NULL) return checks_done("threads");
    pthread_barrier_init(&start_barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, get_token_thread, &tokens[i]) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);

    authgrant_close(connection); /* the tokens outlive it */
    for (int i = 0; i < THREADS; i++) {
        CHECK(tokens[i] != NULL && tokens[0] != NULL &&
              strcmp(authgrant_token_value(tokens[i]), authgrant_token_value(tokens[0])) == 0);
    }
    for (int i = 0; i < THREADS; i++) authgrant_token_free(tokens[i]);
    pthread_barrier_destroy(&start_barrier);
    return checks_done("threads");
}
