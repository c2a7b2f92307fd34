package authgrant

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLoggerReceivesRecords(t *testing.T) {
	connection := openFor(t, "")
	var log bytes.Buffer
	level := new(slog.LevelVar)
	level.Set(slog.LevelInfo)
	if err := connection.SetLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))); err != nil {
		t.Fatal(err)
	}
	token := mustToken(t, connection)
	if text := log.String(); !strings.Contains(text, "level=INFO") || strings.Contains(text, "level=DEBUG") || strings.Contains(text, token.Value()) {
		t.Fatal(text)
	}
	if err := connection.SetLogger(nil); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	ClearCaches()
	mustToken(t, connection)
	if log.Len() > 0 {
		t.Fatal(log.String())
	}
}

func TestLevelsOfLibraryAreThoseOfSlog(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: LevelTrace}))
	for level := range 7 {
		logTo(logger, level, "x")
	}
	for _, name := range []string{"ERROR", "WARN", "INFO", "DEBUG", "DEBUG-4"} {
		if strings.Count(log.String(), "level="+name+" ") != 1 {
			t.Errorf("%s in %s", name, log.String())
		}
	}
}

type failingSigner struct {
	crypto.Signer
	err error
}

func (s failingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, s.err }

func readKey(t *testing.T) crypto.Signer {
	text, err := os.ReadFile(keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

func TestSignerSignsAssertion(t *testing.T) {
	for _, algorithm := range []string{"", "RS384", "PS256", "ps512"} {
		connection := openFor(t, "JWTCertStore=/nowhere")
		if err := connection.SetOptions(map[string]string{"JWTCertStore": "", "JWTCertPassword": "", "ClaimsSubject": t.Name() + algorithm}); err != nil {
			t.Fatal(err)
		}
		if err := connection.SetSigner(algorithm, readKey(t)); err != nil {
			t.Fatal(err)
		}
		mustToken(t, connection) // the mock server verifies the signature
	}
}

func TestSignersOfOtherKeysSign(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p256, edwards} {
		connection := openFor(t, "")
		if err := connection.SetOptions(map[string]string{"JWTCertStore": "", "JWTCertPassword": ""}); err != nil {
			t.Fatal(err)
		}
		if err := connection.SetSigner("", key); err != nil {
			t.Fatal(err)
		}
		if assertion, err := connection.CreateAssertion(); err != nil || strings.Count(assertion, ".") != 2 {
			t.Error(assertion, err)
		}
		if err := connection.SetSigner("", nil); err != nil {
			t.Error(err)
		}
		if _, err := connection.CreateAssertion(); !errors.Is(err, StatusMissingOption) {
			t.Error(err)
		}
	}
	if err := openFor(t, "").SetSigner("XY256", p256); !errors.Is(err, StatusInvalidArgument) {
		t.Error(err)
	}
}

func TestErrorOfSignerIsWrapped(t *testing.T) {
	connection := openFor(t, "")
	broken := errors.New("the key service is closed")
	if err := connection.SetSigner("RS256", failingSigner{readKey(t), broken}); err != nil {
		t.Fatal(err)
	}
	_, err := connection.Token(context.Background())
	if failure(t, err); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// panicOf returns the value with which function panics.
func panicOf(function func()) (value any) {
	defer func() { value = recover() }()
	function()
	return nil
}

type panickingSigner struct{ crypto.Signer }

func (panickingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("signer") }

func TestPanicInCallbackContinuesAfterCall(t *testing.T) {
	connection := openFor(t, "RedirectURI=http://127.0.0.1:0/cb;AuthURI="+serverURL+"/oauth/auth")
	if err := connection.SetSigner("RS256", panickingSigner{readKey(t)}); err != nil {
		t.Fatal(err)
	}
	if value := panicOf(func() { _, _ = connection.CreateAssertion() }); value != "signer" {
		t.Fatal(value)
	}
	if value := panicOf(func() { _ = connection.Authorize(context.Background(), func(string) error { panic("browser") }) }); value != "browser" {
		t.Fatal(value)
	}
	if err := connection.SetSigner("", nil); err != nil {
		t.Fatal(err)
	}
	mustToken(t, connection)
}

func TestCallInCallbackIsRejected(t *testing.T) {
	connection := openFor(t, "")
	other := openFor(t, "")
	var inner error
	signer := signFunc{readKey(t), func() { _, inner = other.Explain() }}
	if err := connection.SetSigner("RS256", signer); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.CreateAssertion(); err != nil {
		t.Fatal(err)
	}
	if failure := failure(t, inner); failure.SQLState != "HY010" {
		t.Fatal(inner)
	}
}

// signFunc calls a function before it signs.
type signFunc struct {
	crypto.Signer
	before func()
}

func (s signFunc) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	s.before()
	return s.Signer.Sign(random, digest, options)
}

// openLogin opens a connection whose user logs in with the browser.
func openLogin(t *testing.T) *Connection {
	connection, err := OpenOptions(map[string]string{"AuthenticationMethod": "51", "ClientID": "app", "RedirectURI": "http://127.0.0.1:0/cb", "ConsentTimeout": "20",
		"AuthURI": serverURL + "/oauth/auth", "TokenURI": "POST " + serverURL + "/oauth/token"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func TestAuthorizeLogsUserIn(t *testing.T) {
	connection := openLogin(t)
	var refreshTokens []string
	if err := connection.OnRefreshToken(func(token string) { refreshTokens = append(refreshTokens, token) }); err != nil {
		t.Fatal(err)
	}
	var browser sync.WaitGroup
	err := connection.Authorize(context.Background(), func(url string) error {
		browser.Add(1)
		go func() {
			defer browser.Done()
			response, err := http.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Error(response.Status)
				_ = connection.Cancel()
			}
		}()
		return nil
	})
	browser.Wait()
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, connection)
	if len(refreshTokens) != 1 || refreshTokens[0] == "" {
		t.Fatal(len(refreshTokens))
	}
	if err := connection.OnRefreshToken(nil); err != nil {
		t.Fatal(err)
	}
	if err := connection.Logoff(); err != nil {
		t.Fatal(err)
	}
}

func TestContextEndsAuthorize(t *testing.T) {
	connection := openLogin(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := connection.Authorize(ctx, func(string) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := connection.Authorize(ctx, func(string) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestErrorOfOpenURLIsWrapped(t *testing.T) {
	broken := errors.New("there is no display")
	if err := openLogin(t).Authorize(context.Background(), func(string) error { return broken }); !errors.Is(err, broken) || !errors.Is(err, StatusUnsupported) {
		t.Fatal(err)
	}
}
