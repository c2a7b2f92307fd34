/* The address space of the process is limited (RLIMIT_AS): a call that needs more fails, and works when there is more.
   Usage: address_space STRING. */
#include "authgrant.h"
#include "check.h"
#include "get_token.h"

#include <string.h>
#include <sys/resource.h>

/* Less than the stack of the thread for a DNS lookup, and more than all else that a request needs. */
enum { SPARE_BYTES = 1536 * 1024 };

static size_t address_space(void) {
    unsigned long pages = 0;
    FILE *statistics = fopen("/proc/self/statm", "r");
    CHECK(statistics != NULL && fscanf(statistics, "%lu", &pages) == 1);
    if (statistics != NULL) fclose(statistics);
    return pages * 4096;
}

static authgrant_status look_up_host(void) {
    authgrant_connection *connection = NULL;
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    CHECK(authgrant_open("AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=POST https://host.invalid/token", &connection, NULL)
          == AUTHGRANT_OK);
    authgrant_status status = authgrant_get_token(connection, &token, &error);
    printf("  %s %s\n", authgrant_status_name(status), authgrant_error_message(error));
    CHECK(strstr(authgrant_error_message(error), "cached") == NULL);
    CHECK(strstr(authgrant_error_message(error), "thread") != NULL);
    authgrant_error_free(error);
    authgrant_close(connection);
    return status;
}

int main(int argc, char **argv) {
    struct rlimit limit, unlimited;
    if (argc != 2) return 2;
    authgrant_connection *connection = open_with_scope(argv[1], "first");
    CHECK(get_token(connection) == AUTHGRANT_OK);
    CHECK(getrlimit(RLIMIT_AS, &unlimited) == 0);
    limit = unlimited;
    limit.rlim_cur = address_space() + SPARE_BYTES;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(look_up_host() == AUTHGRANT_NETWORK);
    CHECK(look_up_host() == AUTHGRANT_NETWORK); /* an error that is not remembered */
    authgrant_connection *other = open_with_scope(argv[1], "second");
    CHECK(get_token(other) == AUTHGRANT_OK); /* localhost needs no DNS lookup */
    CHECK(setrlimit(RLIMIT_AS, &unlimited) == 0);
    CHECK(get_token(connection) == AUTHGRANT_OK);
    authgrant_close(other);
    authgrant_close(connection);
    return checks_done("address_space");
}
