/*
 * host LIBRARY: an empty host program that loads authgrant when it needs it. Writes a line: nanoseconds from dlopen to the
 * return of the first call (authgrant_open), kilobytes of RssAnon that are there after the first token and were not before
 * the library was loaded, and the threads that there are then.
 */
#include "authgrant.h"
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef authgrant_status open_fn(const char *, authgrant_connection **, authgrant_error **);
typedef authgrant_status get_fn(authgrant_connection *, authgrant_token **, authgrant_error **);

/* A function pointer out of an object pointer, as POSIX has it and ISO C has not. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);

    if (symbol == NULL) die(name);
    memcpy(function, &symbol, sizeof symbol);
}

int main(int argc, char **argv) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    char text[1024], *key = scene_file("rsa.pem"), *url = endpoint("ours"), *ca = scene_file("ca.pem");
    open_fn *open;
    get_fn *get;
    void *library;
    int64_t began, lasted;
    long before = status_of("RssAnon:");

    if (argc != 2) die("host LIBRARY");
    snprintf(text, sizeof text,
             "AuthenticationMethod=55;ClaimsIssuer=1a2b3c4d5e_6f7g8h9g;ClaimsSubject=jsmith@example.com;JWTCertStore=%s;"
             "Scope=signature impersonation;ScopeIn=Claim;TokenURI=POST %s;TrustStore=%s",
             key, url, ca);
    began = wall_ns();
    library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) die(dlerror());
    find(library, "authgrant_open", &open);
    if (open(text, &connection, NULL) != AUTHGRANT_OK) die("authgrant_open");
    lasted = wall_ns() - began;
    find(library, "authgrant_get_token", &get);
    if (get(connection, &token, NULL) != AUTHGRANT_OK) die("authgrant_get_token");
    printf("%ld %ld %ld\n", (long)lasted, status_of("RssAnon:") - before, status_of("Threads:"));
    return 0;
}
