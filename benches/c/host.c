/*
 * host LIBRARY: a minimal program that loads authgrant at run time. Prints nanoseconds from dlopen to the return of the first
 * call (authgrant_open), the increase of RssAnon in kilobytes from before dlopen until after the first token, and the number
 * of threads.
 */
#include "authgrant.h"
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef authgrant_status open_fn(const char *, authgrant_connection **, authgrant_error **);
typedef authgrant_status get_fn(authgrant_connection *, authgrant_token **, authgrant_error **);

/* Copies the object pointer into a function pointer: POSIX allows that conversion, ISO C does not. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);

    if (symbol == NULL) die(name);
    memcpy(function, &symbol, sizeof symbol);
}

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    char text[1024], *key = fixture_file("rsa.pem"), *url = endpoint("ours"), *ca = fixture_file("ca.pem");
    open_fn *open;
    get_fn *get;
    void *library;
    int64_t started, elapsed;
    long before = status_of("RssAnon:");

    if (argc != 2) die("usage: host LIBRARY");
    snprintf(text, sizeof text,
             "AuthenticationMethod=55;ClaimsIssuer=1a2b3c4d5e_6f7g8h9g;ClaimsSubject=jsmith@example.com;JWTCertStore=%s;"
             "Scope=signature impersonation;ScopeIn=Claim;TokenURI=POST %s;TrustStore=%s",
             key, url, ca);
    started = wall_ns();
    library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) die(dlerror());
    find(library, "authgrant_open", &open);
    if (open(text, &connection, NULL) != AUTHGRANT_OK) die("authgrant_open");
    elapsed = wall_ns() - started;
    find(library, "authgrant_get_token", &get);
    if (get(connection, &token, NULL) != AUTHGRANT_OK) die("authgrant_get_token");
    printf("%ld %ld %ld\n", (long)elapsed, status_of("RssAnon:") - before, status_of("Threads:"));
    return 0;
}
