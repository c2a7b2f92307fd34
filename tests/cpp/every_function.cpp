// Usage: every_function 'CONNECTION STRING'. Calls every function of authgrant.hpp, in the throwing and in the noexcept form.
// The connection string must yield a token.
#include "authgrant.hpp"

#include "../c/check.h"

#include <algorithm>
#include <array>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <typeinfo>

using authgrant::connection;
using authgrant::status_code;

static std::string connection_string;

// Runs `call`, which must throw an exception of exactly this class, and returns a copy of it.
template <typename Exception, typename Call>
static Exception thrown_by(Call call) {
    try {
        call();
    } catch (const Exception &caught) {
        CHECK(typeid(caught) == typeid(Exception));
        return caught;
    } catch (const std::exception &caught) {
        std::fprintf(stderr, "another exception: %s\n", caught.what());
        throw;
    }
    throw std::logic_error("no exception was thrown");
}

static bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

static void check_library_functions() {
    CHECK(std::count(authgrant::version().begin(), authgrant::version().end(), '.') == 2);
    CHECK(authgrant::status_name(status_code::not_cached) == "AUTHGRANT_NOT_CACHED");
    CHECK(contains(authgrant::option_table(), "\"ClaimsIssuer\""));
    CHECK(authgrant::quote_value("a;b").view() == "{a;b}");
    CHECK(std::string_view(authgrant::try_quote_value("a;b")->c_str()) == "{a;b}");
    CHECK(contains(authgrant::validate_string("Scope={never closed"), "\"problems\""));
    CHECK(contains(authgrant::try_validate_string("Scope=x").value().str(), "\"problems\""));
    CHECK(contains(authgrant::get_stats(), "authgrant_"));
    CHECK(authgrant::try_get_stats().has_value());

    std::array<char16_t, 4> wide{};
    CHECK(authgrant::to_wide("abc", nullptr, 0, 2) == 4);
    CHECK(authgrant::to_wide("abc", wide.data(), wide.size(), sizeof wide[0]) == 4 && wide[2] == u'c');
    CHECK(*authgrant::try_to_wide("abcdef", wide.data(), wide.size(), sizeof wide[0]) == 7 && wide[2] == u'c' && wide[3] == 0);
    CHECK(authgrant::try_to_wide("abc", wide.data(), 4, 3).error().status() == status_code::invalid_argument);

    CHECK(authgrant::from_wide(u"abc", -1, 2).view() == "abc");
    CHECK(authgrant::try_from_wide(u"abc", -2, 2).error().sqlstate() == "HY090");

    // A NUL would end the text in C.
    const auto with_nul = authgrant::try_quote_value(std::string_view("a\0b", 3));
    CHECK(!with_nul && with_nul.error().status() == status_code::invalid_argument && with_nul.error().sqlstate() == "HY009");
    CHECK(contains(with_nul.error().message(), "[authgrant][c++]") && with_nul.error().get() == nullptr);
    const auto chain = with_nul.error().chain();
    CHECK(std::distance(chain.begin(), chain.end()) == 1);
}

static void check_errors() {
    auto bad = thrown_by<authgrant::configuration_error>([] { connection::open("Scope={never closed"); });
    CHECK(bad.status() == status_code::invalid_connection_string && bad.sqlstate() == "HY000");
    CHECK(bad.message() == bad.what() && bad.get() != nullptr && !bad.retryable());
    const authgrant::error base = bad;
    CHECK(base.message() == bad.message());

    auto open = connection::open(connection_string);
    auto unknown = open.try_set_options({{"NoSuchOption", "1"}, {"NoOtherOption", "1"}});
    CHECK(!unknown && unknown.error().status() == status_code::invalid_option && unknown.error().sqlstate() == "HY024");
    std::vector<std::string> options;
    for (authgrant::error_view each : unknown.error().chain()) options.emplace_back(each.option());
    CHECK(options == std::vector<std::string>({"NoSuchOption", "NoOtherOption"}));
    const authgrant::failure &borrowed = unknown.error();
    CHECK(borrowed.oauth_error().empty() && borrowed.oauth_description().empty() && borrowed.provider_code().empty());
    CHECK(borrowed.consent_url().empty() && borrowed.http_status() == 0 && borrowed.retry_after().count() == 0);
    auto moved = thrown_by<authgrant::configuration_error>([&] { unknown.value(); });
    CHECK(moved.option() == options.front());

    open.set_option("JWTCertPassword", "wrong");
    CHECK(thrown_by<authgrant::key_error>([&] { open.get_token(); }).status() == status_code::key_password);
    open = connection::open(connection_string);
    open.set_option("ClaimsIssuer", "unknown");
    auto denied = thrown_by<authgrant::denied>([&] { open.get_token(); });
    CHECK(!denied.oauth_error().empty() && denied.http_status() >= 400);
    open = connection::open(connection_string);
    open.set_option("TokenURI", "POST https://127.0.0.1:1/");
    auto refused = thrown_by<authgrant::connection_error>([&] { open.get_token(); });
    CHECK(refused.status() == status_code::network && refused.retryable());
}

static void check_options() {
    auto open = connection::open(connection_string);
    open.set_option("Scope", "signature");
    CHECK(contains(open.completed_string(), "Scope=signature"));
    CHECK(!contains(open.completed_string(), "secret"));
    CHECK(contains(open.completed_string(authgrant::include::secrets | authgrant::include::tokens), "secret"));
    open.set_options({{"Scope", "impersonation"}, {"LoginTimeout", "30"}});
    CHECK(contains(*open.try_completed_string(), "Scope=impersonation") && contains(*open.try_completed_string(), "LoginTimeout=30"));
    CHECK(open.try_set_option("NoSuchOption", "1").error().option() == "NoSuchOption");
    CHECK(open.try_set_options({{"Scope", "x"}, {"NoSuchOption", "1"}}).error().status() == status_code::invalid_option);
    CHECK(open.try_set_options({{"Scope", std::string_view("a\0b", 3)}}).error().status() == status_code::invalid_argument);
    CHECK(contains(open.completed_string(), "Scope=impersonation"));
    CHECK(open.get_option("scope")->view() == "impersonation" && !open.get_option("ApplicationName"));
    CHECK(open.try_get_option("NoSuchOption").error().status() == status_code::invalid_option);
    CHECK(!open.browse() && !open.try_browse().value());
    CHECK(connection::open("AuthenticationMethod=50").browse()->view() == "AccessToken:Access Token=?");

    auto driver = connection::open("T=orders;Zebra=1", {"Schema", "Table;T"});
    driver.set_option("Schema", "s");
    CHECK(driver.get_option("table")->view() == "orders");
    CHECK(driver.completed_string(authgrant::include::as_given).view() == "T=orders;Schema=s;");
    CHECK(!driver.take_warnings().empty() && driver.try_take_warnings()->empty() && !driver.get_warnings().empty());
    CHECK(connection::try_open("", {"a=b"}).error().status() == status_code::invalid_argument);
}

static void check_tokens() {
    auto open = connection::open(connection_string);
    authgrant::clear_caches();
    const authgrant::call_options offline{std::chrono::milliseconds(0), std::chrono::seconds(0), true, true};
    thrown_by<authgrant::not_cached>([&] { open.get_token(offline); });

    authgrant::token token = open.get_token();
    CHECK(token && !token.value().empty() && token.type() == "Bearer");
    CHECK(token.value().size() == std::strlen(token.value().data()));
    CHECK(token.expires_at() > std::chrono::system_clock::now() && token.refresh_at() < token.expires_at());
    CHECK(token.field("no_such_member") == std::nullopt && token.field(std::string_view("a\0b", 3)) == std::nullopt);
    CHECK(token.field("token_type") == "Bearer" || token.field("token_type") == std::nullopt);
    CHECK(open.get_token(offline).value() == token.value());
    CHECK(open.try_get_token({std::chrono::hours(10000), std::chrono::seconds(1), false, false})->value() == token.value());
    CHECK(open.try_get_token({std::chrono::milliseconds(-1), {}, false, false}).error().status() == status_code::invalid_argument);

    const authgrant::cancel_token cancel_token;
    authgrant::call_options cancellable;
    cancellable.cancel = &cancel_token;
    cancel_token.cancel();
    thrown_by<authgrant::cancelled>([&] { open.get_token(cancellable); });
    cancel_token.reset();
    CHECK(open.get_token(cancellable).value() == token.value());
    CHECK(authgrant::cancel_token::try_create()->get() != nullptr);

    std::vector<char> buffer(open.copy_token(nullptr, 0));
    CHECK(*open.try_copy_token(buffer.data(), buffer.size() - 1) == buffer.size() && buffer[0] == '\0');
    CHECK(open.copy_token(buffer.data(), buffer.size()) == buffer.size() && token.value() == buffer.data());

    open.reject_token(token);
    authgrant::token next = open.get_token();
    CHECK(next.value() != token.value());
    CHECK(open.try_reject_token(authgrant::token_view(nullptr)).error().status() == status_code::invalid_argument);
    token = std::move(next);
    CHECK(!token.value().empty() && !next && next.value().empty() && next.field("x") == std::nullopt); // NOLINT: after the move

    auto headers = open.get_headers();
    CHECK(headers.size() > 0 && static_cast<std::size_t>(std::distance(headers.begin(), headers.end())) == headers.size());
    CHECK(std::any_of(headers.begin(), headers.end(), [](authgrant::header each) { return !each.name.empty() && !each.value.empty(); }));
    CHECK(headers[0].name == (*headers.begin()).name && headers[headers.size()].name.empty());
    CHECK(headers.token().value() == token.value() && open.try_get_headers()->size() == headers.size());
    CHECK(open.get_request_headers("GET", "https://api.example/v1").size() == headers.size());
    CHECK(open.try_get_request_headers("", "", offline)->size() == headers.size());
    CHECK(open.try_get_request_headers("GET", "/v1").error().status() == status_code::invalid_argument);

    connection other = std::move(open);
    CHECK(other.get_token().value() == token.value());
    CHECK(open.get() == nullptr && open.try_get_token().error().status() == status_code::invalid_argument); // NOLINT: after the move
    CHECK(open.try_set_log([](authgrant::log_level, std::string_view) {}).error().status() == status_code::invalid_argument);
}

static void check_wide_connection_strings() {
    std::u16string wide(authgrant::to_wide(connection_string, nullptr, 0, 2), u'\0');
    authgrant::to_wide(connection_string, wide.data(), wide.size(), 2);
    CHECK(!connection::open_wide(wide.data(), -1, 2).get_token().value().empty());
    CHECK(connection::try_open_wide(wide.data(), static_cast<std::ptrdiff_t>(wide.size() - 1), 2).has_value());
    CHECK(connection::try_open_wide(wide.data(), -1, 3).error().status() == status_code::invalid_argument);
}

static void check_reports() {
    auto open = connection::open(connection_string);
    CHECK(contains(open.validate(), "\"valid\"") && open.try_validate().has_value());
    CHECK(contains(open.explain(), "ClaimsIssuer") && open.try_explain().has_value());
    CHECK(contains(open.test_connection(), "\"ok\"") && open.try_test_connection().has_value());
    const auto assertion = open.create_assertion();
    CHECK(std::count(assertion.view().begin(), assertion.view().end(), '.') == 2 && open.try_create_assertion().has_value());

    auto warned = connection::open(connection_string + ";NoSuchOption=1");
    const auto warnings = warned.get_warnings();
    CHECK(!warnings.empty() && std::any_of(warnings.begin(), warnings.end(), [](authgrant::error_view each) {
        return each.sqlstate() == "01S00" && each.status() == status_code::ok && contains(each.message(), "NoSuchOption");
    }));
    CHECK(connection::open("Scope=x").try_get_warnings()->empty());
}

// A signer of no key: the server would reject its signatures.
static std::vector<std::uint8_t> zeros(const std::uint8_t *, std::size_t length) { return std::vector<std::uint8_t>(length > 0 ? 64 : 0); }

static void check_callbacks() {
    auto open = connection::open(connection_string);
    std::vector<std::string> records;
    open.set_log([&](authgrant::log_level, std::string_view message) { records.emplace_back(message); }, authgrant::log_level::trace);
    authgrant::clear_caches();
    CHECK(!open.get_token().value().empty() && !records.empty());
    // An exception does not reach the caller.
    CHECK(open.try_set_log([](authgrant::log_level, std::string_view) { throw 1; }, authgrant::log_level::trace).has_value());
    authgrant::clear_caches();
    CHECK(!open.get_token().value().empty());
    open.set_log(nullptr);

    open.set_refresh_token_callback([](std::string_view) { throw 1; });
    open.set_refresh_token_callback(nullptr);
    CHECK(open.try_set_refresh_token_callback(nullptr).has_value());

    int signatures = 0;
    open.set_signer("ES256", [&](const std::uint8_t *message, std::size_t length) {
        signatures++;
        return zeros(message, length);
    });
    CHECK(contains(open.create_assertion().str(), ".") && signatures == 1);
    open.set_signer("ES256", [](const std::uint8_t *, std::size_t) -> std::vector<std::uint8_t> { throw 1; });
    CHECK(thrown_by<authgrant::key_error>([&] { open.create_assertion(); }).status() == status_code::key_store_error);
    open.set_signer("ES256", [](const std::uint8_t *, std::size_t) { return std::vector<std::uint8_t>(2000); });
    CHECK(open.try_create_assertion().error().status() == status_code::key_store_error);
    CHECK(open.try_set_signer("HS256", zeros).error().status() == status_code::invalid_argument);
    CHECK(open.try_set_signer("", nullptr).has_value());
    CHECK(open.try_create_assertion().has_value() && signatures == 1);
}

// The signer ends only when the call was cancelled.
static void check_cancel() {
    auto open = connection::open(connection_string);
    std::promise<void> signing, cancelled;
    auto released = cancelled.get_future();
    open.set_signer("ES256", [&](const std::uint8_t *message, std::size_t length) {
        signing.set_value();
        released.wait();
        return zeros(message, length);
    });
    auto call = std::async(std::launch::async, [&] { thrown_by<authgrant::cancelled>([&] { open.get_token(); }); });
    signing.get_future().wait();
    open.cancel();
    cancelled.set_value();
    call.get();
    CHECK(open.try_cancel().has_value());
}

// The signer ends only when the deadline of the call has passed.
static void check_timeout() {
    auto open = connection::open(connection_string);
    const auto limit = std::chrono::milliseconds(20);
    const auto start = std::chrono::steady_clock::now();
    open.set_signer("ES256", [&](const std::uint8_t *message, std::size_t length) {
        while (std::chrono::steady_clock::now() < start + 2 * limit) std::this_thread::yield();
        return zeros(message, length);
    });
    auto late = thrown_by<authgrant::timeout>([&] { open.get_token({limit, {}, false, false}); });
    CHECK(late.sqlstate() == "HYT00" && late.retryable());
}

static void check_authorization() {
    auto open = connection::open(connection_string);
    open.set_option("AuthURI", "https://auth.example/authorize");
    CHECK(contains(open.consent_url(), "https://auth.example/authorize?") && open.try_consent_url().has_value());
    open.set_option("RedirectURI", "http://127.0.0.1:0/");
    std::string shown;
    auto rejected = open.try_authorize([&](std::string_view url) {
        shown = url;
        return 7;
    });
    CHECK(!rejected && contains(rejected.error().message(), "7") && contains(shown, "https://auth.example/authorize?"));
    CHECK(!open.try_authorize([](std::string_view) -> std::int32_t { throw 1; }));
    bool rethrown = false;
    try {
        open.authorize([](std::string_view) -> std::int32_t { throw std::domain_error("no display"); });
    } catch (const std::domain_error &) {
        rethrown = true;
    }
    CHECK(rethrown);
    const authgrant::cancel_token cancelled;
    cancelled.cancel();
    authgrant::call_options options;
    options.cancel = &cancelled;
    CHECK(open.try_authorize([](std::string_view) { return 0; }, options).error().status() == status_code::cancelled);
    CHECK(thrown_by<authgrant::cancelled>([&] { open.authorize(nullptr, options); }).sqlstate() == "HY008");
    open.logoff();
    CHECK(open.try_logoff().has_value());
}

// A store in memory.
class memory_store : public authgrant::token_store {
    using clock = std::chrono::steady_clock;
    struct stored {
        std::uint64_t generation = 0;
        std::vector<std::uint8_t> value;
        clock::time_point end;
    };

public:
    std::optional<entry> get(std::string_view name) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = entries_.find(std::string(name));
        if (found == entries_.end()) return std::nullopt;
        return entry{found->second.value, std::chrono::duration_cast<milliseconds>(found->second.end - clock::now())};
    }
    bool lease(std::string_view name, const owner_id &owner, milliseconds ttl) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        CHECK(ttl.count() > 0 && ttl <= std::chrono::seconds(15));
        return leases_.emplace(name, owner).first->second == owner;
    }
    bool put(std::string_view name, const owner_id &owner, const update &change) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto holder = leases_.find(std::string(name));
        auto &current = entries_[std::string(name)];
        if (holder == leases_.end() || holder->second != owner || current.generation != change.expected_generation) return false;
        current = {change.generation, std::vector<std::uint8_t>(change.value, change.value + change.length), clock::now() + change.ttl};
        return true;
    }
    void release(std::string_view name, const owner_id &owner) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto holder = leases_.find(std::string(name));
        if (holder != leases_.end() && holder->second == owner) leases_.erase(holder);
    }
    // The number of entries with a value, if there is no lease.
    std::ptrdiff_t entries_without_lease() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!leases_.empty()) return -1;
        return std::count_if(entries_.begin(), entries_.end(), [](const auto &named) { return !named.second.value.empty(); });
    }

private:
    std::mutex mutex_;
    std::map<std::string, stored> entries_;
    std::map<std::string, owner_id> leases_;
};

class throwing_store : public authgrant::token_store {
    std::optional<entry> get(std::string_view) override { throw 1; }
    bool lease(std::string_view, const owner_id &, milliseconds) override { throw 1; }
    bool put(std::string_view, const owner_id &, const update &) override { throw 1; }
    void release(std::string_view, const owner_id &) override { throw 1; }
};

static const std::uint8_t owners[2][16] = {{1, 2, 3}, {4}};

static void check_functions_of_store() {
    memory_store memory;
    const authgrant_token_store store = authgrant::detail::store_functions(&memory);
    CHECK(store.size == sizeof store && store.context == &memory);
    std::array<std::uint8_t, 8> buffer{};
    const std::array<std::uint8_t, 3> value{7, 0, 9};
    std::size_t length = 0;
    std::int64_t ttl_ms = -1;
    std::int32_t taken = -1, written = -1;
    CHECK(store.get("a", buffer.data(), buffer.size(), &length, &ttl_ms, &memory) == 0 && length == 0);
    CHECK(store.lease("a", owners[0], 1000, &taken, &memory) == 0 && taken == 1);
    CHECK(store.lease("a", owners[1], 1000, &taken, &memory) == 0 && taken == 0);
    CHECK(store.put("a", owners[1], 0, 1, value.data(), value.size(), 60000, &written, &memory) == 0 && written == 0);
    CHECK(store.put("a", owners[0], 0, 1, value.data(), value.size(), 60000, &written, &memory) == 0 && written == 1);
    CHECK(store.put("a", owners[0], 0, 2, value.data(), value.size(), 1000, &written, &memory) == 0 && written == 0);
    CHECK(store.get("a", buffer.data(), buffer.size(), &length, &ttl_ms, &memory) == 0 && length == 3);
    CHECK(ttl_ms > 0 && ttl_ms <= 60000);
    CHECK(std::equal(value.begin(), value.end(), buffer.begin()));
    buffer.fill(0xee);
    CHECK(store.get("a", buffer.data(), 2, &length, &ttl_ms, &memory) == 0 && length == 3 && buffer[0] == 0xee);
    CHECK(store.release("a", owners[1], &memory) == 0 && memory.entries_without_lease() == -1);
    CHECK(store.release("a", owners[0], &memory) == 0 && memory.entries_without_lease() == 1);

    throwing_store throwing;
    const authgrant_token_store failing = authgrant::detail::store_functions(&throwing);
    CHECK(failing.get("a", buffer.data(), buffer.size(), &length, &ttl_ms, &throwing) == -1);
    CHECK(failing.lease("a", owners[0], 1000, &taken, &throwing) == -1);
    CHECK(failing.put("a", owners[0], 0, 1, value.data(), value.size(), 60000, &written, &throwing) == -1);
    CHECK(failing.release("a", owners[0], &throwing) == -1);
}

static void check_audit() {
    std::vector<std::string> events;
    authgrant::set_audit(nullptr);
    authgrant::set_audit([&](std::string_view event) {
        events.emplace_back(event);
        CHECK(authgrant::try_set_audit(nullptr).error().sqlstate() == "HY010");
    });
    CHECK(authgrant::try_set_audit([](std::string_view) {}).error().sqlstate() == "HY010");
    auto open = connection::open(connection_string);
    authgrant::clear_caches();
    CHECK(!open.get_token().value().empty() && events.size() == 1 && contains(events[0], "AUTHGRANT_OK"));
    authgrant::set_audit(nullptr);
    // An exception does not reach the caller.
    authgrant::set_audit([](std::string_view) { throw 1; });
    authgrant::clear_caches();
    CHECK(!open.get_token().value().empty() && events.size() == 1);
    authgrant::set_audit(nullptr);
}

static std::string token_of_store() {
    auto open = connection::open(connection_string);
    open.set_options({{"TokenCache", "application:"}, {"TokenCacheTimeout", "20000"}});
    return std::string(open.get_token().value());
}

// Before the first connection is opened.
static void check_token_store() {
    check_functions_of_store();
    CHECK(authgrant::try_set_token_store(nullptr).error().status() == status_code::invalid_argument);
    auto owned = std::make_unique<memory_store>();
    memory_store &store = *owned;
    authgrant::set_token_store(std::move(owned));
    const auto second = authgrant::try_set_token_store(std::make_unique<memory_store>());
    CHECK(second.error().status() == status_code::invalid_argument && second.error().sqlstate() == "HY010");

    const std::string first = token_of_store();
    authgrant::clear_caches();
    CHECK(token_of_store() == first && store.entries_without_lease() == 1);
}

static void check_policy() {
    CHECK(authgrant::try_allow_directory("/no/such/directory").error().status() == status_code::invalid_argument);
    CHECK(thrown_by<authgrant::error>([] { authgrant::allow_directory(""); }).status() == status_code::invalid_argument);
    authgrant::set_policy(authgrant::allow::none, authgrant::forbid::prompt | authgrant::forbid::http_get);
    // After the first connection a policy can only be tightened.
    CHECK(authgrant::try_set_policy(authgrant::allow::secret_references, authgrant::forbid::none).error().status() ==
          status_code::invalid_argument);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s 'CONNECTION STRING'\n", argv[0]);
        return 2;
    }
    connection_string = argv[1];
    check_token_store();
    check_library_functions();
    check_errors();
    check_options();
    check_tokens();
    check_wide_connection_strings();
    check_reports();
    check_callbacks();
    check_audit();
    check_cancel();
    check_timeout();
    check_authorization();
    check_policy();
    return checks_done("every_function");
}
