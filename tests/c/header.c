/* The header alone is enough: nothing before it, twice, as C99 and as C11, without a warning. */
#include "authgrant.h"
#include "authgrant.h"

int main(void) {
    authgrant_connection *connection = 0;
    authgrant_token *token = 0;
    authgrant_headers *headers = 0;
    authgrant_error *error = 0;
    authgrant_call_options call = {0};
    authgrant_log_fn log = 0;
    authgrant_status status = AUTHGRANT_OK;
    int number[AUTHGRANT_VERSION_NUMBER > 0 ? 1 : -1] = {AUTHGRANT_NOT_CACHED};

    call.size = sizeof call;
    call.flags = AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK;
    return connection == 0 && token == 0 && headers == 0 && error == 0 && log == 0 && call.size != 0 &&
                   sizeof status == 4 && number[0] == 23
               ? (int)status
               : 1;
}
