// The header in C++: it declares extern "C" itself, and its types can be managed by unique_ptr.
#include "authgrant.h"
#include "authgrant.h"

#include <memory>

struct connection_deleter {
    void operator()(authgrant_connection *connection) const noexcept { authgrant_close(connection); }
};

int main() {
    authgrant_connection *connection = nullptr;
    authgrant_error *error = nullptr;
    // A string that violates the grammar: this tests linking and needs no network.
    authgrant_status status = authgrant_open("Scope={never closed", &connection, &error);
    std::unique_ptr<authgrant_connection, connection_deleter> owned(connection);
    bool passed = status == AUTHGRANT_INVALID_CONNECTION_STRING && owned == nullptr && error != nullptr &&
                  authgrant_error_status(error) == status;
    authgrant_error_free(error);
    return passed ? 0 : 1;
}
