/* Gives a session pool of ODPI-C (python-oracledb thick, godror, node-oracledb, rust-oracle) its tokens by callback. Without a main():
 * to be copied into a program. */
#include "authgrant.h"
#include <dpi.h>
#include <string.h>

/* One per pool; it must outlive that. */
typedef struct {
    authgrant_connection *connection;
    authgrant_token *last; /* ODPI-C uses the text after the callback has returned */
} oracle_state;

/* Access token callback: runs when the pool opens a connection and its token has expired. */
static int provide_oracle_token(void *context, dpiAccessToken *result) {
    oracle_state *state = context;
    authgrant_token *token = NULL;
    if (authgrant_get_token(state->connection, &token, NULL) != AUTHGRANT_OK) return DPI_FAILURE;
    authgrant_token_free(state->last);
    state->last = token;
    result->token = authgrant_token_value(token);
    result->tokenLength = (uint32_t)authgrant_token_length(token);
    result->privateKey = NULL; /* only for the tokens of OCI IAM, which are bound to a key */
    result->privateKeyLength = 0;
    return DPI_SUCCESS;
}

/* Creates a pool whose sessions authenticate by token; `connect_string` must use TCPS, which Oracle requires for tokens. */
int create_oracle_pool(const dpiContext *context, const char *connect_string, oracle_state *state, dpiPool **pool);
int create_oracle_pool(const dpiContext *context, const char *connect_string, oracle_state *state, dpiPool **pool) {
    dpiCommonCreateParams common;
    dpiPoolCreateParams params;
    dpiAccessToken first;
    if (provide_oracle_token(state, &first) != DPI_SUCCESS) return DPI_FAILURE;
    if (dpiContext_initCommonCreateParams(context, &common) != DPI_SUCCESS) return DPI_FAILURE;
    if (dpiContext_initPoolCreateParams(context, &params) != DPI_SUCCESS) return DPI_FAILURE;
    common.accessToken = &first;
    params.externalAuth = 1;
    params.homogeneous = 1;
    params.accessTokenCallback = provide_oracle_token;
    params.accessTokenCallbackContext = state;
    return dpiPool_create(context, NULL, 0, NULL, 0, connect_string, (uint32_t)strlen(connect_string), &common, &params, pool);
}
