/* Creates the pool of the recipe oracle.c and prints the first token of it and one of its callback. The functions of ODPI-C that the recipe
 * uses are defined here. */
#include "authgrant.h"
#include <dpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    authgrant_connection *connection;
    authgrant_token *last;
} oracle_state;

int create_oracle_pool(const dpiContext *context, const char *connect_string, oracle_state *state, dpiPool **pool);

int dpiContext_initCommonCreateParams(const dpiContext *context, dpiCommonCreateParams *params) {
    (void)context;
    memset(params, 0, sizeof *params);
    return DPI_SUCCESS;
}

int dpiContext_initPoolCreateParams(const dpiContext *context, dpiPoolCreateParams *params) {
    (void)context;
    memset(params, 0, sizeof *params);
    return DPI_SUCCESS;
}

static void print_token(const dpiAccessToken *token) {
    if (token->privateKey == NULL && token->privateKeyLength == 0) printf("%.*s\n", (int)token->tokenLength, token->token);
}

int dpiPool_create(const dpiContext *context, const char *user, uint32_t user_length, const char *password, uint32_t password_length,
                   const char *connect_string, uint32_t length, const dpiCommonCreateParams *common, dpiPoolCreateParams *params,
                   dpiPool **pool) {
    dpiAccessToken token;
    (void)context, (void)user, (void)password, (void)pool;
    if (user_length + password_length != 0 || strlen(connect_string) != length || !params->externalAuth) return DPI_FAILURE;
    print_token(common->accessToken);
    if (params->accessTokenCallback(params->accessTokenCallbackContext, &token) != DPI_SUCCESS) return DPI_FAILURE;
    print_token(&token);
    return DPI_SUCCESS;
}

int main(void) {
    oracle_state state = {NULL, NULL};
    dpiPool *pool = NULL;
    if (authgrant_open(getenv("AUTHGRANT_CONNECTION_STRING"), &state.connection, NULL) != AUTHGRANT_OK) return 2;
    int failed = create_oracle_pool(NULL, "tcps://db.example.com/service", &state, &pool) != DPI_SUCCESS;
    authgrant_token_free(state.last);
    authgrant_close(state.connection);
    return failed;
}
