#!/usr/bin/env bash
# faults.sh sample|all|CASE [LIBRARY_DIRECTORY]: lets calls of the library to the C library and to the kernel fail, one in each case
# (tests/faults/driver.c).
#
# sample  1,500 cases, about a minute; AUTHGRANT_FAULTS_SEED selects others
# all     all cases, about fifteen minutes
# CASE    a case by its name, such as jwt:connect:ECONNREFUSED:1, with the errors of the library, the memory in use and the stack of an
#         abort
#
# The library is that of $AUTHGRANT_LIBRARY or of the directory. Prints one line `ok NAME` or `not ok NAME` for each function.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

selection=${1:?sample, all or the name of a case}
library=${2:-$(dirname "${AUTHGRANT_LIBRARY:-build/test-lib/libauthgrant.so}")}
library=$(cd "$library" && pwd)
failed=0
scenarios=$SCRATCH/scenarios
tokens=$SCRATCH/tokens
: >"$scenarios"

# scenario NAME OPERATION OPTIONS: the operations are get, cached (a second connection reads the token of the first), renew (the token was
# rejected), login (the user opens the URL), browser (xdg-open is tests/c/user.sh), sign (the token is a JWT, which no server issues),
# confined (only files below $SCRATCH are allowed).
scenario() { printf '%s\t%s\tLoginTimeout=4;ConsentTimeout=4;%s\n' "$1" "$2" "$3" >>"$scenarios"; }

# control METHOD URL [JSON]: sends a control request to a mock server and prints the response.
control() {
    local authority=${2#http://} path
    path=/${authority#*/}
    authority=${authority%%/*}
    exec 4<>"/dev/tcp/${authority%:*}/${authority#*:}"
    printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$1" "$path" "$authority" "${#3}" "$3" >&4
    sed '1,/^\r$/d' <&4
    exec 4>&-
}

# wait_for COMMAND...: waits until it succeeds, for at most a minute.
wait_for() {
    for _ in $(seq 600); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    fail "$* did not succeed"
}

start_redis() {
    redis_port=$(free_port)
    redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$SCRATCH" --save "" --logfile "$SCRATCH/redis.log" >/dev/null &
    SERVERS+=($!)
    wait_for redis-cli -p "$redis_port" ping
}

# A server that demands a client certificate, in front of the mock server $1.
start_nginx() {
    local stem=$SCRATCH/nginx
    nginx_port=$(free_port)
    mkdir "$stem"
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj /CN=127.0.0.1 \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$stem/key.pem" -out "$stem/certificate.pem"
    cat >"$stem/nginx.conf" <<END
daemon off; master_process off; pid $stem/pid; error_log $stem/error.log; events {}
http {
    access_log off; client_body_temp_path $stem/body; proxy_temp_path $stem/proxy; fastcgi_temp_path $stem/fastcgi;
    uwsgi_temp_path $stem/uwsgi; scgi_temp_path $stem/scgi;
    server {
        listen 127.0.0.1:$nginx_port ssl; ssl_certificate $stem/certificate.pem; ssl_certificate_key $stem/key.pem;
        ssl_client_certificate $SCRATCH/client.pem; ssl_verify_client on;
        location / { proxy_pass $1; proxy_http_version 1.1; proxy_set_header Connection close; }
    }
}
END
    nginx -c "$stem/nginx.conf" 2>/dev/null &
    SERVERS+=($!)
    wait_for grep -q . "$stem/pid"
}

# The key of the JWTs in other formats, and a client certificate.
make_keys() {
    make_key_store "$SCRATCH/jwtcert"
    quietly keytool -importkeystore -srckeystore "$KEY_STORE" -srcstorepass secret -destkeystore "$SCRATCH/key.p12" -deststoretype PKCS12 \
        -deststorepass secret
    quietly openssl pkcs12 -in "$SCRATCH/key.p12" -passin pass:secret -nocerts -passout pass:secret -out "$SCRATCH/key.pem"
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj /CN=client -keyout "$SCRATCH/client.key" \
        -out "$SCRATCH/client.pem"
    quietly openssl pkcs12 -export -inkey "$SCRATCH/client.key" -in "$SCRATCH/client.pem" -passout pass:secret -out "$SCRATCH/client.p12"
    chmod 600 "$SCRATCH"/*.p12 "$SCRATCH"/*.pem "$SCRATCH/client.key"
}

# A client of the mock server that authenticates with the key of client.pem.
signer_registration() {
    local key
    key=$(sed 's/$/\\n/' "$SCRATCH/client.pem" | tr -d '\n')
    printf '{"issuer": "signer", "keys": ["%s"], "options": {"grant_types": ["client_credentials"]}}' "$key"
}

# The CA of the mock server is one of the operating system.
make_trust_store() {
    mkdir "$SCRATCH/certs"
    cp "$SCRATCH/ca.pem" "$SCRATCH/certs/$(openssl x509 -hash -noout -in "$SCRATCH/ca.pem").0"
    export SSL_CERT_DIR=$SCRATCH/certs
    unset SSL_CERT_FILE
}

# A data source with a model file; the library reads the variables.
make_data_source() {
    cat >"$SCRATCH/odbc.ini" <<END
[faults]
RestConfigFile=$SCRATCH/model.rest
JWTCertStore=$KEY_STORE
JWTCertPassword=secret
ClaimsIssuer=$ISSUER
TrustStore=$SCRATCH/ca.pem
END
    cat >"$SCRATCH/model.rest" <<END
{"#options": {"authenticationMethod": "55", "tokenURI": "POST $TLS/oauth/token"}}
END
    chmod 600 "$SCRATCH/odbc.ini" "$SCRATCH/model.rest"
    export ODBCINI=$SCRATCH/odbc.ini ODBCSYSINI=$SCRATCH
}

write_scenarios() {
    local tls="TrustStore=$SCRATCH/ca.pem" port=${TLS##*:} post="TokenURI=POST $TLS/oauth/token"
    local claims="AuthenticationMethod=55;ClaimsIssuer=$ISSUER;ClaimsSubject=jsmith@example.com;JWTCertPassword=secret"
    local jwt="$claims;JWTCertStore=$KEY_STORE" client="ClientID=app;ClientSecret=$SECRET"
    local app="$client;TokenURI=POST $PLAIN/oauth/token"
    local login="AuthenticationMethod=56;RedirectURI=http://127.0.0.1:0/cb;AuthURI=$PLAIN/oauth/auth;$app"
    local shared="TokenCacheSecret=%U-0123456789abcdef0123456789abcdef;TokenCacheWait=1"
    local nginx="TrustStore=$SCRATCH/nginx/certificate.pem;TokenURI=POST https://127.0.0.1:$nginx_port/oauth/token"
    local signer="ClientID=signer;ClaimsIssuer=signer;ClaimsSubject=signer;JWTCertStore=$SCRATCH/client.key"
    scenario jwt get "$jwt;$tls;$post"
    scenario cached cached "$jwt;$tls;$post"
    scenario renew renew "$jwt;$tls;$post"
    scenario get_fallback get "$jwt;$tls;TokenURI=$TLS/oauth/token"
    scenario pkcs12 get "$claims;JWTCertStore=$SCRATCH/key.p12;$tls;$post"
    scenario pem get "$claims;JWTCertStore=$SCRATCH/key.pem;$tls;$post"
    scenario confined confined "$jwt;$tls;$post"
    scenario system_trust get "$jwt;$post"
    scenario data_source get "DSN=faults;ClaimsSubject=jsmith@example.com"
    scenario dns get "$jwt;$tls;HostNameInCertificate=localhost;TokenURI=POST https://server.test:$port/oauth/token"
    scenario client_certificate get "AuthenticationMethod=53;$client;KeyStore=$SCRATCH/client.p12;KeyStorePassword=secret;$nginx"
    scenario client_assertion get "AuthenticationMethod=OAuth2-JWTClientAssertion;$signer;TokenURI=POST $PLAIN/oauth/token"
    scenario jwt_token sign "AuthenticationMethod=JWT;ClaimsIssuer=me;JWTCertStore=$KEY_STORE;JWTCertPassword=secret"
    scenario client_credentials get "AuthenticationMethod=53;$app"
    scenario password get "AuthenticationMethod=52;User=jsmith;Password=secret;$app"
    scenario refresh get "AuthenticationMethod=54;RefreshToken=$REFRESH;$app"
    scenario login login "$login"
    scenario browser browser "$login"
    scenario folder get "AuthenticationMethod=53;$app;TokenCache=file:%D/tokens;$shared"
    scenario redis get "AuthenticationMethod=53;$app;TokenCache=redis://127.0.0.1:$redis_port/0;$shared"
}

# issued_tokens URL: prints the tokens that a mock server issued.
issued_tokens() {
    local authority=${1#*://} request
    request=$(printf 'GET /control/issued HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n.' "$authority")
    if [[ $1 = https:* ]]; then
        printf %s "${request%.}" | openssl s_client -quiet -connect "$authority" 2>/dev/null
    else
        control GET "$1/control/issued" ""
    fi | grep -oE '"[A-Za-z0-9._-]+"' | tr -d '"'
}

# No call returned a token that no server issued.
tokens_were_issued() {
    { issued_tokens "$PLAIN"; issued_tokens "$TLS"; } | sort -u >"$SCRATCH/issued"
    sort -u "$tokens" >"$SCRATCH/received"
    wc -l "$SCRATCH/issued" "$SCRATCH/received"
    [ -s "$SCRATCH/received" ] && [ -z "$(comm -23 "$SCRATCH/received" "$SCRATCH/issued" | tee /dev/stderr)" ]
}

# A function that the library imports has a row in inject.c, or is in not_injected.txt.
imports_are_known() {
    nm -D --undefined-only "$library/libauthgrant.so" | awk '{ print $NF }' | sed 's/@.*//' | grep -v '^_Unwind_' |
        sort -u >"$SCRATCH/imported"
    { sed -n 's/^    FUNCTION(\([A-Za-z0-9_]*\),.*/\1/p' tests/faults/inject.c; sed '/^#/d' tests/faults/not_injected.txt; } |
        tr -s ' ' '\n' | sort -u >"$SCRATCH/known"
    ! comm -23 "$SCRATCH/imported" "$SCRATCH/known" | grep .
}

compile() {
    cc -std=gnu11 -Wall -Wextra -Wshadow -Werror -g -Iinclude tests/faults/driver.c tests/faults/inject.c -o "$SCRATCH/driver" -rdynamic \
        -L"$library" -lauthgrant -Wl,-rpath,"$library" -pthread -ldl
}

# run_driver ARGUMENT...: without its own lists of free memory, the C library counts exactly what is in use.
run_driver() {
    GLIBC_TUNABLES=glibc.malloc.tcache_count=0 TMPDIR=$SCRATCH PATH="$SCRATCH/desktop:$PATH" \
        "$SCRATCH/driver" --jobs $(($(nproc) * 3)) "$@" "$scenarios" "$tokens"
}

# run_cases ARGUMENT...: what cases write to stderr is of use only one by one.
run_cases() {
    run_driver "$@" 2>/dev/null && return
    failed=1
    echo "scripts/faults.sh NAME repeats a case, with its errors and stacks"
}

ISSUER=1a2b3c4d5e_6f7g8h9g
SECRET=0123456789abcdefABCDEF0123456789abcdefABCDEF0123
compile
make_keys
start_server tls "$TARGET/debug/mock_server" --https --register "$ISSUER=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
TLS=$SERVER_URL
start_server plain "$TARGET/debug/mock_server" --http --client "app:$SECRET" --user jsmith:secret --redirect-uri http://127.0.0.1:0/cb \
    --config '{"rotate_refresh_tokens": false}'
PLAIN=$SERVER_URL
REFRESH=$(control POST "$PLAIN/control/refresh-token" '{"issuer": "app", "subject": "jsmith"}' |
    sed -n 's/.*"refresh_token": *"\([^"]*\)".*/\1/p')
control POST "$PLAIN/control/register" "$(signer_registration)" >/dev/null
start_redis
start_nginx "$PLAIN"
make_data_source
make_trust_store
mkdir "$SCRATCH/desktop"
ln -s "$ROOT/tests/c/user.sh" "$SCRATCH/desktop/xdg-open"
write_scenarios
case $selection in
    sample) run_cases --seed "${AUTHGRANT_FAULTS_SEED:-1}" --sample 1500 ;;
    all) run_cases ;;
    *) run_driver --case "$selection" || failed=1 ;;
esac
try "imports are known" imports_are_known
try "tokens were issued" tokens_were_issued
exit $failed
