/* OAuth validator of PostgreSQL 18 for the tests: asks the mock authorization server whose token it is.
 *
 * AUTHGRANT_WHOAMI is the port of the mock server, which listens at 127.0.0.1 by plain http. */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

/* Otherwise libpq/oauth.h needs the headers of Kerberos and OpenSSL, for types that are not used here. */
#undef ENABLE_GSS
#undef USE_OPENSSL
#include "fmgr.h"
#include "libpq/oauth.h"

PG_MODULE_MAGIC;

/* Sends the request and reads the whole response; false if there is none. */
static bool
ask_server(const char *token, char *response, size_t capacity)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *port = getenv("AUTHGRANT_WHOAMI");
	char	   *request = psprintf("GET /api/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
								   "Authorization: Bearer %s\r\n\r\n", token);
	int			server = socket(AF_INET, SOCK_STREAM, 0);
	size_t		length = 0;
	ssize_t		count = -1;

	address.sin_port = htons(port ? atoi(port) : 0);
	if (connect(server, (struct sockaddr *) &address, sizeof address) == 0
		&& write(server, request, strlen(request)) == (ssize_t) strlen(request))
		while (length < capacity - 1 && (count = read(server, response + length, capacity - 1 - length)) > 0)
			length += count;
	response[length] = '\0';
	close(server);
	return count == 0;
}

/* Authorizes a token that the server knows; the user of the token is the value of "sub". */
static bool
validate(const ValidatorModuleState *state, const char *token, const char *role, ValidatorModuleResult *result)
{
	char		response[8192];
	char	   *subject;

	if (!ask_server(token, response, sizeof response))
		return false;
	result->authorized = strncmp(response, "HTTP/1.1 200 ", 13) == 0;
	subject = strstr(response, "\"sub\":\"");
	if (result->authorized && subject != NULL)
	{
		subject += strlen("\"sub\":\"");
		result->authn_id = pnstrdup(subject, strcspn(subject, "\""));
	}
	return true;
}

const OAuthValidatorCallbacks *
_PG_oauth_validator_module_init(void)
{
	static const OAuthValidatorCallbacks callbacks = {PG_OAUTH_VALIDATOR_MAGIC, .validate_cb = validate};

	return &callbacks;
}
