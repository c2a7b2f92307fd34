/* Calls on a thread with a small stack. Usage: small_stack KIB STRING...; prints how much of the stack each STRING needs, thread-local
   data included. */
#define _GNU_SOURCE
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAINT = 0xa5 };

static void *call_library(void *text) {
    authgrant_connection *connection = open_with_scope(text, "stack");
    authgrant_token *token = NULL;
    authgrant_headers *headers = NULL;
    char *json = NULL;
    CHECK(authgrant_get_token(connection, &token, NULL) == AUTHGRANT_OK);
    CHECK(authgrant_reject_token(connection, token, NULL) == AUTHGRANT_OK);
    authgrant_token_free(token);
    CHECK(authgrant_get_headers(connection, &headers, NULL) == AUTHGRANT_OK);
    authgrant_headers_free(headers);
    CHECK(authgrant_validate(connection, &json, NULL) == AUTHGRANT_OK);
    authgrant_string_free(json);
    CHECK(authgrant_explain(connection, &json, NULL) == AUTHGRANT_OK);
    authgrant_string_free(json);
    CHECK(authgrant_get_stats(&json, NULL) == AUTHGRANT_OK);
    authgrant_string_free(json);
    authgrant_close(connection);
    return NULL;
}

/* Runs the calls on a stack of `size` bytes below which there is a page without access, and returns how many were used. */
static size_t used_stack(size_t size, char *text) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), unused = 0;
    pthread_attr_t attributes;
    pthread_t thread;
    unsigned char *mapping = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, page, PROT_NONE) != 0) exit(9);
    memset(mapping + page, PAINT, size);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, mapping + page, size) == 0);
    CHECK(pthread_create(&thread, &attributes, call_library, text) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    while (unused < size && mapping[page + unused] == PAINT) unused++;
    munmap(mapping, page + size);
    return size - unused;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    size_t size = (size_t)atol(argv[1]) * 1024;
    for (int i = 2; i < argc; i++) {
        authgrant_clear_caches();
        size_t used = used_stack(size, argv[i]);
        printf("small_stack: %zu of %zu KiB used\n", (used + 1023) / 1024, size / 1024);
        CHECK(used < size);
    }
    return checks_done("small_stack");
}
