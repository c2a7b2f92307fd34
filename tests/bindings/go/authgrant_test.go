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

// From DataDirect's documentation of the JWT bearer grant; only store and host are replaced.
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

// runWithServer creates a key store and runs the tests with a mock server.
func runWithServer(m *testing.M) (int, error) {
	directory, err := os.MkdirTemp("", "authgrant-go")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(directory)
	path := func(name string) string { return filepath.Join(directory, name) }
	store = path("jwtcert.p12")
	for _, command := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=go", "-days", "30",
			"-keyout", path("jwt.key"), "-out", path("jwt.pem")},
		{"pkcs12", "-export", "-inkey", path("jwt.key"), "-in", path("jwt.pem"), "-out", store, "-passout", "pass:secret"},
	} {
		if output, err := exec.Command("openssl", command...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("openssl: %w: %s", err, output)
		}
	}
	server := exec.Command(os.Getenv("AUTHGRANT_MOCK_SERVER"), "--https",
		"--register", issuer+"="+path("jwt.pem"), "--ca-out", path("ca.pem"))
	server.Stderr = os.Stderr
	if _, err := server.StdinPipe(); err != nil { // the server runs until its standard input is closed
		return 1, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, fmt.Errorf("AUTHGRANT_MOCK_SERVER: %w", err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ready := strings.CutPrefix(lines.Text(), "ready "); ready {
			connectionString = fmt.Sprintf(datadirectString, store, strings.TrimSpace(url), path("ca.pem"))
			return m.Run(), nil
		}
	}
	return 1, errors.New("the mock server did not become ready")
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
		t.Fatalf("token of %d characters, expires at %d", len(first), expiresAt)
	}
	second, _, err := connection.Token()
	if err != nil || second != first {
		t.Fatalf("different token or error: %v", err)
	}
}

func TestWrongPasswordNamesStore(t *testing.T) {
	connection := mustOpen(t, strings.Replace(connectionString, "JWTCertPassword=secret", "JWTCertPassword=another", 1))
	defer connection.Close()
	_, _, err := connection.Token()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an authgrant error: %v", err)
	}
	if failure.Status != KeyPassword || failure.SQLState != "28000" || !strings.Contains(failure.Message, store) {
		t.Fatal(failure)
	}
}

func TestGoroutinesShareOneToken(t *testing.T) {
	connection := mustOpen(t, connectionString)
	defer connection.Close()
	values := make([]string, 50)
	var group sync.WaitGroup
	for i := range values {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			value, _, err := connection.Token()
			if err != nil {
				t.Error(err)
			}
			values[i] = value
		}(i)
	}
	group.Wait()
	for _, value := range values {
		if value == "" || value != values[0] {
			t.Fatal("the goroutines got different tokens")
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
