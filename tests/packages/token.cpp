// Usage: token 'CONNECTION STRING'. Prints the token that a program gets with an installed authgrant.hpp.
#include <authgrant.hpp>

#include <iostream>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    try {
        auto connection = authgrant::connection::open(argv[1]);
        std::cout << "token: Bearer " << connection.get_token().value() << '\n';
    } catch (const authgrant::error &error) {
        std::cerr << error.sqlstate() << ' ' << error.what() << '\n';
        return 1;
    }
}
