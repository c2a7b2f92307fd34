// The example OpenID provider of zitadel/oidc on loopback, with a key and a redirect URI of the test.
//
//	zitadel CERT.pem REDIRECT_URI
//
// Prints `ready http://127.0.0.1:PORT` and runs until its standard input is closed. The token URL is /oauth/token, the authorization URL
// /auth, the revocation endpoint /revoke. Assertions must have the issuer with a trailing slash as aud. The clients:
//
//	service   JWT bearer grant; iss and sub are "service", kid is "key1", the key is that of the certificate
//	native    public; authorization_code with PKCE, refresh_token with rotation; the user is test-user@localhost, verysecure
package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// keyStorage is the storage of the example with another key of the service user: that of the example has 1024 bits.
type keyStorage struct {
	*storage.Storage
	key any
}

func (s *keyStorage) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	if keyID != storage.ServiceUserKeyID || clientID != storage.ServiceUserID {
		return nil, errors.New("key not found")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: s.key}, nil
}

func readPublicKey(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return certificate.PublicKey, nil
}

func run(certificate, redirectURI string) error {
	key, err := readPublicKey(certificate)
	if err != nil {
		return fmt.Errorf("%s: %w", certificate, err)
	}
	// The issuer contains the port, so the server must listen first.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("http://%s/", listener.Addr())
	storage.RegisterClients(storage.NativeClient("native", redirectURI))
	store := &keyStorage{storage.NewStorage(storage.NewUserStore("http://localhost:0/")), key}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	router := exampleop.SetupServer(issuer, store, logger, false)
	fmt.Printf("ready http://%s\n", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, router)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: zitadel CERT.pem REDIRECT_URI")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "zitadel:", err)
		os.Exit(1)
	}
}
