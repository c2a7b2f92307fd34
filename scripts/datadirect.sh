# Sourced: key store and connection string of DataDirect's documentation. make_key_store STEM creates a key store and its certificate
# STEM.pem; KEY_STORE is the store: a JKS by keytool, as in the documentation, or a PKCS#12 by OpenSSL if there is no Java.

make_key_store() {
    local stem=$1
    if scripts/setup.sh java >/dev/null; then
        KEY_STORE=$stem.jks
        quietly keytool -genkeypair -alias jwt -keyalg RSA -keysize 2048 -dname CN=authgrant -validity 300 \
            -storetype JKS -keystore "$KEY_STORE" -storepass secret -keypass secret
        quietly keytool -exportcert -rfc -alias jwt -keystore "$KEY_STORE" -storepass secret -file "$stem.pem"
    else
        scripts/setup.sh openssl
        KEY_STORE=$stem.p12
        quietly openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authgrant -days 300 -keyout "$stem.key" -out "$stem.pem"
        quietly openssl pkcs12 -export -inkey "$stem.key" -in "$stem.pem" -out "$KEY_STORE" -passout pass:secret
    fi
    chmod 600 "$KEY_STORE"
}

quietly() { "$@" >"$SCRATCH/output" 2>&1 || { cat "$SCRATCH/output" >&2; fail "$1 failed"; }; }

# The connection string of DataDirect's documentation with the store, the token host and the trust store of the test.
connection_string() {
    cat <<END
DRIVER=DataDirect 8.0 Autonomous REST Connector;
       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;
       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;
       JWTCertStore=$1;JWTCertPassword=secret;
       TokenUri=$2/oauth/token;
       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;
       Scope=signature impersonation;
       TrustStore=$3;
END
}
