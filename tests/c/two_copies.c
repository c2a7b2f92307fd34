/* Two copies of the library in one process, as with two drivers that have one each; a copy in a namespace of its own; and dlclose while
   threads use the library. Usage: two_copies LIBRARY COPY STRING; linked without the library. */
#define _GNU_SOURCE
#include "authgrant.h"
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOADS = 100, THREADS = 4, CHILD_TIMEOUT_SECS = 60 };

/* The functions of one copy. */
struct library {
    authgrant_status (*open)(const char *, authgrant_connection **, authgrant_error **);
    authgrant_status (*get_token)(authgrant_connection *, authgrant_token **, authgrant_error **);
    authgrant_status (*set_policy)(uint32_t, uint32_t, authgrant_error **);
    const char *(*error_message)(const authgrant_error *);
    void (*error_free)(authgrant_error *);
    void (*token_free)(authgrant_token *);
    void (*close)(authgrant_connection *);
};

static void *function_of(void *handle, const char *name) {
    void *function = dlsym(handle, name);
    if (function == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(9);
    }
    return function;
}

static struct library functions_of(void *handle) {
    struct library library;
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(9);
    }
    *(void **)&library.open = function_of(handle, "authgrant_open");
    *(void **)&library.get_token = function_of(handle, "authgrant_get_token");
    *(void **)&library.set_policy = function_of(handle, "authgrant_set_policy");
    *(void **)&library.error_message = function_of(handle, "authgrant_error_message");
    *(void **)&library.error_free = function_of(handle, "authgrant_error_free");
    *(void **)&library.token_free = function_of(handle, "authgrant_token_free");
    *(void **)&library.close = function_of(handle, "authgrant_close");
    return library;
}

static int gets_token(const struct library *library, const char *text) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    int ok = library->open(text, &connection, &error) == AUTHGRANT_OK
        && library->get_token(connection, &token, &error) == AUTHGRANT_OK;
    if (!ok) fprintf(stderr, "%s\n", library->error_message(error));
    library->error_free(error);
    library->token_free(token);
    library->close(connection);
    return ok;
}

/* Whether a plain HTTP token endpoint on this machine is accepted. */
static int accepts_loopback_http(const struct library *library) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    CHECK(library->open("AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=POST http://127.0.0.1:1/", &connection, NULL)
          == AUTHGRANT_OK);
    authgrant_status status = library->get_token(connection, &token, &error);
    library->error_free(error);
    library->close(connection);
    return status == AUTHGRANT_NETWORK; /* no server */
}

static void check_copies_are_independent(const struct library *first, const struct library *second, const char *text) {
    int status = -1;
    CHECK(first->open != second->open);
    CHECK(gets_token(first, text) && gets_token(second, text));
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_TIMEOUT_SECS);
        _exit(gets_token(first, text) && gets_token(second, text) ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(gets_token(first, text) && gets_token(second, text));
    CHECK(accepts_loopback_http(first) && accepts_loopback_http(second));
    CHECK(second->set_policy(0, AUTHGRANT_FORBID_LOOPBACK_HTTP, NULL) == AUTHGRANT_OK);
    CHECK(accepts_loopback_http(first) && !accepts_loopback_http(second));
}

static struct library used_library;
static const char *connection_string;
static atomic_int stopped, tokens;

static void *get_tokens_until_stopped(void *unused) {
    (void)unused;
    while (!atomic_load(&stopped)) {
        CHECK(gets_token(&used_library, connection_string));
        atomic_fetch_add(&tokens, 1);
    }
    return NULL;
}

/* The library is linked with -z nodelete: it stays in memory, because its thread-local data is destroyed when threads exit. */
static void check_library_is_never_unloaded(const char *path) {
    pthread_t threads[THREADS];
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    used_library = functions_of(handle);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, get_tokens_until_stopped, NULL) == 0);
    CHECK(dlclose(handle) == 0);
    for (int i = 0; i < LOADS || atomic_load(&tokens) < THREADS; i++) {
        void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        CHECK(function_of(again, "authgrant_open") == *(void **)&used_library.open);
        CHECK(dlclose(again) == 0);
    }
    atomic_store(&stopped, 1);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    /* The loader keeps a library as long as there are threads with thread-local data of it. Now there are none. */
    CHECK(dlclose(dlopen(path, RTLD_NOW | RTLD_LOCAL)) == 0);
    CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    connection_string = argv[3];
    check_library_is_never_unloaded(argv[1]); /* first: nothing else may keep it in memory */
    void *first = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL), *second = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    struct library libraries[] = {functions_of(first), functions_of(second)};
    check_copies_are_independent(&libraries[0], &libraries[1], argv[3]);
    struct library isolated = functions_of(dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW | RTLD_LOCAL));
    CHECK(isolated.open != libraries[0].open && gets_token(&isolated, argv[3]));
    return checks_done("two_copies");
}
