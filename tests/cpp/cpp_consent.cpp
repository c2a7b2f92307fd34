// Usage: cpp_consent USER 'CONNECTION STRING'. A token request fails because the user must consent; the program USER gives consent.
#include "authgrant.hpp"

#include "../c/check.h"

#include <cstdlib>

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s USER 'CONNECTION STRING'\n", argv[0]);
        return 2;
    }
    const std::string user = argv[1];
    auto connection = authgrant::connection::open(argv[2]);
    bool required = false;
    try {
        (void)connection.get_token();
    } catch (const authgrant::consent_required &error) {
        required = true;
        CHECK(error.sqlstate() == "28000" && !error.consent_url().empty());
    }
    CHECK(required);
    connection.authorize([&](std::string_view url) {
        const std::string command = user + " '" + std::string(url) + "' >/dev/null &";
        return std::system(command.c_str());
    });
    CHECK(!connection.get_token().value().empty());
    return checks_done("cpp_consent");
}
