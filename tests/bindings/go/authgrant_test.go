package ffi

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const issuer = "1a2b3c4d5e_6f7g8h9g"

// As the page of the JWT bearer grant has it; only store and host are filled in.
const datadirectString = `DRIVER=DataDirect 8.0 Autonomous REST Connector;
       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;
       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;
       JWTCertStore=%s;JWTCertPassword=secret;
       TokenUri=%s/oauth/token;
       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;
       Scope=signature impersonation;
TrustStore=%s;`

var connectionString, store string

func TestMain(m *testing.M) {
	code, err := runWithServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// around makes a key store and runs the authorization server while the tests run.
func runWithServer(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "authgrant-go")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	in := func(name string) string { return filepath.Join(folder, name) }
	store = in("jwtcert.p12")
	for _, command := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=go", "-days", "30",
			"-keyout", in("jwt.key"), "-out", in("jwt.pem")},
		{"pkcs12", "-export", "-inkey", in("jwt.key"), "-in", in("jwt.pem"), "-out", store, "-passout", "pass:secret"},
	} {
		if said, err := exec.Command("openssl", command...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("openssl: %w: %s", err, said)
		}
	}
	authority := exec.Command(os.Getenv("AUTHGRANT_MOCK_SERVER"), "--https",
		"--register", issuer+"="+in("jwt.pem"), "--ca-out", in("ca.pem"))
	authority.Stderr = os.Stderr
	if _, err := authority.StdinPipe(); err != nil { // it runs until this ends
		return 1, err
	}
	out, err := authority.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := authority.Start(); err != nil {
		return 1, fmt.Errorf("AUTHGRANT_MOCK_SERVER: %w", err)
	}
	defer func() {
		_ = authority.Process.Kill()
		_ = authority.Wait()
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ready := strings.CutPrefix(lines.Text(), "ready "); ready {
			connectionString = fmt.Sprintf(datadirectString, store, strings.TrimSpace(url), in("ca.pem"))
			return m.Run(), nil
		}
	}
	return 1, errors.New("the authority did not become ready")
}

func mustOpen(t *testing.T, text string) *Connection {
	t.Helper()
	connection, err := Open(text)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func TestTokenIsReadFromCache(t *testing.T) {
	connection := mustOpen(t, connectionString)
	defer connection.Close()
	first, expiresAt, err := connection.Token()
	if err != nil {
		t.Fatal(err)
	}
	if first == "" || expiresAt <= time.Now().Unix() {
		t.Fatalf("a token of %d characters that ends at %d", len(first), expiresAt)
	}
	second, _, err := connection.Token()
	if err != nil || second != first {
		t.Fatalf("another token, or an error: %v", err)
	}
}

func TestWrongPasswordNamesStore(t *testing.T) {
	connection := mustOpen(t, strings.Replace(connectionString, "JWTCertPassword=secret", "JWTCertPassword=another", 1))
	defer connection.Close()
	_, _, err := connection.Token()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("no error of authgrant: %v", err)
	}
	if failure.Status != KeyPassword || failure.SQLState != "28000" || !strings.Contains(failure.Message, store) {
		t.Fatal(failure)
	}
}

func TestGoroutinesShareOneToken(t *testing.T) {
	connection := mustOpen(t, connectionString)
	defer connection.Close()
	values := make([]string, 50)
	var all sync.WaitGroup
	for i := range values {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			value, _, err := connection.Token()
			if err != nil {
				t.Error(err)
			}
			values[i] = value
		}(i)
	}
	all.Wait()
	for _, value := range values {
		if value == "" || value != values[0] {
			t.Fatal("the goroutines saw more than one token")
		}
	}
}

func TestFinalizerClosesUnreachableConnections(t *testing.T) {
	for i := 0; i < 50; i++ {
		if _, _, err := mustOpen(t, connectionString).Token(); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			runtime.GC()
		}
	}
}
