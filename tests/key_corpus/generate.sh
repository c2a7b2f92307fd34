#!/usr/bin/env bash
# generate.sh DIRECTORY: creates key files with keytool, OpenSSL, NSS's pk12util and GnuTLS's certtool in every scheme that they
# support, and a list of them, DIRECTORY/corpus.tsv, with one line per file:
#
#   file  key  tool  container  scheme  MAC or digest  password-kind  alias  password  key-password  expected
#
# "key" is the name of the public key KEY.pub that verifies its signatures; "-" means none. "expected" is "opens" or the status of
# the error. A scheme that the installed tool does not support is skipped.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1" && cd "$1" || exit 1
export LC_ALL=C.UTF-8
LOG=$PWD/generate.log
: >"$LOG"
PASSWORD=changeit
UMLAUT='pässw€rd'

# note FILE KEY TOOL CONTAINER SCHEME MAC KIND [ALIAS PASSWORD KEY-PASSWORD EXPECTED]: adds a line to the list.
note() { printf '%s\t' "${@:1:7}" "${8:--}" "${9:-$PASSWORD}" "${10:--}" >>"$LIST" && printf '%s\n' "${11:-opens}" >>"$LIST"; }

# try COMMAND...: runs a tool with its output in the log; returns its status.
try() {
    printf '$ %s\n' "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 </dev/null
}

keys() {
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key 2>>"$LOG" ||
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key 2>>"$LOG"
    try openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out rsa4096.key
    try openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa1024.key
    try openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key
    try openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha384 \
        -pkeyopt rsa_pss_keygen_mgf1_md:sha384 -pkeyopt rsa_pss_keygen_saltlen:48 -out pss384.key
    for curve in 256 384 521; do try openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve -out p$curve.key; done
    try openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out k256.key
    try openssl genpkey -algorithm ED25519 -out ed25519.key
    try openssl genpkey -algorithm ED448 -out ed448.key
    try openssl dsaparam -noout -genkey -out dsa.key 1024
    for key in *.key; do
        key=${key%.key}
        try openssl pkey -in "$key.key" -pubout -out "$key.pub"
        try openssl req -x509 -new -key "$key.key" -subj "/CN=$key" -days 3650 -out "$key.crt"
    done
}

# p12 FILE KEY SCHEME MAC KIND EXPECTED OPTIONS...: creates a PKCS#12 file with openssl.
p12() {
    local file=$1 key=$2 scheme=$3 mac=$4 kind=$5 expected=$6
    shift 6
    try openssl pkcs12 -export -inkey "$key.key" -in "$key.crt" -name "$key" -passout "pass:$PASSWORD" "$@" -out "$file" &&
        note "$file" "$key" openssl PKCS12 "$scheme" "$mac" "$kind" - "" - "$expected"
}

OLD="PBE-MD5-DES PBE-MD5-RC2-64 PBE-SHA1-DES PBE-SHA1-RC2-64 PBE-SHA1-RC4-128 PBE-SHA1-RC4-40 PBE-SHA1-3DES PBE-SHA1-2DES
PBE-SHA1-RC2-128 PBE-SHA1-RC2-40"
NEW="AES-128-CBC AES-192-CBC AES-256-CBC DES-EDE3-CBC DES-CBC RC2-CBC RC2-64-CBC RC2-40-CBC CAMELLIA-128-CBC
CAMELLIA-192-CBC CAMELLIA-256-CBC ARIA-128-CBC ARIA-192-CBC ARIA-256-CBC SEED-CBC SM4-CBC BF-CBC CAST5-CBC IDEA-CBC RC4"
# Schemes that openssl supports but that are not used in practice.
MODES=$(for one in AES-128 AES-192 AES-256 CAMELLIA-128 CAMELLIA-192 CAMELLIA-256 ARIA-128 ARIA-192 ARIA-256 SEED SM4 DES IDEA; do
    echo $one-ECB $one-CFB $one-OFB $one-CTR
done)
MODES="$MODES DES-EDE DES-EDE3-CFB id-aes128-wrap-pad id-aes192-wrap-pad id-aes256-wrap-pad"
MACS="md5 sha1 sha224 sha256 sha384 sha512 sha512-224 sha512-256 sha3-224 sha3-256 sha3-384 sha3-512"
RARE_MACS="md4 ripemd160 sm3 whirlpool blake2b512 blake2s256 mdc2"

openssl_pkcs12() {
    local one other
    for one in $OLD $NEW; do
        p12 "o-$one.p12" rsa "$one" sha256 ascii opens -legacy -keypbe "$one" -certpbe "$one"
    done
    for one in $MODES; do
        p12 "o-$one.p12" rsa "$one" sha256 ascii opens -legacy -iter 1 -keypbe "$one" -certpbe "$one"
    done
    # Old and new ciphers with old and new digests. Keys and certificates with different schemes follow below.
    for one in PBE-SHA1-3DES PBE-SHA1-RC2-40 AES-256-CBC; do
        for other in $MACS; do
            p12 "o-$one-$other.p12" rsa "$one" "$other" ascii opens -legacy -keypbe "$one" -certpbe "$one" -macalg "$other"
        done
    done
    for one in $RARE_MACS; do p12 "o-mac-$one.p12" rsa AES-256-CBC "$one" ascii opens -legacy -macalg "$one"; done
    p12 o-mixed.p12 rsa "3DES and RC2-40" sha1 ascii opens -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1
    p12 o-clear-certificates.p12 rsa "AES-256-CBC and none" sha256 ascii opens -certpbe NONE
    p12 o-clear.p12 rsa none sha256 ascii opens -certpbe NONE -keypbe NONE
    p12 o-clear-nomac.p12 rsa none none ascii opens -certpbe NONE -keypbe NONE -nomac
    for one in AES-256-CBC PBE-SHA1-3DES PBE-SHA1-RC4-128; do
        p12 "o-nomac-$one.p12" rsa "$one" none ascii opens -legacy -keypbe "$one" -certpbe "$one" -nomac
    done
    p12 o-iter-1.p12 rsa AES-256-CBC "sha256, 1 iteration" ascii opens -iter 1
    p12 o-iter-million.p12 rsa AES-256-CBC "sha256, a million iterations" ascii opens -iter 1000000
    p12 o-iter-bomb.p12 rsa AES-256-CBC "sha256, 2,000,001 iterations" ascii KEY_STORE_ERROR -iter 2000001
    p12 o-iter-key-bomb.p12 rsa AES-256-CBC "sha256, 2,000,001 iterations" ascii KEY_STORE_ERROR -iter 2000001 -nomac -certpbe NONE
    p12 o-saltlen.p12 rsa AES-256-CBC sha256 ascii opens -macsaltlen 64
    p12 o-nocerts.p12 rsa AES-256-CBC sha256 ascii opens -nocerts
    for one in rsa4096 p256 p384 ed25519 pss pss384; do p12 "o-key-$one.p12" $one AES-256-CBC sha256 ascii opens; done
    try openssl base64 -in o-iter-1.p12 -out o-base64.p12 &&
        note o-base64.p12 rsa openssl "base64 of PKCS12" AES-256-CBC sha256 ascii
    for one in p521 k256 ed448 dsa rsa1024; do p12 "o-key-$one.p12" $one AES-256-CBC sha256 ascii KEY_UNSUITABLE; done
}

# spelled FILE SCHEME KIND BYTES PASSWORD OPTIONS...: creates a PKCS#12 file; openssl receives the password as BYTES, the user
# enters PASSWORD.
spelled() {
    local file=$1 scheme=$2 kind=$3 bytes=$4 password=$5
    shift 5
    try openssl pkcs12 -export -inkey rsa.key -in rsa.crt -name rsa -passout "pass:$bytes" "$@" -out "$file" &&
        note "$file" rsa openssl PKCS12 "$scheme" sha256 "$kind" - "${password:-\"\"}"
}

openssl_passwords() {
    local scheme twice latin
    # OpenSSL before 1.1 treats each byte of UTF-8 as one character.
    twice=$(printf '%s' "$UMLAUT" | iconv -f ISO-8859-1 -t UTF-8)
    latin=$(printf 'p\344ssword')
    for scheme in AES-256-CBC PBE-SHA1-3DES PBE-SHA1-RC2-40 PBE-SHA1-DES; do
        local options=(-legacy -keypbe "$scheme" -certpbe "$scheme")
        spelled "o-empty-$scheme.p12" $scheme empty "" "" "${options[@]}"
        spelled "o-utf8-$scheme.p12" $scheme UTF-8 "$UMLAUT" "$UMLAUT" "${options[@]}"
        spelled "o-emoji-$scheme.p12" $scheme "beyond the BMP" "key🔑" "key🔑" "${options[@]}"
        spelled "o-latin-$scheme.p12" $scheme "ISO 8859-1" "$latin" "pässword" "${options[@]}"
        spelled "o-long-$scheme.p12" $scheme "200 letters" "$(printf 'a%.0s' {1..200})" "$(printf 'a%.0s' {1..200})" "${options[@]}"
    done
    for scheme in PBE-SHA1-3DES PBE-SHA1-RC2-40 PBE-SHA1-RC4-128; do
        spelled "o-old-$scheme.p12" $scheme "OpenSSL 1.0's UTF-8" "$twice" "$UMLAUT" -legacy -keypbe $scheme -certpbe $scheme
    done
}

# p8 FILE SCHEME DIGEST EXPECTED OPTIONS...: creates an encrypted PKCS#8 in PEM and in DER.
p8() {
    local file=$1 scheme=$2 digest=$3 expected=$4
    shift 4
    try openssl pkcs8 -topk8 -provider default -provider legacy -in rsa.key -passout "pass:$PASSWORD" "$@" -out "$file.pem" &&
        note "$file.pem" rsa openssl "PKCS8 PEM" "$scheme" "$digest" ascii - "" - "$expected"
    try openssl pkcs8 -topk8 -provider default -provider legacy -in rsa.key -passout "pass:$PASSWORD" "$@" -outform DER -out "$file.der" &&
        note "$file.der" rsa openssl "PKCS8 DER" "$scheme" "$digest" ascii - "" - "$expected"
}

openssl_pkcs8() {
    local one
    for one in $OLD; do p8 "p8-$one" "$one" - opens -v1 "$one"; done
    for one in $NEW; do p8 "p8-$one" "$one" HMAC-SHA256 opens -v2 "$one"; done
    for one in AES-256-OFB CAMELLIA-128-CTR SM4-CFB AES-192-ECB id-aes256-wrap-pad; do
        p8 "p8-$one" "$one" HMAC-SHA256 opens -v2 "$one"
    done
    for one in MD5 SHA1 SHA224 SHA256 SHA384 SHA512 SHA512-224 SHA512-256 SM3; do
        p8 "p8-prf-$one" AES-256-CBC "HMAC-$one" opens -v2 aes-256-cbc -v2prf "hmacWith$one"
    done
    for one in hmac-md5 hmac-sha1; do p8 "p8-prf-$one" AES-256-CBC "$one of IPsec" opens -v2 aes-256-cbc -v2prf $one; done
    p8 p8-scrypt AES-256-CBC scrypt opens -scrypt
    p8 p8-scrypt-64 AES-256-CBC "scrypt, 64 MiB" opens -scrypt -scrypt_N 65536 -scrypt_r 8 -scrypt_p 1
    p8 p8-bomb AES-256-CBC "2,000,001 iterations" KEY_STORE_ERROR -v2 aes-256-cbc -iter 2000001
    for one in rsa rsa4096 p256 p384 ed25519 pss; do
        note $one.key $one openssl "PKCS8 PEM" none - none - -
        try openssl pkey -in $one.key -outform DER -out p8-$one.der && note p8-$one.der $one openssl "PKCS8 DER" none - none - -
    done
}

openssl_traditional() {
    local one
    for one in des des3 aes128 aes192 aes256 camellia128 camellia192 camellia256 aria128 aria192 aria256 seed sm4 bf cast idea rc2 \
        rc2-64-cbc rc2-40-cbc des-ede-cbc aes-128-cfb aes-256-ofb aes-256-ctr aria-192-cfb sm4-ctr bf-cfb cast5-ofb des-ede3-ofb; do
        try openssl rsa -provider default -provider legacy -in rsa.key -traditional -$one -passout "pass:$PASSWORD" -out "old-$one.pem" &&
            note "old-$one.pem" rsa openssl "PKCS1 PEM" "$one" MD5 ascii
    done
    try openssl ec -in p256.key -aes256 -passout "pass:$PASSWORD" -out old-ec.pem &&
        note old-ec.pem p256 openssl "SEC1 PEM" aes256 MD5 ascii
    try openssl rsa -in rsa.key -traditional -out pkcs1.pem && note pkcs1.pem rsa openssl "PKCS1 PEM" none - none - -
    try openssl rsa -in rsa.key -traditional -outform DER -out pkcs1.der && note pkcs1.der rsa openssl "PKCS1 DER" none - none - -
    try openssl ec -in p384.key -out sec1.pem && note sec1.pem p384 openssl "SEC1 PEM" none - none - -
    try openssl ec -in p384.key -outform DER -out sec1.der && note sec1.der p384 openssl "SEC1 DER" none - none - -
    { echo "Bag Attributes: some text"; cat p384.crt; echo text between; cat rsa.crt old-aes256.pem; } >bundle.pem
    note bundle.pem rsa openssl "PEM bundle" aes256 MD5 ascii
}

# java FILE TYPE SCHEME MAC OPTIONS...: creates a key store with the RSA key by keytool.
java() {
    local file=$1 type=$2 scheme=$3 mac=$4
    shift 4
    try keytool "$@" -importkeystore -noprompt -srckeystore o-iter-1.p12 -srcstoretype PKCS12 -srcstorepass $PASSWORD \
        -destkeystore "$file" -deststoretype "$type" -deststorepass $PASSWORD &&
        note "$file" rsa keytool "$type" "$scheme" "$mac" ascii RSA
}

java_stores() {
    local property=-J-Dkeystore.pkcs12
    java k.jks JKS "Java's own" SHA-1
    java k.jceks JCEKS PBE-MD5-3DES SHA-1
    java k.p12 PKCS12 AES-256 sha256
    java k-legacy.p12 PKCS12 "3DES and RC2-40" sha1 -J-Dkeystore.pkcs12.legacy
    java k-sha512.p12 PKCS12 AES-128 sha512 $property.keyProtectionAlgorithm=PBEWithHmacSHA512AndAES_128 \
        $property.certProtectionAlgorithm=PBEWithHmacSHA1AndAES_128 $property.macAlgorithm=HmacPBESHA512
    java k-sha384.p12 PKCS12 AES-256 sha384 $property.keyProtectionAlgorithm=PBEWithHmacSHA384AndAES_256 \
        $property.certProtectionAlgorithm=PBEWithHmacSHA224AndAES_256 $property.macAlgorithm=HmacPBESHA384
    java k-rc4.p12 PKCS12 RC4-128 sha1 $property.keyProtectionAlgorithm=PBEWithSHA1AndRC4_128 \
        $property.certProtectionAlgorithm=PBEWithSHA1AndRC4_40 $property.macAlgorithm=HmacPBESHA1
    java k-clear.p12 PKCS12 "AES-256 and none" none $property.certProtectionAlgorithm=NONE $property.macAlgorithm=NONE
    local type
    for type in JKS JCEKS; do
        local file=k-keypass.${type,,}
        cp "k.${type,,}" "$file" && try keytool -keypasswd -storetype $type -keystore "$file" -storepass $PASSWORD -alias rsa \
            -keypass $PASSWORD -new another1 && note "$file" rsa keytool $type "key password of its own" SHA-1 ascii rsa "" another1
    done
    cp k.jceks k-secret.jceks && try keytool -genseckey -storetype JCEKS -keystore k-secret.jceks -storepass $PASSWORD -alias aes \
        -keyalg AES -keysize 128 -keypass $PASSWORD && note k-secret.jceks rsa keytool JCEKS "with a secret key beside" SHA-1 ascii rsa
    cp k.p12 k-utf8.p12 && try keytool -storepasswd -keystore k-utf8.p12 -storepass $PASSWORD -new "$UMLAUT" &&
        note k-utf8.p12 rsa keytool PKCS12 AES-256 sha256 UTF-8 rsa "$UMLAUT"
}

# nss FILE SCHEME MAC KIND PASSWORD EXPECTED OPTIONS...: creates a PKCS#12 file with pk12util.
nss() {
    local file=$1 scheme=$2 mac=$3 kind=$4 password=$5 expected=$6
    shift 6
    try pk12util -o "$file" -d sql:nss -n rsa -K "" -W "$password" "$@" &&
        note "$file" rsa pk12util PKCS12 "$scheme" "$mac" "$kind" - "$password" - "$expected"
}

nss_stores() {
    mkdir -p nss && try certutil -N -d sql:nss --empty-password && try pk12util -i o-iter-1.p12 -d sql:nss -K "" -W $PASSWORD || return 0
    local one
    nss n.p12 default default ascii $PASSWORD opens
    nss n-utf8.p12 default default UTF-8 "$UMLAUT" opens
    for one in AES-128-CBC AES-192-CBC AES-256-CBC DES-EDE3-CBC RC2-CBC RC4; do
        nss "n-$one.p12" $one default ascii $PASSWORD opens -c $one -C $one
        nss "n-$one-utf8.p12" $one default UTF-8 "$UMLAUT" opens -c $one -C $one
    done
    for one in "SHA-1 and 128 Bit RC4" "SHA-1 and 40 Bit RC4" "SHA-1 and Triple DES-CBC" "SHA-1 and 2KEY Triple DES-CBC" \
        "SHA-1 and 128 Bit RC2 CBC" "SHA-1 and 40 Bit RC2 CBC"; do
        nss "n-${one// /-}.p12" "$one" default ascii $PASSWORD opens -c "PKCS #12 V2 PBE With ${one/and/And}" -C "PKCS #12 V2 PBE With ${one/and/And}"
    done
    for one in 128 192 256; do nss "n-camellia-$one.p12" CAMELLIA-$one-CBC default ascii $PASSWORD opens -c CAMELLIA-$one-CBC -C CAMELLIA-$one-CBC; done
    for one in SHA-1 SHA-224 SHA-256 SHA-384 SHA-512; do nss "n-mac-$one.p12" AES-256-CBC $one ascii $PASSWORD opens -c AES-256-CBC -C AES-256-CBC -M $one; done
    nss n-clear-certificates.p12 "AES-256-CBC and none" default ascii $PASSWORD opens -c AES-256-CBC -C none
}

gnutls_stores() {
    has certtool || return 0
    local one mac
    for one in 3des 3des-pkcs12 aes-128 aes-192 aes-256 rc2-40 arcfour; do
        try certtool --to-p12 --load-privkey rsa.key --load-certificate rsa.crt --p12-name rsa --password $PASSWORD --pkcs-cipher $one \
            --outder --outfile "g-$one.p12" && note "g-$one.p12" rsa certtool PKCS12 $one default ascii
        try certtool --to-p8 --load-privkey rsa.key --password $PASSWORD --pkcs-cipher $one --outfile "g-$one.pem" &&
            note "g-$one.pem" rsa certtool "PKCS8 PEM" $one - ascii
    done
    try certtool --to-p12 --load-privkey rsa.key --load-certificate rsa.crt --p12-name rsa --password $PASSWORD --pkcs-cipher aes-256 \
        --outfile g-text.p12 && note g-text.p12 rsa certtool "PKCS12 with BEGIN PKCS12" aes-256 default ascii
    for mac in SHA1 SHA384 SHA512; do
        try certtool --to-p12 --load-privkey rsa.key --load-certificate rsa.crt --p12-name rsa --password $PASSWORD --hash $mac \
            --outder --outfile "g-mac-$mac.p12" && note "g-mac-$mac.p12" rsa certtool PKCS12 default $mac ascii
    done
    for one in null empty; do
        try certtool --to-p12 --load-privkey rsa.key --load-certificate rsa.crt --p12-name rsa --$one-password --pkcs-cipher aes-256 \
            --outder --outfile "g-$one.p12" && note "g-$one.p12" rsa certtool PKCS12 aes-256 default "$one" - '""'
    done
    try certtool --to-p12 --load-privkey rsa.key --load-certificate rsa.crt --p12-name rsa --password "$UMLAUT" --pkcs-cipher aes-256 \
        --outder --outfile g-utf8.p12 && note g-utf8.p12 rsa certtool PKCS12 aes-256 default UTF-8 - "$UMLAUT"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Formats that these tools cannot create.
by_python() { python3 "$here/generate.py" >>"$LIST" 2>>"$LOG"; }

keys
LIST=$PWD/o.list; : >"$LIST"
p12 o-iter-1.p12 rsa AES-256-CBC "sha256, 1 iteration" ascii opens -iter 1
: >"$LIST"
for part in java_stores nss_stores gnutls_stores; do
    LIST=$PWD/$part.list
    : >"$LIST"
    $part &
done
LIST=$PWD/o.list
openssl_pkcs12
openssl_passwords
openssl_pkcs8
openssl_traditional
by_python
wait
# A tool may report success although the disk is full.
cut -f1 ./*.list | while read -r file; do
    [ -s "$file" ] || { echo "$1/$file is empty; is the disk full?" >&2 && exit 1; }
done || exit 1
cat o.list java_stores.list nss_stores.list gnutls_stores.list >corpus.tsv
echo "$(wc -l <corpus.tsv) key files in $1"
